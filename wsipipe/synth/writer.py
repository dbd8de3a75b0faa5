"""Write synthetic slides as tiled JPEG pyramids, with their truth.

OpenSlide reads the pyramids as Aperio slides. They are written strip by strip.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import tifffile
import zarr

from wsipipe.common.block_mean import block_mean
from wsipipe.common.disk_sync import move
from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.synth.faults import VALUES, FaultySlide
from wsipipe.synth.slide import SyntheticSlide

Pixels = npt.NDArray[np.uint8]
Source = Callable[[Region], Pixels]

TILE_PX = 256
TISSUE_DOWNSAMPLE = 32
_CHUNK_PX = 1024
_STRIP_PX = 512
_STEP = 4
_COARSEST_PX = 1024


@dataclass(frozen=True)
class Truth:
    """Truth of a synthetic slide.

    Attributes:
        path: Zarr group with ``nuclei`` and ``tissue``; None if it was not requested.
        shape: (height, width) of level 0 in px.
        mpp: Micrometres per px of level 0.
        nuclei: Number of nuclei on the slide; None without truth files.
        tissue_share: Share of tissue in the slide, in [0, 1].
    """

    path: Path | None
    shape: tuple[int, int]
    mpp: float
    nuclei: int | None
    tissue_share: float


def make_slide(
    path: Path,
    size_px: int | tuple[int, int],
    seed: int = 0,
    mpp: float = 0.25,
    quality: int = 90,
    truth: bool = True,
    faults: Iterable[str] = (),
) -> Truth:
    """Write a synthetic H&E-like slide and ``NAME.truth.zarr`` beside it.

    Args:
        path: Path of the slide: ``.svs`` for an Aperio slide, ``.tif`` or ``.tiff`` for a plain TIFF.
        size_px: Side, or (height, width), of level 0.
        seed: Random seed.
        mpp: Micrometres per px of level 0.
        quality: JPEG quality, 1 to 100.
        truth: Whether to write ``nuclei`` (uint32 ids, with gaps) at level 0 and ``tissue`` (uint8), 32 times
            coarser.
        faults: Names out of ``wsipipe.synth.faults.FAULTS``; their truth is ``faults`` (uint8), as coarse as
            that of the tissue.

    Returns:
        Truth of the slide.

    Raises:
        ConfigError: Suffix, size, mpp or quality is out of range, or a fault is unknown.

    Source: Aperio's image description, https://openslide.org/formats/aperio/.
    """
    path = Path(path)
    shape = (size_px, size_px) if isinstance(size_px, int) else size_px
    _check(path, shape, mpp, quality)
    asked = tuple(faults)
    slide = FaultySlide(seed, shape, mpp, asked) if asked else SyntheticSlide(seed, shape, mpp)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        # Written in a scratch folder and renamed, so that the slide is complete or absent.
        made = Path(scratch) / path.name
        _write_pyramid(made, slide, quality, Path(scratch))
        move(made, path)
    out = path.with_name(f"{path.name}.truth.zarr") if truth else None
    group = zarr.create_group(out, overwrite=True) if out else None
    if group is not None and isinstance(slide, FaultySlide):
        _write_faults(group, slide, asked)
    return Truth(
        path=out,
        shape=shape,
        mpp=mpp,
        nuclei=_write_nuclei(group, slide) if group is not None else None,
        tissue_share=_write_tissue(group, slide),
    )


def _check(path: Path, shape: tuple[int, int], mpp: float, quality: int) -> None:
    if path.suffix.lower() not in {".svs", ".tif", ".tiff"}:
        raise ConfigError(
            f"A synthetic slide cannot be written to {path}: its suffix is {path.suffix!r}. Use .svs or .tif."
        )
    if min(shape) < TILE_PX:
        raise ConfigError(
            f"A synthetic slide of {shape} px is too small: each side needs at least {TILE_PX} px."
        )
    if not 0.05 <= mpp <= 2 or not 1 <= quality <= 100:
        raise ConfigError(
            f"A synthetic slide of mpp {mpp} and quality {quality} cannot be written. "
            "Use an mpp of 0.05 to 2 um/px and a quality of 1 to 100."
        )


def _write_pyramid(path: Path, slide: SyntheticSlide, quality: int, scratch: Path) -> None:
    """Write all levels of the pyramid.

    Level 0 comes from the slide, each coarser level from means of the one before.
    """
    shape, step = slide.shape, 1
    source: Source = slide.rgb
    # A classic TIFF ends at 4 GiB, and JPEG never makes these images larger than their pixels.
    with tifffile.TiffWriter(path, bigtiff=3 * shape[0] * shape[1] > 2**32) as writer:
        while True:
            coarser = None if max(shape) <= _COARSEST_PX else _scratch_level(scratch / f"{step}.npy", shape)
            writer.write(
                _tiles(source, shape, coarser),
                shape=(*shape, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="rgb",
                compression="jpeg",
                compressionargs={"level": quality},
                subsampling=(2, 2),
                description=_description(slide, shape, quality, path),
                resolution=(1e4 / slide.mpp / step,) * 2,
                resolutionunit="CENTIMETER",
                subfiletype=0 if step == 1 else 1,
                metadata=None,
                software="wsipipe synth",
            )
            if coarser is None:
                return
            shape, source, step = coarser.shape[:2], _array_source(coarser), step * _STEP


def _scratch_level(path: Path, shape: tuple[int, int]) -> Pixels:
    """Create a file for the next coarser level.

    ``shape`` is that of the finer level.
    """
    coarser = -(-shape[0] // _STEP), -(-shape[1] // _STEP), 3
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=coarser)


def _tiles(source: Source, shape: tuple[int, int], coarser: Pixels | None) -> Iterator[Pixels]:
    """Yield the tiles of a level in file order.

    The strips that they come from are averaged into ``coarser``.
    """
    for region in Region(0, 0, *shape).blocks(_STRIP_PX, shape[1]):
        strip = _padded(source(region), TILE_PX)
        if coarser is not None:
            part = coarser[region.y // _STEP : (region.y + _STRIP_PX) // _STEP]
            part[:] = block_mean(strip, _STEP)[: part.shape[0], : part.shape[1]]
        for tile in Region(0, 0, *strip.shape[:2]).blocks(TILE_PX):
            yield np.ascontiguousarray(strip[tile.slices])


def _padded(strip: Pixels, multiple: int) -> Pixels:
    rows, columns = (-side % multiple for side in strip.shape[:2])
    return np.pad(strip, ((0, rows), (0, columns), (0, 0)), "edge") if rows or columns else strip


def _array_source(pixels: Pixels) -> Source:
    return lambda region: np.asarray(pixels[region.slices])


def _description(slide: SyntheticSlide, shape: tuple[int, int], quality: int, path: Path) -> str:
    height, width = slide.shape
    if path.suffix.lower() != ".svs":
        return f"wsipipe synthetic slide, seed {slide.seed}"
    size = f"{width}x{height} [0,0 {width}x{height}]"
    coarse = "" if shape == slide.shape else f" -> {shape[1]}x{shape[0]}"
    return (
        f"Aperio Image Library (wsipipe synthetic slide)\n{size} ({TILE_PX}x{TILE_PX}){coarse} JPEG/RGB "
        f"Q={quality}|AppMag = {10 / slide.mpp:g}|MPP = {slide.mpp:.6g}|Filename = {path.stem}"
        f"|Seed = {slide.seed}"
    )


def _write_nuclei(group: zarr.Group, slide: SyntheticSlide) -> int:
    """Write the ids at level 0 by chunk.

    Returns:
        Number of nuclei.
    """
    array = _create(group, "nuclei", slide.shape, "uint32")
    seen = np.zeros(slide.most_ids + 1, np.bool_)
    for chunk in Region(0, 0, *slide.shape).blocks(_CHUNK_PX):
        labels = slide.nuclei(chunk)
        seen[labels] = True
        array[chunk.slices] = labels
    count = int(seen[1:].sum())
    group.attrs.update(
        {"mpp": slide.mpp, "seed": slide.seed, "nuclei": count, "tissue_downsample": TISSUE_DOWNSAMPLE}
    )
    return count


def _write_tissue(group: zarr.Group | None, slide: SyntheticSlide) -> float:
    """Write the tissue by chunk.

    Nothing is written without a group.

    Returns:
        Share of tissue in the slide.
    """
    height, width = (-(-side // TISSUE_DOWNSAMPLE) for side in slide.shape)
    array = None if group is None else _create(group, "tissue", (height, width), "uint8")
    covered_px = 0
    for chunk in Region(0, 0, height, width).blocks(_CHUNK_PX):
        tissue = slide.tissue(chunk, TISSUE_DOWNSAMPLE)
        covered_px += int(tissue.sum())
        if array is not None:
            array[chunk.slices] = tissue
    return covered_px / (height * width)


def _write_faults(group: zarr.Group, slide: FaultySlide, asked: tuple[str, ...]) -> None:
    """Write the value of the fault of every pixel by chunk, and their names."""
    height, width = (-(-side // TISSUE_DOWNSAMPLE) for side in slide.shape)
    array = _create(group, "faults", (height, width), "uint8")
    for chunk in Region(0, 0, height, width).blocks(_CHUNK_PX):
        array[chunk.slices] = slide.faults(chunk, TISSUE_DOWNSAMPLE)
    group.attrs.update({"faults": list(asked), "fault_values": VALUES})


def _create(group: zarr.Group, name: str, shape: tuple[int, int], dtype: str) -> zarr.Array:
    chunks = min(_CHUNK_PX, shape[0]), min(_CHUNK_PX, shape[1])
    return group.create_array(name, shape=shape, dtype=dtype, chunks=chunks, fill_value=0)
