"""Types and positivity of nuclei from slide to table: any orientation and any shards, the same bits."""

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
import torch
from PIL import Image

from wsipipe.common.colours import SHOWN_TYPES
from wsipipe.errors import ConfigError
from wsipipe.geometry import Orientation, Region
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.networks.registry import build, save
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.publishing.published import read_nuclei_summary
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.review import Session
from wsipipe.review.export import export_review
from wsipipe.review.geojson_import import import_geojson
from wsipipe.review.gui.palette import Palette
from wsipipe.stages.flow import workflow_cards
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.tile import TileParams
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.store.nuclei_table import SCHEMA, nuclei_schema, published_schema
from wsipipe.synth.slide import SyntheticSlide
from wsipipe.tiling.collect import SlideInput

MPP = 0.5
GENERATORS = [Orientation.R90, Orientation.M0]
TYPES = {"epithelial": (200, 0, 0), "inflammatory": (160, 90, 160), "other": (255, 200, 0)}
UNIQUE = ["area_um2", "probability", "type", "type_probability", "dab_od_mean", "dab_class", "positive"]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return SyntheticSlide(5, (2048, 2048), MPP).rgb(Region(600, 500, 131, 331))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> Path:
    """A quick untrained network whose nuclei and types differ from place to place."""
    folder = tmp_path_factory.mktemp("typed")
    torch.manual_seed(3)
    arguments = {"widths": [4, 8], "kernel_sizes": [3, 3], "out_channels": 2 + len(TYPES)}
    network = build("gmr_unet", arguments, "radial").train()
    image = (torch.from_numpy(pixels[:128, :128].copy()).permute(2, 0, 1)[None].float() - 255) / 64
    with torch.no_grad():
        for _ in range(10):
            network(image)
        network.head.weight.mul_(8)
        scores = network.eval()(image)
        network.head.bias -= scores.mean((0, 2, 3))
    outputs = [{"name": "nucleus"}, {"name": "centre"}]
    outputs += [{"name": name, "color": color} for name, color in TYPES.items()]
    card = {"name": "typed", "architecture": "gmr_unet", "arguments": arguments, "mpp": MPP}
    card |= {"outputs": outputs, "types": tuple(TYPES), "activation": "sigmoid", "sha256": "0" * 64}
    save(network, ModelCard(**card, data=("none",), licence="none", non_commercial=False), folder)
    return folder / "typed.safetensors"


def workflow(weights: Path, shard_px: int = 512, **more: object) -> Workflow:
    return Workflow(
        name="typed",
        tile=TileParams(shard_px=shard_px, chunk_px=64),
        segment=SegmentParams(weights=str(weights), precision="float32", patch_px=64, **more),
        instances=InstanceParams(grow_um=4, min_area_um2=1, min_seedless_um2=2, max_area_um2=1e4),
        measure=MeasureParams(positivity=True, dab_thresholds=(0.05, 0.1, 0.2)),
    )


def finished(rgb: np.ndarray, chosen: Workflow, folder: Path) -> Path:
    folder.mkdir()
    Image.fromarray(np.ascontiguousarray(rgb)).save(folder / "slide.png")
    slide = SlideInput("slide", folder / "slide.png", MPP, None, "slide")
    cards = workflow_cards(chosen)
    found = inspect_slide(slide, chosen.tile.mpp, lattice_px(chosen.tile.mpp, cards), "cpu")
    run_slide(InProcessPool(), Plan(slide, found.facts, chosen, cards), folder / "out", Device())
    return folder / "out" / "slide"


def sorted_rows(result: Path) -> list[tuple]:
    table = pq.read_table(result / "nuclei.parquet", columns=UNIQUE)
    return sorted(zip(*table.to_pydict().values(), strict=True), key=repr)


