"""Read a finished result for an export, in bounded memory."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wsipipe.common.atomic_files import sha256_of
from wsipipe.errors import ConfigError, NoResultError, StorageError
from wsipipe.review.published import PublishedSlide
from wsipipe.store.manifest import Manifest
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.result import Result, open_result

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class ExportOptions:
    """Selection of what an export writes.

    Attributes:
        classes: Tissue classes of the nuclei to write; empty for all.
        min_probability: Least mean probability of a nucleus, in [0, 1].
        layer: Picture of an OME-TIFF; see ``ome_tiff.LAYERS``.
        compressed: Whether GeoJSON is gzipped.
        dicom: DICOM slide that the result refers to; None for the path in ``run.json``.
    """

    classes: tuple[str, ...] = ()
    min_probability: float = 0.0
    layer: str = "nuclei"
    compressed: bool = True
    dicom: Path | None = None

    @property
    def selects(self) -> bool:
        """Whether some nuclei are left out."""
        return bool(self.classes) or self.min_probability > 0


@dataclass(frozen=True)
class ExportSource:
    """A finished result with the selection of its nuclei.

    Attributes:
        result: The result.
        options: The selection.
    """

    result: Result
    options: ExportOptions = field(default_factory=ExportOptions)

    @cached_property
    def slide(self) -> PublishedSlide:
        """Scale, classes and transform of the result."""
        return PublishedSlide(self.result, self.manifest["plan"])

    @cached_property
    def manifest(self) -> Manifest:
        """Hashes of the published files."""
        return self.result.manifest

    def published_file(self, name: str, holds: str) -> Path:
        """Return the path of a published file that is intact.

        Args:
            name: Path relative to the folder of the slide.
            holds: Content of the file, for the message.

        Raises:
            NoResultError: The workflow did not write it.
            StorageError: It is missing or damaged.
        """
        entry, path = self.manifest["files"].get(name), self.result.folder / name
        if entry is None:
            raise NoResultError(
                f"{self.result.folder} holds no {holds}: its workflow did not compute them. Run a workflow "
                "that does, such as nuclei_and_tissue."
            )
        if not path.is_file() or sha256_of(path) != entry["sha256"]:
            raise StorageError(
                f"{path} is missing or damaged: it is not what was published. Run the workflow again with "
                "--restart."
            )
        return path

    @cached_property
    def nuclei_path(self) -> Path:
        """Path of the intact table of nuclei."""
        path = self.published_file(NUCLEI_TABLE, "nuclei")
        known = [item.name for item in self.slide.classes]
        unknown = [name for name in self.options.classes if name not in known]
        if unknown:
            raise ConfigError(
                f"{self.result.folder} has no tissue class {unknown[0]!r}. Name one of: "
                f"{', '.join(known) or 'none, since no classes were computed'}."
            )
        return path

    def nuclei_schema(self) -> pa.Schema:
        """Return the columns of the table of nuclei."""
        return pq.read_schema(self.nuclei_path)

    def nuclei(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield the selected nuclei, a few thousand rows at a time.

        Args:
            columns: Columns to return; default all.

        Yields:
            Tables that are not empty, in the order of ids.
        """
        needed = None if columns is None else list(dict.fromkeys([*columns, *self._deciding()]))
        with pq.ParquetFile(self.nuclei_path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=needed):
                table = self._selected(pa.Table.from_batches([batch]))
                if table.num_rows:
                    yield table if columns is None else table.select(columns)

    def _deciding(self) -> list[str]:
        return ["tissue_class", "probability"] if self.options.selects else []

    def _selected(self, table: pa.Table) -> pa.Table:
        options = self.options
        if options.classes:
            table = table.filter(pc.is_in(table["tissue_class"], pa.array(options.classes, pa.string())))
        if options.min_probability > 0:
            table = table.filter(pc.greater_equal(table["probability"], pa.scalar(options.min_probability)))
        return table


def open_source(path: str | Path, options: ExportOptions | None = None) -> ExportSource:
    """Open a finished result for an export.

    Args:
        path: ``OUT/SLIDE`` or its ``slide.zarr``.
        options: Selection of what is written.

    Raises:
        NoResultError: The folder holds no finished result.
        StorageError: The result is damaged, or written by a newer wsipipe.
    """
    return ExportSource(open_result(path), options or ExportOptions())
