"""Reader for napari: a result or a slide file as layers; None at once for anything else."""

from collections.abc import Callable
from pathlib import Path

from wsipipe.review.recognise import is_result

SLIDE_ENDINGS = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
"""Endings that belong to slides alone, as in ``napari.yaml``; other images are left to other readers."""


def get_reader(path: str | list[str]) -> Callable[[str], list[tuple[object, ...]]] | None:
    """A reader for a result of wsipipe or a slide file, else None; reads one small file at most."""
    if not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        return read_result if is_result(place) else None
    return read_slide if place.suffix.lower() in SLIDE_ENDINGS and place.is_file() else None


def read_result(path: str) -> list[tuple[object, ...]]:
    """Layers of a result, in um.

    Raises:
        StorageError: A newer wsipipe wrote it.
    """
    from wsipipe.review.gui.layers import result_layers
    from wsipipe.review.published import open_source

    source = open_source(path)
    layers = result_layers(source.result, outlines=True)
    for _, settings, _ in layers:
        settings["metadata"] = {"wsipipe": str(source.folder)}
    return list(layers)


def read_slide(path: str) -> list[tuple[object, ...]]:
    """A slide's pyramid, in um.

    Raises:
        SlideError: It does not open.
    """
    from wsipipe.review.gui.layers import slide_layers

    return list(slide_layers(Path(path)))


def sample() -> list[tuple[object, ...]]:
    """A small synthetic result, made in a scratch folder that stays until the computer clears it."""
    import tempfile

    from wsipipe.review.sample import make_sample

    return read_result(str(make_sample(Path(tempfile.mkdtemp(prefix="wsipipe-sample-"))).folder))
