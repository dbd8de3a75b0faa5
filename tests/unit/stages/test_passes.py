"""A network runs in bands where it can, and patch by patch elsewhere, with one result."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.weights import read_card
from wsipipe.models.networks.registry import build
from wsipipe.models.predictor import Predictor, load_predictor
from wsipipe.models.streaming.area import Area, Found
from wsipipe.stages.passes import BAND_PX, PassSizes, passes

CELL_PX = 16
NETWORKS = [("nuclei_gmr_unet_0.5", False), ("tissue_gmr_resnet18_1.0", True)]


class Patches:
    """A predictor that can only be called on patches."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor, self.calls = predictor, 0

    def __call__(self, patch: Array) -> Array:
        self.calls += 1
        return self.predictor(patch)

    def with_unknown(self, patch: Array) -> tuple[Array, Array]:
        self.calls += 1
        return self.predictor.with_unknown(patch)


def stored(
    network: object, pixels: Array, wanted: Array, sizes: PassSizes, unknown: bool
) -> tuple[Array, ...]:
    """Return probabilities and unknown cells where they are wanted, else 0."""
    factor = CELL_PX // sizes.stride
    inside = wanted.repeat(factor, 0).repeat(factor, 1)
    maps, beyond = np.zeros((8, *inside.shape), np.float32), np.zeros(inside.shape, bool)
    for found in passes(network, pixels, wanted, sizes, unknown):
        maps[: len(found.probabilities), *found.region.slices] = found.probabilities
        if found.unknown is not None:
            beyond[found.region.slices] = found.unknown
    return np.where(inside, maps, 0), beyond & inside


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("patch_px", [64, 128])
@pytest.mark.parametrize(("name", "unknown"), NETWORKS)
def test_bands_and_patches_agree_to_the_last_bit(
    name: str, unknown: bool, patch_px: int, precision: str
) -> None:
    predictor = load_predictor(name, "cpu", precision, unknown=unknown)
    rng = np.random.default_rng(patch_px)
    rows, columns = (8, 12) if patch_px == 128 else (4, 5)
    shape = tuple(side * CELL_PX + 2 * predictor.halo_px for side in (rows, columns))
    pixels = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    wanted = rng.random((rows, columns)) < 0.4
    sizes = PassSizes(CELL_PX, predictor.halo_px, patch_px, predictor.stride)
    patches = Patches(predictor)
    bands = stored(predictor, pixels, wanted, sizes, unknown)
    assert patches.calls == 0
    for one, other in zip(bands, stored(patches, pixels, wanted, sizes, unknown), strict=True):
        np.testing.assert_array_equal(one, other)
    assert patches.calls > 0
    assert bands[0].any()


NARROW = {
    "gmr_unet": {"widths": [4, 8], "kernel_sizes": [5, 3]},
    "gmr_resnet18": {"num_classes": 8, "width": 4, "kernel_sizes": [5, 3, 3, 3]},
}


@pytest.mark.parametrize(("name", "unknown"), NETWORKS)
def test_in_float64_a_network_runs_on_patches_as_before(name: str, unknown: bool) -> None:
    """Networks of the shipped kinds, but narrow: double precision has no ring kernel and is slow."""
    torch.manual_seed(0)
    card = read_card(name)
    network = build(card.architecture, NARROW[card.architecture], card.mode).eval()
    known = torch.eye(network.head.in_features, dtype=torch.float64) if unknown else None
    predictor = Predictor(network, card, "cpu", "float64", known)
    assert not predictor.in_bands
    pixels = (
        np.random.default_rng(0).integers(0, 256, (64 + 2 * predictor.halo_px,) * 2 + (3,)).astype(np.uint8)
    )
    wanted = np.ones((4, 4), bool)
    sizes = PassSizes(CELL_PX, predictor.halo_px, 64, predictor.stride)
    maps, _ = stored(predictor, pixels, wanted, sizes, unknown)
    edge = predictor.halo_px // predictor.stride
    whole = predictor(pixels)[:, edge:-edge, edge:-edge]
    np.testing.assert_array_equal(maps[: len(whole)], whole)


class Noting:
    """A network in bands that notes what it is asked for."""

    in_bands = True

    def __init__(self) -> None:
        self.asked: list[tuple[Area, bool]] = []

    def bands(self, pixels: Array, area: Area, unknown: bool) -> Iterator[Found]:
        self.asked.append((area, unknown))
        yield Found(Region(0, 0, 16, 16), np.ones((1, 16, 16), np.float32), None)


@pytest.mark.parametrize(
    ("patch_px", "band_px"), [(1024, BAND_PX), (256, BAND_PX), (128, 32), (64, 16), (2, 1)]
)
def test_bands_are_thin_and_thinner_for_small_patches(patch_px: int, band_px: int) -> None:
    network, wanted = Noting(), np.ones((1, 1), bool)
    found = list(passes(network, np.zeros((48, 48, 3), np.uint8), wanted, PassSizes(16, 16, patch_px)))
    assert [each.region for each in found] == [Region(0, 0, 16, 16)]
    assert network.asked == [(Area(wanted, 16, 16, band_px), False)]
