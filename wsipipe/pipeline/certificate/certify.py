"""Certify a published slide by computing a sample of blocks again.

Each block is computed in the eight orientations, and upright in smaller shards. The pixels are compared with
the stored ones.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from wsipipe.common.about import __version__
from wsipipe.errors import ConfigError
from wsipipe.geometry import Orientation, Region
from wsipipe.pipeline.certificate.angles import measure_angles
from wsipipe.pipeline.certificate.blocks import TurnedStage, differing_px
from wsipipe.pipeline.certificate.networks import Networks
from wsipipe.pipeline.certificate.nuclei_check import NUCLEI, check_nuclei
from wsipipe.pipeline.certificate.opened import OpenedSlide, opened
from wsipipe.pipeline.certificate.record import CertifiedBlock, LayerCheck, SlideCertificate, make_certificate
from wsipipe.pipeline.certificate.sample import block_side, blocks_with_tissue, sample_blocks
from wsipipe.pipeline.certificate.turned import PublishedPixels
from wsipipe.stages.grid import tissue_downsample
from wsipipe.stages.stage import Stage, Write
from wsipipe.stages.tissue import TISSUE
from wsipipe.store.arrays import read_region

SAMPLE = 3
"""Number of blocks without ``--sample``."""
BLOCK_PX = 512
"""Largest side of a block; that of the shards of a run is 2,048."""
_DIVISIONS = (2,)
Report = Callable[[str], None]


def certify_slide(
    folder: Path,
    sample: int = SAMPLE,
    device: str = "cpu",
    threads: int = 1,
    angles: bool = False,
    report: Report = lambda _: None,
    block_px: int = BLOCK_PX,
) -> SlideCertificate:
    """Compute a sample of blocks of a slide again, and compare them with the stored arrays.

    Args:
        folder: ``OUT/SLIDE``.
        sample: Largest number of blocks.
        device: ``cpu``, ``cuda`` or ``auto``; device of the networks.
        threads: Number of CPU threads of a network.
        angles: Whether to compare with the slide at 45 degrees, and store where the two differ.
        report: Receiver of messages about the progress.
        block_px: Largest side of a block, canvas px.

    Raises:
        ConfigError: The slide has no tissue, or nothing that can be computed again.
        WsipipeError: The slide, its weights or its image cannot be read, see
            :func:`~wsipipe.pipeline.certificate.opened.opened`.
    """
    with opened(folder) as slide:
        candidates, blocks, side = _blocks(slide, sample, block_px)
        networks = Networks(slide, device, threads)
        stages = [stage for stage in slide.stages if _is_local(stage, slide.pixels)]
        layers: list[LayerCheck] = []
        for stage in stages:
            report(f"{stage.name}: {len(blocks)} blocks")
            layers += _check_stage(slide, stage, blocks, side, networks)
        if slide.pixels.is_stored(NUCLEI) and slide.workflow.instances is not None:
            report(f"nuclei: {len(blocks)} blocks")
            layers.append(check_nuclei(slide, blocks, _sides(slide, side)))
        layers = [layer for layer in layers if layer.compared_px]
        if not layers:
            raise ConfigError(
                f"{slide.result.folder} has no array that can be computed from other arrays of the store. "
                "Certify a result of a workflow with networks or a stored image."
            )
        found = None
        if angles:
            report(f"45 degrees: {len(blocks)} blocks")
            found = measure_angles(slide, blocks, networks)
        return make_certificate(
            layers,
            slide_id=str(slide.result.attributes["slide_id"]),
            plan=slide.result.manifest["plan"],
            manifest_digest=slide.result.manifest["digest"],
            wsipipe=__version__,
            networks=networks.used,
            pixels_from=slide.pixels_from,
            blocks=[CertifiedBlock(**vars(block)) for block in blocks],
            blocks_with_tissue=candidates,
            not_compared=_not_compared(slide, {layer.name for layer in layers}),
            angles=found,
        )


def _blocks(slide: OpenedSlide, sample: int, block_px: int) -> tuple[int, list[Region], int]:
    """Return the number of blocks with tissue, the sample and the side of a block."""
    side, downsample = block_side(slide.lattice_px, block_px), tissue_downsample(slide.grid.mpp)
    tissue = slide.pixels.array(TISSUE)[...]
    found = blocks_with_tissue(tissue, downsample, slide.grid.shape, side)
    if not found:
        raise ConfigError(f"{slide.result.folder} has no tissue, so there is nothing to certify.")
    return len(found), sample_blocks(found, sample, slide.result.manifest["digest"]), side


def _sides(slide: OpenedSlide, block_px: int) -> list[int]:
    """Return the sides of the smaller shards, canvas px: parts of a block on the lattice."""
    return [block_px // part for part in _DIVISIONS if block_px // part % slide.lattice_px == 0]


def _is_local(stage: Stage, pixels: PublishedPixels) -> bool:
    """Return whether a stage's arrays can be computed again from what is published."""
    reads_around = all(pixels.has(read.name) and not read.anywhere for read in stage.reads)
    return bool(stage.reads) and reads_around and not stage.single_task and bool(_writes(stage, pixels))


