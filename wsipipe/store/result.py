"""Open the result of a finished slide in scripts and notebooks."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import zarr

from wsipipe.errors import NoResultError
from wsipipe.store import manifest
from wsipipe.store.arrays import open_array
from wsipipe.store.lazy_arrays import lazy
from wsipipe.store.manifest import Manifest
from wsipipe.store.names import NUCLEI_TABLE

if TYPE_CHECKING:
    import dask.array
    import geopandas
    from matplotlib.axes import Axes


class Provenance(TypedDict):
    """Where a result comes from.

    Attributes:
        plan: Identity of the plan; the same slide and parameters give the same plan.
        slide_id: Name of the slide.
        vendor: Name of the slide's format.
        slide_mpp: Micrometres per px of level 0.
        slide_mpp_source: Source of ``slide_mpp``: "option", "vendor", "tiff" or "objective".
        canvas_mpp: Micrometres per px of the image.
        level0_offset_yx: Corner of the image in level-0 px, (y, x).
        level0_px_per_canvas_px: Level-0 px per px of the image.
        workflow: Parameters of each stage.
        weights: Name, hash and calibration of the weights of each stage.
        notice: Disclaimer.
    """

    plan: str
    slide_id: str
    vendor: str
    slide_mpp: float
    slide_mpp_source: str
    canvas_mpp: float
    level0_offset_yx: list[float]
    level0_px_per_canvas_px: float
    workflow: dict[str, object]
    weights: dict[str, dict[str, object]]
    notice: str


@dataclass(frozen=True)
class StoredArrays:
    """The Zarr arrays of a result; reading a missing shard raises an error.

    Attributes:
        store: The OME-Zarr group.
    """

    store: Path

    @cached_property
    def image(self) -> list[zarr.Array]:
        """Image levels (3, y, x) uint8, finest first; empty for ``--image none``."""
        return _levels(self.store)

    @cached_property
    def labels(self) -> dict[str, list[zarr.Array]]:
        """Levels (y, x) of each label image by name, finest first."""
        return {path.name: _levels(path) for path in _groups(self.store / "labels")}

    @cached_property
    def probabilities(self) -> dict[str, zarr.Array]:
        """Probability maps by name, uint8."""
        return {path.name: open_array(path / "0") for path in _groups(self.store / "probabilities")}


@dataclass(frozen=True)
class Result:
    """The result of one finished slide.

    Arrays are lazy: pixels are read when they are computed; a missing shard raises an error then.

    Attributes:
        folder: Folder ``OUT/SLIDE``.
    """

    folder: Path

    @cached_property
    def store(self) -> Path:
        """The OME-Zarr group."""
        return self.folder / "slide.zarr"

    @cached_property
    def attributes(self) -> Provenance:
        """Provenance: plan, mpp and its source, workflow and weights."""
        found: Provenance = zarr.open_group(self.store, mode="r").attrs["wsipipe"]
        return found

    @cached_property
    def manifest(self) -> Manifest:
        """Manifest: hashes of all files and of the pixels of all arrays."""
        return manifest.read(self.folder)

    @cached_property
    def arrays(self) -> StoredArrays:
        """The same arrays as Zarr arrays, for code that reads them by slicing."""
        return StoredArrays(self.store)

    @property
    def image(self) -> "list[dask.array.Array]":
        """Image levels, finest first.

        Arrays are (3, y, x) uint8; the list is empty for ``--image none``.
        """
        return [lazy(level) for level in self.arrays.image]

    @property
    def labels(self) -> "dict[str, list[dask.array.Array]]":
        """Levels (y, x) of each label image by name, finest first."""
        return {name: [lazy(level) for level in levels] for name, levels in self.arrays.labels.items()}

    @property
    def probabilities(self) -> "dict[str, dask.array.Array]":
        """Probability maps by name, uint8.

        Values are probabilities times 250; 254 is unreadable, 255 not computed.
        """
        return {name: lazy(array) for name, array in self.arrays.probabilities.items()}

    def scale_um(self, group: str = "") -> tuple[float, float, float, float]:
        """Return the scale and translation of level 0 of a group.

        Args:
            group: Path of the group, for example ``labels/nuclei``; ``""`` is the image.

        Returns:
            Micrometres per px in y and x, and position of the centre of the first px in y and x in um.
        """
        scales = zarr.open_group(self.store / group, mode="r").attrs["ome"]["multiscales"][0]
        scale, shift = scales["datasets"][0]["coordinateTransformations"]
        return (*scale["scale"][-2:], *shift["translation"][-2:])

    @cached_property
    def nuclei(self) -> "geopandas.GeoDataFrame":
        """Table of nuclei with their outlines in level-0 px, one row per nucleus, ordered by id.

        It is read once; copy it before you change it.

        Raises:
            NoResultError: The workflow did not compute nuclei.
        """
        # geopandas takes a second to import, so it is imported only here.
        import geopandas

        path = self.folder / NUCLEI_TABLE
        if not path.is_file():
            raise NoResultError(f"{self.folder} holds no nuclei; run a workflow with segment and instances.")
        return geopandas.read_parquet(path)

    def plot(
        self,
        region: tuple[int, int, int, int] | None = None,
        axes: "Axes | None" = None,
        colour_by: str | None = None,
    ) -> "Axes":
        """Draw the image, or a part of it, with the outlines of nuclei.

        More than 5,000 nuclei are drawn as dots.

        Args:
            region: Part (y, x, height, width) in level-0 px; None for everything.
            axes: Axes of Matplotlib to draw on; None for new ones.
            colour_by: Column of the table of nuclei that decides their colour; None for one colour.

        Returns:
            The axes, in level-0 px.

        Raises:
            ConfigError: The region lies outside the slide.
        """
        from wsipipe.store.result_view import plot_result

        return plot_result(self, region, axes, colour_by)

    def _repr_html_(self) -> str:
        """Describe the result in a notebook."""
        from wsipipe.store.result_view import result_html

        return result_html(self)

    def damaged(self) -> list[str]:
        """List files that are missing or changed since publishing."""
        return manifest.damaged(self.folder)


def open_result(path: str | Path) -> Result:
    """Open the result of a finished slide.

    Args:
        path: Folder of the slide inside OUT, or its ``slide.zarr``.

    Raises:
        NoResultError: The folder holds no finished result.
        StorageError: The result is damaged, or written by a newer wsipipe.
    """
    folder = Path(path)
    if folder.name == "slide.zarr":
        folder = folder.parent
    manifest.read(folder)
    return Result(folder)


def _groups(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/zarr.json"))


def _levels(folder: Path) -> list[zarr.Array]:
    paths = sorted((path.parent for path in folder.glob("[0-9]*/zarr.json")), key=lambda path: int(path.name))
    return [open_array(path) for path in paths]
