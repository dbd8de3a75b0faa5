"""Bands of rows give the bits of one pass."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsipipe.errors import ModelError
from wsipipe.models.predictor import Predictor, load_predictor
from wsipipe.models.streaming import bands, lines
from wsipipe.models.streaming.area import Area

NUCLEI, TISSUE = "nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0"
# The predictor of a module is shared by its examples, and undefined_values changes nothing between them.
FEW = settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
areas = st.tuples(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0.05, 0.3, 1.0]),
    st.sampled_from([1, 16, 48, 4096]),
    st.integers(0, 99),
)
"""Rows and columns of cells, share of wanted cells, rows of a band and seed."""
pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(autouse=True)
def undefined_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill memory that no layer wrote with NaN."""
    grow = lines.Lines.grow
    monkeypatch.setattr(lines.Lines, "grow", lambda self, end: grow(self, end).fill_(torch.nan))


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def nuclei(request: pytest.FixtureRequest) -> Predictor:
    return load_predictor(NUCLEI, "cpu", request.param)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def tissue(request: pytest.FixtureRequest) -> Predictor:
    return load_predictor(TISSUE, "cpu", request.param, unknown=True)


def image(predictor: Predictor, rows: int, columns: int, cell_px: int, seed: int) -> np.ndarray:
    halo = predictor.halo_px
    shape = (rows * cell_px + 2 * halo, columns * cell_px + 2 * halo, 3)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def wanted_cells(rows: int, columns: int, share: float, seed: int) -> np.ndarray:
    wanted = np.random.default_rng(seed).random((rows, columns)) < share
    wanted[seed % rows, seed % columns] = True
    return wanted


def in_bands(
    predictor: Predictor,
    pixels: np.ndarray,
    wanted: np.ndarray,
    cell_px: int,
    band_px: int,
    unknown: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and unknown cells of the core, 0 where nothing was computed."""
    height, width = (side * cell_px // predictor.stride for side in wanted.shape)
    maps = np.zeros((len(predictor.outputs), height, width), np.float32)
    beyond = np.zeros((height, width), bool)
    area = Area(wanted, cell_px, predictor.halo_px, band_px)
    for found in predictor.bands(pixels, area, unknown):
        maps[:, *found.region.slices] = found.probabilities
        if found.unknown is not None:
            beyond[found.region.slices] = found.unknown
    return maps, beyond


def on_px(wanted: np.ndarray, factor: int) -> np.ndarray:
    return wanted.repeat(factor, 0).repeat(factor, 1)


@FEW
@given(areas)
def test_nuclei_are_those_of_one_pass(nuclei: Predictor, drawn: tuple) -> None:
    rows, columns, share, band_px, seed = drawn
    pixels, wanted = image(nuclei, rows, columns, 16, seed), wanted_cells(rows, columns, share, seed)
    halo = nuclei.halo_px
    whole = nuclei(pixels)[:, halo:-halo, halo:-halo]
    maps, _ = in_bands(nuclei, pixels, wanted, 16, band_px)
    np.testing.assert_array_equal(maps, np.where(on_px(wanted, 16), whole, 0))


@FEW
@given(areas)
def test_tissue_classes_are_those_of_one_pass(tissue: Predictor, drawn: tuple) -> None:
    rows, columns, share, band_px, seed = drawn
    pixels, wanted = image(tissue, rows, columns, 16, seed), wanted_cells(rows, columns, share, seed)
    cells = tissue.halo_px // 16
    whole, unknown = tissue.with_unknown(pixels)
    inner = np.s_[..., cells:-cells, cells:-cells]
    maps, beyond = in_bands(tissue, pixels, wanted, 16, band_px, unknown=True)
    np.testing.assert_array_equal(maps, np.where(wanted, whole[inner], 0))
    np.testing.assert_array_equal(beyond[wanted], unknown[inner][wanted])


def test_cells_smaller_than_the_lattice_are_joined(nuclei: Predictor) -> None:
    pixels, wanted = image(nuclei, 8, 8, 4, 3), np.zeros((8, 8), bool)
    wanted[3, 4] = True
    halo = nuclei.halo_px
    maps, _ = in_bands(nuclei, pixels, wanted, 4, 16)
    joined = np.zeros((32, 32), bool)
    joined[8:16, 16:24] = True
    np.testing.assert_array_equal(maps, np.where(joined, nuclei(pixels)[:, halo:-halo, halo:-halo], 0))


def test_sister_a_pixel_inside_the_reach_changes_the_result(
    nuclei: Predictor,
) -> None:
    pixels, wanted = image(nuclei, 3, 3, 16, 4), np.zeros((3, 3), bool)
    wanted[1, 1] = True
    before, _ = in_bands(nuclei, pixels, wanted, 16, 16)
    outside, inside = pixels.copy(), pixels.copy()
    outside[0, 0], inside[136 + 8, 136 + 8] = 255 - outside[0, 0], 255 - inside[136 + 8, 136 + 8]
    np.testing.assert_array_equal(in_bands(nuclei, outside, wanted, 16, 16)[0], before)
    assert (in_bands(nuclei, inside, wanted, 16, 16)[0] != before).any()


def test_sister_too_short_a_reach_gives_other_values(
    nuclei: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, wanted = image(nuclei, 2, 2, 16, 5), np.ones((2, 2), bool)
    wanted[0, 0] = False
    monkeypatch.setattr(bands, "needed_cells", short)
    with pytest.raises(ModelError, match="NaN"):
        in_bands(nuclei, pixels, wanted, 16, 4096)


def short(wanted: torch.Tensor, reach: object) -> torch.Tensor:
    """Return the cells of a layer as if it needed only the wanted ones, without context."""
    first, last = reach.cells
    cells = torch.zeros([side + last - first for side in wanted.shape], dtype=torch.uint8)
    cells[-first : -first + wanted.shape[0], -first : -first + wanted.shape[1]] = wanted
    return cells


def test_a_core_off_the_lattice_and_too_little_context_are_refused(nuclei: Predictor) -> None:
    pixels = image(nuclei, 1, 1, 16, 0)
    with pytest.raises(ModelError, match=r"4 x 4 px is off the lattice. Give multiples of 8 px"):
        in_bands(nuclei, pixels, np.ones((1, 1), bool), 4, 16)
    with pytest.raises(ModelError, match=r"holds 112 px around its core, but the network sees 120 px"):
        list(nuclei.bands(pixels, Area(np.ones((1, 1), bool), 16, 112, 16)))


def test_nothing_wanted_gives_nothing(nuclei: Predictor) -> None:
    assert list(nuclei.bands(image(nuclei, 1, 1, 16, 0), Area(np.zeros((1, 1), bool), 16, 120, 16))) == []


@pytest.mark.parametrize("precision", ["float64"])
def test_other_networks_run_on_patches(precision: str) -> None:
    dense = load_predictor(NUCLEI, "cpu", precision)
    assert not dense.in_bands
    with pytest.raises(ModelError, match="cannot run in bands here"):
        list(dense.bands(np.zeros((256, 256, 3), np.uint8), Area(np.ones((1, 1), bool), 16, 120, 16)))
