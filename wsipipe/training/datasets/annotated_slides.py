"""Slides whose annotations lie in another folder, as training data."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.tiling.collect import collect
from wsipipe.training.datasets.qupath import is_geojson, stem_of


@dataclass(frozen=True)
class AnnotatedSlides:
    """Slides and the GeoJSON files that QuPath exported for them.

    Attributes:
        slides: Slide files, folders of slides, globs or manifests.
        annotations: Folder of GeoJSON files named as the slides, or the file of the only slide.
    """

    slides: tuple[Path, ...]
    annotations: Path

    def pairs(self) -> list[tuple[Path, Path]]:
        """Return each annotated slide with its GeoJSON file.

        Slides without annotations are left out, and annotations without a slide are reported as a warning.

        Raises:
            ConfigError: A path is absent, or the annotations fit no slide.
        """
        self._check_place()
        slides = [slide.path for slide in collect(self.slides)]
        if self.annotations.is_file():
            if len(slides) != 1:
                raise ConfigError(
                    f"--annotations {self.annotations} is one file, and these are {len(slides)} slides. Give "
                    "the folder of the GeoJSON files."
                )
            return [(slides[0], self.annotations)]
        files = {stem_of(path): path for path in sorted(self.annotations.iterdir()) if is_geojson(path)}
        pairs = [(slide, files[name]) for slide in slides if (name := _name_in(files, slide))]
        if not pairs:
            raise ConfigError(
                f"--annotations {self.annotations} fits no slide. Name the files as the slides: "
                f"{slides[0].stem}.geojson for {slides[0].name}."
            )
        self._warn_of_others(set(files.values()) - {notes for _, notes in pairs})
        return pairs

    def _check_place(self) -> None:
        if not self.annotations.exists():
            raise ConfigError(
                f"--annotations {self.annotations} is no folder. Give the folder of the GeoJSON files, or "
                "the file of a single slide."
            )
        if not self.slides:
            raise ConfigError(
                f"--annotations {self.annotations} belongs to no slide: --data names folders with images and "
                "labels alone. Add the slides to --data, or leave out --annotations."
            )

    def _warn_of_others(self, others: set[Path]) -> None:
        if others:
            names = ", ".join(sorted(path.name for path in others)[:8])
            warnings.warn(
                f"{len(others)} of the files in {self.annotations} fit no slide: {names}.", stacklevel=3
            )


def _name_in(files: dict[str, Path], slide: Path) -> str:
    """Return the name under which a slide has annotations; empty if it has none."""
    return next((name for name in (slide.stem, slide.name) if name in files), "")


DataSource = Path | AnnotatedSlides
"""Folder of a known layout, or slides with annotations elsewhere."""


def sources_of(data: Sequence[Path], annotations: Path | None) -> list[DataSource]:
    """Return the sources of training data that a user names.

    Args:
        data: Folders with training data; with ``annotations`` also slides and folders of slides. A folder
            with ``images`` and ``labels``, such as the corrections of a review, needs no annotations.
        annotations: GeoJSON files of the slides, or None.
    """
    if annotations is None:
        return list(data)
    folders = [path for path in data if (path / "images").is_dir() and (path / "labels").is_dir()]
    slides = tuple(path for path in data if path not in folders)
    return [AnnotatedSlides(slides, annotations), *folders]