@pytest.fixture(scope="module")
def upright(pixels: np.ndarray, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished(pixels, workflow(weights), tmp_path_factory.mktemp("upright") / "run")


def test_other_orientations_have_the_same_types_and_densities_to_the_last_bit(
    upright: Path, pixels: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    rows = sorted_rows(upright)
    assert len(rows) > 15
    assert len({row[2] for row in rows}) > 1
    assert len({row[5] for row in rows}) > 1
    # All eight are made of these two.
    for orientation in GENERATORS:
        turned = finished(orientation.apply(pixels), workflow(weights), tmp_path / orientation.name)
        assert sorted_rows(turned) == rows, orientation
    other = finished(255 - (255 - pixels) // 2, workflow(weights), tmp_path / "other")
    assert sorted_rows(other) != rows


def test_nuclei_across_the_borders_of_shards_have_the_same_type(
    upright: Path, pixels: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    small = finished(pixels, workflow(weights, shard_px=256), tmp_path / "small")
    assert pq.read_table(small / "nuclei.parquet").equals(pq.read_table(upright / "nuclei.parquet"))
    polygons = pq.read_table(upright / "nuclei.parquet", columns=["polygon"])[0].to_numpy()
    first, _, last, _ = shapely.bounds(shapely.from_wkb(polygons)).T
    # The canvas of 384 px is centred on the 331 px of the slide; its second shard begins at 256.
    border = 256 - (384 - 331) / 2
    assert ((first < border - 1) & (last > border + 1)).any(), "no nucleus crosses the border"


def test_types_and_positivity_are_counted_and_named_in_all_files(upright: Path) -> None:
    table = pq.read_table(upright / "nuclei.parquet")
    assert table.schema.names == published_schema(nuclei_schema(types=True, positivity=True)).names
    counted = read_nuclei_summary(upright)
    types = table["type"].to_pylist()
    assert {name: row["nuclei"] for name, row in counted["types"].items()} == {
        name: types.count(name) for name in TYPES
    }
    area = counted["tissue_mm2"]
    assert counted["types"]["other"]["per_mm2"] == pytest.approx(types.count("other") / area, abs=0.01)
    classes = table["dab_class"].to_numpy()
    assert counted["positivity"]["h_score"] == pytest.approx(100 * classes.mean(), abs=0.01)
    assert counted["positivity"]["positive_percent"] == pytest.approx(100 * (classes > 0).mean(), abs=0.01)
    assert table["positive"].to_pylist() == (classes > 0).tolist()
    with (upright / "summary.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert {name: int(row[f"nuclei: {name}"]) for name in TYPES} == {
        name: types.count(name) for name in TYPES
    }
    assert float(row["h_score"]) == pytest.approx(100 * classes.mean(), abs=0.01)
    features = json.loads(gzip.decompress((upright / "nuclei.geojson.gz").read_bytes()))["features"]
    for feature, name in zip(features, types, strict=True):
        about = feature["properties"]
        assert about["classification"] == {"name": f"Nucleus: {name}", "color": list(TYPES[name])}
        assert {"type_probability", "dab_od_mean", "dab_class"} < about["measurements"].keys()


def test_types_turned_off_leave_the_nuclei_as_they_are(
    upright: Path, pixels: np.ndarray, weights: Path, tmp_path: Path
) -> None:
    chosen = workflow(weights, types=False).model_copy(update={"measure": MeasureParams()})
    plain = finished(pixels, chosen, tmp_path / "plain")
    table = pq.read_table(plain / "nuclei.parquet")
    assert table.schema.names == published_schema(SCHEMA).names
    other = pq.read_table(upright / "nuclei.parquet").select(table.schema.names)
    # With positivity the dyes are haematoxylin and DAB.
    differing = [name for name in table.schema.names if not table[name].equals(other[name])]
    assert differing == ["haematoxylin_od_mean", "eosin_od_mean"]
    assert read_nuclei_summary(plain) == {}


def test_without_types_plans_and_cards_do_not_name_them() -> None:
    plain = load_workflow("nuclei")
    causes = plain.causes()
    assert causes["measure"] == {"positivity": False}
    assert "types" not in causes["segment"]  # type: ignore[operator]
    card = next(iter(workflow_cards(plain).values()))
    assert "types" not in card.model_dump(mode="json")
    off = load_workflow("nuclei", ["segment.types=off"])
    assert off.causes()["segment"]["types"] is False  # type: ignore[index]


def test_positivity_is_asked_for_by_the_workflow(tmp_path: Path) -> None:
    asked = load_workflow("nuclei", ["measure.positivity=true", "measure.dab_thresholds=[0.1, 0.3, 0.5]"])
    assert asked.causes()["measure"] == {"positivity": True, "dab_thresholds": [0.1, 0.3, 0.5]}
    assert not load_workflow("nuclei", ["segment.types=off"]).segment.types  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="must ascend from above 0"):
        load_workflow("nuclei", ["measure.positivity=true", "measure.dab_thresholds=[0.3, 0.2, 0.5]"])
    with pytest.raises(ConfigError, match=r"measure\.positivity needs nuclei"):
        load_workflow("tissue", ["measure.positivity=true"])


def test_the_table_has_its_columns_without_nuclei() -> None:
    assert pa.types.is_boolean(nuclei_schema(positivity=True).field("positive").type)
    assert nuclei_schema().equals(SCHEMA)


def test_a_review_keeps_types_and_shows_them_as_classes(upright: Path, tmp_path: Path) -> None:
    session = Session.open(upright, user="ann", reviews=tmp_path / "reviews")
    published = pq.read_table(upright / "nuclei.parquet")
    types = published["type"].to_pylist()
    assert session.class_names == tuple(TYPES)
    assert [session.class_of(number) for number in (1, 2, 3)] == types[:3]
    palette = Palette(session)
    assert palette.counts()["other"] == types.count("other")
    # QuPath's purple is that of haematoxylin, so the outlines have another colour.
    assert palette.colour("inflammatory") == SHOWN_TYPES["inflammatory"]
    session.relabel([1], "epithelial")
    session.accept([2])
    table = pq.read_table(export_review(session).folder / "nuclei_reviewed.parquet")
    assert table.select(published.schema.names).equals(published)
    assert table["class"].to_pylist() == ["epithelial", *types[1:]]


def test_importing_the_own_geojson_into_a_review_changes_nothing(upright: Path, tmp_path: Path) -> None:
    session = Session.open(upright, user="ann", reviews=tmp_path / "reviews")
    done = import_geojson(session, upright / "nuclei.geojson.gz")
    assert not session.history.touched, done
