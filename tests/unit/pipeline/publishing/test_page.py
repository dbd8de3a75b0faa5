"""What the page of a slide shows is exact: pictures, density, nuclei, areas."""

import base64
import csv
import io
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsipipe.geometry import Region
from wsipipe.pipeline.publishing import density
from wsipipe.pipeline.publishing.density import DensityMap, density_map, rounded_up
from wsipipe.pipeline.publishing.page import pictures
from wsipipe.pipeline.publishing.page.gallery import doubtful_rows, random_rows, svg_path, typical_rows
from wsipipe.pipeline.publishing.page.pictures import (
    jpeg_uri,
    palette_image,
    shown_downsample,
    slide_pixels,
    tissue_outline,
)
from wsipipe.pipeline.publishing.page.request import settings_of
from wsipipe.pipeline.reporting.slide_page import page_path, thumbnail_path
from wsipipe.stages.grid import CanvasGrid
from wsipipe.store.names import SUMMARY
from wsipipe.store.result import Result

SHAPE = (192, 128)


class Inputs:
    """Stored image levels and labels, and the slide itself."""

    def __init__(self, tissue: np.ndarray) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
        self.tissue = tissue
        self.canvas = SimpleNamespace(read_coarse=lambda factor, part: (self.coarse(factor, part), None))

    def coarse(self, factor: int, part: Region) -> np.ndarray:
        small = np.rint(self.pixels.reshape(192 // factor, factor, 128 // factor, factor, 3).mean((1, 3)))
        return small.astype(np.uint8)[part.slices]

    def read(self, read: Any, part: Region) -> Any:
        assert read.name == f"image/{read.downsample.bit_length() - 1}"
        return SimpleNamespace(pixels=self.coarse(read.downsample, part))

    def array(self, name: str) -> np.ndarray:
        return self.tissue[:: 1 << int(name[-1]), :: 1 << int(name[-1])]


def plan_of(image: str = "lossless") -> Any:
    grid = CanvasGrid(SHAPE, 0.5, (0.0, 0.0), 1.0)
    facts = SimpleNamespace(grid=grid, lattice_px=64, mpp=0.5)
    workflow = SimpleNamespace(tile=SimpleNamespace(image=image))
    return SimpleNamespace(facts=facts, workflow=workflow, levels=3, downsample=lambda name: 16)


@pytest.fixture
def inputs() -> Inputs:
    tissue = np.zeros((12, 8), np.uint8)
    tissue[2:8, 2:6] = 1
    return Inputs(tissue)


@pytest.mark.parametrize("image", ["lossless", "none"])
@pytest.mark.parametrize(("most", "downsample"), [(192, 1), (191, 2), (50, 4), (24, 8)])
def test_the_picture_has_the_finest_level_that_fits(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, image: str, most: int, downsample: int
) -> None:
    monkeypatch.setattr(pictures, "LONGEST_SIDE_PX", most)
    monkeypatch.setattr(pictures, "_BLOCK_PX", 16)
    plan = plan_of(image)
    assert shown_downsample(plan) == downsample
    found = slide_pixels(plan, inputs)  # type: ignore[arg-type]
    exact = inputs.coarse(downsample, Region(0, 0, 192 // downsample, 128 // downsample))
    assert np.abs(found.astype(int) - exact).max() <= (1 if downsample == 8 else 0)


def test_the_outline_runs_along_the_edge_of_the_tissue(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "LONGEST_SIDE_PX", 192)
    values = np.asarray(tissue_outline(plan_of(), inputs, SHAPE))  # type: ignore[arg-type]
    assert values.shape == SHAPE
    line = np.argwhere(values == 2)
    assert (line.min(0) >= (29, 29)).all()
    assert (line.max(0) <= (130, 98)).all()
    # Inside and far outside there is nothing.
    assert not values[45:115, 45:83].any()
    assert not values[:20].any()
    assert np.asarray(tissue_outline(plan_of(), Inputs(np.zeros((12, 8), np.uint8)), SHAPE)).max() == 0  # type: ignore[arg-type]


def test_pixels_without_a_class_are_transparent() -> None:
    image = palette_image(np.array([[1, 9]], np.uint8), {1: (10, 20, 30)}, {1: 150})
    assert np.asarray(image.convert("RGBA")).tolist() == [[[10, 20, 30, 150], [0, 0, 0, 0]]]


def table(path: Any, places: list[tuple[float, float]]) -> Any:
    y, x = np.array(places).reshape(-1, 2).T
    pq.write_table(pa.table({"centroid_y_px0": y, "centroid_x_px0": x}), path)
    return path


def test_density_is_per_area_of_tissue(inputs: Inputs, tmp_path: Any) -> None:
    """Evenly spread nuclei have one density everywhere, up to the edge of the tissue."""
    places = [(y + 0.5, x + 0.5) for y in range(32, 128, 4) for x in range(32, 96, 4)]
    found = density_map(plan_of(), inputs, table(tmp_path / "n.parquet", places))  # type: ignore[arg-type]
    assert found is not None
    # One nucleus for each 4 x 4 px of 0.5 um.
    inside = found.tissue > 0
    np.testing.assert_allclose(found.values[inside], 250_000, rtol=1e-9)
    assert found.most == 250_000
    assert (found.cell_px, found.smoothing_um) == (32, 64.0)
    alpha = found.pixels()[..., 3]
    assert set(np.unique(alpha)) == {0, 200}
    assert ((alpha > 0) == inside).all()


def test_the_overview_has_the_densities_of_the_page(inputs: Inputs, tmp_path: Any) -> None:
    """One pixel of the picture per cell has the cell's own value."""
    places = [(y + 0.5, x + 0.5) for y in range(32, 128, 4) for x in range(32, 64, 4)]
    found = density_map(plan_of(), inputs, table(tmp_path / "n.parquet", places))  # type: ignore[arg-type]
    assert found is not None
    shares = found.shares((6, 4), SHAPE)
    np.testing.assert_allclose(shares * found.most, found.values, rtol=1e-5)


def test_cells_that_reach_beyond_the_slide_are_cut() -> None:
    found = DensityMap(np.array([[0.0], [1000.0]]), np.ones((2, 1)), 1000.0, 32, 64.0)
    # The slide is one and a half cells high: pixels of its picture have their centres at 0.25, 0.75 and 1.25.
    np.testing.assert_allclose(found.shares((3, 1), (48, 32))[:, 0], [0, 0.25, 0.75], atol=1e-6)
    # The sister: of two whole cells the pixels lie elsewhere.
    np.testing.assert_allclose(found.shares((3, 1), (64, 32))[:, 0], [0, 0.5, 1], atol=1e-6)


def test_sister_per_area_of_all_the_density_is_too_low(
    inputs: Inputs, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(density, "_tissue_by_cell", lambda labels, factor: np.ones((6, 4)))
    places = [(y + 0.5, x + 0.5) for y in range(32, 128, 4) for x in range(32, 96, 4)]
    found = density_map(plan_of(), inputs, table(tmp_path / "n.parquet", places))  # type: ignore[arg-type]
    assert found is not None
    assert found.values.max() < 200_000


def test_without_nuclei_there_is_no_density(inputs: Inputs, tmp_path: Any) -> None:
    assert density_map(plan_of(), inputs, table(tmp_path / "n.parquet", [])) is None  # type: ignore[arg-type]


def test_scales_end_at_two_digits() -> None:
    assert [rounded_up(value) for value in (4613.0, 4600.0, 12.3, 0.123)] == [4700, 4600, 13, 0.13]


def test_nuclei_are_chosen_by_rule() -> None:
    assert random_rows(5).tolist() == [0, 1, 2, 3, 4]
    assert random_rows(10_000).tolist() == random_rows(10_000).tolist()
    assert len({*random_rows(10_000).tolist()}) == 12
    probability = np.array([0.9, np.nan, 0.5, 0.7, 0.5])
    assert doubtful_rows(probability).tolist() == [2, 4, 3, 0, 1]
    areas = np.array([10, 20, 30, 40, 500.0])
    assert typical_rows([areas]).tolist() == [2, 1, 3, 0, 4]
    # A second measure decides among equals, and one that is unknown everywhere does not count.
    assert typical_rows([areas, np.array([0, 9, 5, 5, 5.0]), np.full(5, np.nan)]).tolist()[:2] == [2, 3]


def test_paths_of_svg() -> None:
    assert svg_path(np.array([[1.25, 2.0], [3.0, 4.06]])) == "M2.0 1.2L4.1 3.0Z"


def test_settings_have_the_names_of_the_command_line() -> None:
    values = {"name": "n", "segment": {"weights": "w", "sizes": [1, 2]}, "classify": None}
    assert [*settings_of(values)] == [
        ("segment.weights", "w"),
        ("segment.sizes", "1, 2"),
        ("classify", "None"),
    ]


def test_pictures_are_in_the_page() -> None:
    uri = jpeg_uri(np.full((4, 6, 3), 200, np.uint8))
    assert uri.startswith("data:image/jpeg;base64,")
    assert Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (6, 4)


def test_a_run_writes_the_page_of_each_slide(finished: Result) -> None:
    out, slide_id = finished.folder.parent, finished.folder.name
    text = page_path(out, slide_id).read_text(encoding="utf-8")
    with (finished.folder / SUMMARY).open(newline="") as file:
        rows = [*csv.DictReader(file)]
    whole = rows[0]
    assert f'<td class="number">{float(whole["area_mm2"]):,.3f}</td>' in text
    assert f'<td class="number">{int(whole["nuclei"]):,}</td>' in text
    nuclei = finished.nuclei
    lowest = nuclei.sort_values(["probability", "id"], kind="stable")["id"].head(12)
    doubtful = text.partition("Most doubtful")[2]
    assert [int(found) for found in re.findall(r"<p>#(\d+)", doubtful)] == lowest.tolist()
    with Image.open(thumbnail_path(out, slide_id)) as small:
        assert small.size == (256, 256)
    assert f'href="reports/{slide_id}.html"' in (out / "report.html").read_text()
    # The law of the manifest: the page has times, so it is beside the result.
    assert not [*finished.folder.glob("*.html")]
