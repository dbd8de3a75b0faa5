"""Count the arithmetic of shipped networks that no result needs.

Usage: python benchmarks/overhead.py [--repeats 3] [--side-px 1024] [NETWORK ...]

For each network: multiply-adds computed, divided by those of the pixels that are kept, each layer by its
own cost. Old: patch by patch, each with the whole halo in every layer. New: bands of rows over a shard. Once
for a shard of tissue, once for a ragged mask of 40 % tissue. Then CPU time of old / new on one core,
interleaved, for a core of --side-px.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch

from wsipipe.geometry import Array, Region
from wsipipe.models.predictor import Predictor, load_predictor
from wsipipe.models.streaming.bands import needed_cells
from wsipipe.models.streaming.graph import Layer
from wsipipe.models.streaming.network import BandedNetwork
from wsipipe.models.streaming.reach import Reach, reaches
from wsipipe.stages.classify import ClassifyParams
from wsipipe.stages.passes import PassSizes, blocks, passes
from wsipipe.stages.segment import SegmentParams

SHIPPED = (
    "nuclei_gmr_unet_0.5",
    "nuclei_gmr_unet_0.25",
    "tissue_gmr_resnet18_1.0",
    "glands_gmr_resnet18_0.6",
)
CELL_PX, SHARD_PX, OLD_SHARD_CELLS, SHARE = 16, 2048, 64, 0.4


class Patches:
    """A predictor that runs patch by patch, as before."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def __call__(self, patch: Array) -> Array:
        """Return the probabilities of a patch."""
        return self.predictor(patch)


def layer_cost(layer: Layer, layers: tuple[Layer, ...]) -> float:
    """Return multiply-adds of a layer per image px.

    They are ring sums, their mix, and the matrix product.
    """
    if layer.conv is None:
        return 0
    packed = layer.conv.packed
    channels = sum(layers[source.layer - 1].channels if source.layer else 3 for source in layer.sources)
    mix = 0 if packed.mix is None else packed.mix.numel()
    each = channels * (
        packed.rings * packed.outputs + (packed.kernel_size > 1) * (packed.kernel_size**2 + mix)
    )
    return each / layer.stride**2


def ragged(cells: int, seed: int = 0) -> Array:
    """Return a smooth random mask (cells, cells) of which a share is tissue."""
    noise, wave = np.random.default_rng(seed).normal(size=(cells, cells)), np.fft.fftfreq(cells)
    blur = np.exp(-((wave[:, None] ** 2 + wave**2) * (2 * np.pi * cells / 16) ** 2) / 2)
    smooth = np.real(np.fft.ifft2(np.fft.fft2(noise) * blur))
    return smooth > np.quantile(smooth, 1 - SHARE)


def computed_px(wanted: torch.Tensor, reach: Reach, layer: Layer) -> float:
    """Return the image px for which a layer computes a shard."""
    if wanted.all():
        first, end = reach.span(0, len(wanted))
        return ((end - first) * layer.stride) ** 2
    return int(needed_cells(wanted, reach).sum()) * (reach.cell_px * layer.stride) ** 2


def in_bands(banded: BandedNetwork, wanted: Array) -> float:
    """Return computed / kept multiply-adds of a shard in bands."""
    reach = reaches(banded.layers, CELL_PX, banded.window)[1:]
    costs = [layer_cost(layer, banded.layers) for layer in banded.layers]
    mask = torch.from_numpy(wanted)
    each = zip(costs, reach, banded.layers, strict=True)
    done = sum(cost * computed_px(mask, seen, layer) for cost, seen, layer in each)
    return done / (sum(costs) * wanted.sum() * CELL_PX**2)


def in_patches(wanted: Array, patch_px: int, halo_px: int) -> float:
    """Return computed / kept multiply-adds of a shard in patches."""
    side = len(wanted) * CELL_PX
    found = blocks(Region(0, 0, side, side), patch_px, wanted, CELL_PX)
    return sum(block.grown(halo_px).area_px for block in found) / (wanted.sum() * CELL_PX**2)


def time_ratio(predictor: Predictor, wanted: Array, patch_px: int, repeats: int) -> float:
    """Return the median of old / new CPU time on one core, interleaved."""
    sizes = PassSizes(CELL_PX, predictor.halo_px, patch_px, predictor.stride)
    side = len(wanted) * CELL_PX + 2 * predictor.halo_px
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    ratios = []
    for _ in range(repeats):
        spent = []
        for network in (Patches(predictor), predictor):
            start = time.process_time()
            for _found in passes(network, pixels, wanted, sizes):
                pass
            spent.append(time.process_time() - start)
        ratios.append(spent[0] / spent[1])
    return median(ratios)


def main() -> None:
    """Print a table of overheads and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=SHIPPED)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side-px", type=int, default=1024)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("network | shard px | tissue | overhead old | new | CPU time old / new, core px")
    for name in args.networks:
        predictor = load_predictor(name, "cpu", "float32")
        banded = BandedNetwork.of(predictor._network, predictor.lattice_px)
        if banded is None:
            print(f"{name} | runs patch by patch")
            continue
        dense = predictor.stride > 1
        patch_px = OLD_SHARD_CELLS * CELL_PX if dense else SegmentParams().patch_px
        shard_px = ClassifyParams().shard_cells * CELL_PX if dense else SHARD_PX
        for share, make in ((1.0, lambda cells: np.ones((cells, cells), bool)), (SHARE, ragged)):
            wanted = make(shard_px // CELL_PX)
            old, new = in_patches(wanted, patch_px, predictor.halo_px), in_bands(banded, wanted)
            ratio = time_ratio(predictor, make(args.side_px // CELL_PX), patch_px, args.repeats)
            print(f"{name} | {shard_px} | {share:.0%} | {old:.2f} | {new:.3f} | {ratio:.2f}, {args.side_px}")


if __name__ == "__main__":
    main()