def _writes(stage: Stage, pixels: PublishedPixels) -> list[Write]:
    return [write for write in stage.writes if write.codec == "zstd" and pixels.is_stored(write.name)]


def _check_stage(
    slide: OpenedSlide, stage: Stage, blocks: list[Region], side: int, networks: Networks
) -> list[LayerCheck]:
    downsample = stage.downsample
    # A coarser level whose px are not whole px of a block has no turned counterpart.
    if side // 2 % downsample or any(length % downsample for length in slide.grid.shape):
        return []
    sides = [each for each in _sides(slide, side) if each % downsample == 0]
    exact, writes = networks.exact(stage), _writes(stage, slide.pixels)
    counts = {
        write.name: (dict.fromkeys(Orientation.__members__, 0), dict.fromkeys(map(str, sides), 0))
        for write in writes
    }
    compute = partial(_stage_in, slide, stage.name, networks)
    compared = 0
    for block in blocks:
        core = block.scaled(1, downsample)
        stored = {write.name: read_region(slide.pixels.array(write.name), core, 0) for write in writes}
        compared += core.area_px
        for orientation in Orientation:
            found = compute(orientation).compute(core, side // downsample)
            for name, (turned, _) in counts.items():
                turned[orientation.name] += differing_px(stored[name], found[name])
        for each in sides:
            found = compute(Orientation.R0).compute(core, each // downsample)
            for name, (_, divided) in counts.items():
                divided[str(each)] += differing_px(stored[name], found[name])
    return [
        LayerCheck(
            name=name,
            compared_px=compared,
            differing_px=turned,
            differing_px_by_side=divided,
            exact=exact,
        )
        for name, (turned, divided) in counts.items()
    ]


def _stage_in(slide: OpenedSlide, name: str, networks: Networks, orientation: Orientation) -> TurnedStage:
    stage = next(stage for stage in slide.turned_stages(orientation) if stage.name == name)
    tables = networks.tables() if stage.network else {}
    return TurnedStage(stage, orientation, slide.grid, slide.pixels, tables, networks.of(stage))


def _not_compared(slide: OpenedSlide, compared: set[str]) -> dict[str, str]:
    """Return the reason by stored array that was not compared."""
    reasons = {}
    for stage in slide.stages:
        for write in stage.writes:
            if write.name in compared or not slide.pixels.is_stored(write.name):
                continue
            if write.codec != "zstd":
                reasons[write.name] = "stored with loss"
            elif stage.single_task or stage.name == "tile":
                reasons[write.name] = "computed from the slide itself"
            elif all(slide.pixels.has(read.name) for read in stage.reads):
                reasons[write.name] = "its px do not divide the blocks"
            else:
                reasons[write.name] = "computed from arrays that are not published"
    return reasons
