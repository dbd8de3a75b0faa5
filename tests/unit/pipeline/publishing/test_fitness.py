"""Slides that the weights do not fit end with a warning that names a remedy; ordinary ones end without."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.geometry import Orientation, Region
from wsipipe.models.cards.training_range import TrainingRange
from wsipipe.models.cards.weights import WEIGHTS_DIR, list_models, read_card, write_card
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.publishing.fitness import fit_warnings
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.workflow import Workflow
from wsipipe.store.names import CHECKS
from wsipipe.tiling.slide import open_slide

NUCLEI, RESTAINED = "nuclei_gmr_unet_0.5", "nuclei_gmr_unet_0.5_restained"
ORDINARY = {
    "brightness": 200.0,
    "segment_hue_share": 0.9,
    "tissue_mm2": 1.0,
    "nuclei_per_mm2": 3000.0,
    "nucleus_area_um2": 30.0,
}


@pytest.fixture
def plan(small_slide: Path, tiny_workflow: Workflow, plan_for: object) -> Plan:
    segment = SegmentParams(weights=NUCLEI, precision="float32")
    return plan_for(small_slide, tiny_workflow.model_copy(update={"segment": segment, "classify": None}))


def codes(plan: Plan, **measures: float) -> list[str]:
    return [warning.code for warning in fit_warnings(plan, ORDINARY | measures)]


@pytest.mark.parametrize("name", list_models(WEIGHTS_DIR))
def test_every_shipped_card_has_training_ranges(name: str) -> None:
    card = read_card(name)
    found = card.training_range
    assert found is not None
    assert 20 < found.hue_degrees[0] < 100 < 140 < found.hue_degrees[1] < 185
    assert (found.nuclei_per_mm2 is None) == (card.activation == "softmax") == (card.known is not None)
    assert card.organ == ("colon" if card.activation == "softmax" else "")


def test_an_ordinary_slide_has_no_warning(plan: Plan) -> None:
    assert codes(plan) == []


@pytest.mark.parametrize(
    ("measures", "code"),
    [
        ({"segment_hue_share": 0.1}, "UNLIKE_STAIN"),
        ({"brightness": 6.0, "segment_hue_share": 0.1}, "DARK_BACKGROUND"),
        ({"nuclei_per_mm2": 200.0}, "FEW_NUCLEI"),
        ({"nuclei_per_mm2": 200_000.0}, "MANY_NUCLEI"),
        ({"nucleus_area_um2": 2.0}, "UNLIKE_SIZE"),
        ({"nucleus_area_um2": 400.0}, "UNLIKE_SIZE"),
        ({"file_mpp": 1.0}, "OTHER_MPP"),
        ({"file_mpp": 0.0625}, "OTHER_MPP"),
    ],
)
def test_measures_beyond_the_training_range_give_a_warning(
    plan: Plan, measures: dict[str, float], code: str
) -> None:
    assert codes(plan, **measures) == [code]


def test_too_little_is_not_judged(plan: Plan) -> None:
    assert codes(plan, nuclei_per_mm2=0.0, tissue_mm2=0.01) == []
    assert codes(plan, nuclei_per_mm2=0.0, tissue_mm2=1.0) == ["FEW_NUCLEI"]
    few = {name: ORDINARY[name] for name in ("brightness", "tissue_mm2", "nuclei_per_mm2")}
    assert fit_warnings(plan, few) == []


def test_cards_without_ranges_are_not_compared(plan: Plan) -> None:
    card = plan.cards["segment"].model_copy(update={"training_range": None})
    bare = Plan(plan.slide, plan.facts, plan.workflow, {"segment": card})
    assert fit_warnings(bare, ORDINARY | {"segment_hue_share": 0.0, "brightness": 0.0}) == []


def test_restaining_weights_are_not_told_to_be_tried_again(plan: Plan) -> None:
    (plain,) = fit_warnings(plan, ORDINARY | {"segment_hue_share": 0.0})
    assert f"segment.weights={RESTAINED}" in plain.message
    adapting = Plan(plan.slide, plan.facts, plan.workflow, {"segment": read_card(RESTAINED)})
    (warning,) = fit_warnings(adapting, ORDINARY | {"segment_hue_share": 0.0})
    assert "segment.weights" not in warning.message
    assert "adapted" in warning.message


@pytest.fixture(scope="module")
def workflow(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    """Tissue classes by tiny weights whose card has the training range of H&E."""
    folder = tmp_path_factory.mktemp("trained")
    trained = TrainingRange(hue_degrees=(60, 168), least_brightness=126)
    name = "tiny_tissue"
    (folder / f"{name}.safetensors").write_bytes((tiny_weights / f"{name}.safetensors").read_bytes())
    write_card(
        read_card(tiny_weights / f"{name}.safetensors").model_copy(update={"training_range": trained}), folder
    )
    weights = str(folder / f"{name}.safetensors")
    return Workflow.model_validate({"name": "tiny", "classify": {"weights": weights, "precision": "float32"}})


def brown(pixels: np.ndarray) -> np.ndarray:
    """The picture in the colours of DAB: as dense, but blue light is taken most."""
    density = -np.log((pixels.astype(float) + 1) / 256).sum(axis=2, keepdims=True)
    return np.rint(np.clip(256 * np.exp(-density * (0.17, 0.35, 0.48)) - 1, 0, 255)).astype(np.uint8)


def dark(pixels: np.ndarray) -> np.ndarray:
    """As in fluorescence."""
    return (255 - pixels) // np.array([8, 8, 1], np.uint8)


def checks_of(workflow: Workflow, pixels: np.ndarray, folder: Path, scheduler: str, mpp: float) -> dict:
    path = folder / "picture.png"
    Image.fromarray(pixels).save(path)
    made = run(workflow, path, folder / "out", mpp=mpp, resources=Resources(scheduler=scheduler))
    assert made.exit_code == 0
    found = json.loads((made.out / made.slides[0].slide_id / CHECKS).read_text())
    return found | {"codes": [warning["code"] for warning in found["warnings"]]}


@pytest.fixture(scope="module")
def pixels(small_slide: Path) -> np.ndarray:
    with open_slide(small_slide) as slide:
        return slide.read(Region(256, 256, 640, 768), 0.25)


def test_colours_are_judged_on_the_slide(
    workflow: Workflow, pixels: np.ndarray, scheduler: str, tmp_path: Path
) -> None:
    found = {}
    for name, picture in (("plain", pixels), ("brown", brown(pixels)), ("dark", dark(pixels))):
        folder = tmp_path / name
        folder.mkdir()
        found[name] = checks_of(workflow, np.ascontiguousarray(picture), folder, scheduler, 0.5)
    assert found["plain"]["codes"] == []
    assert found["plain"]["measures"]["classify_hue_share"] > 0.9
    assert found["brown"]["codes"] == ["UNLIKE_STAIN"]
    assert "DARK_BACKGROUND" in found["dark"]["codes"]


def test_a_turned_slide_has_the_same_measures(
    workflow: Workflow, pixels: np.ndarray, scheduler: str, tmp_path: Path
) -> None:
    found = []
    pixels = np.concatenate([pixels, brown(pixels)])
    for orientation in (Orientation.R0, Orientation.M90):
        folder = tmp_path / orientation.name
        folder.mkdir()
        turned = np.ascontiguousarray(orientation.apply(pixels))
        found.append(checks_of(workflow, turned, folder, scheduler, 0.5)["measures"])
    assert found[0] == found[1]
    assert 0.2 < found[0]["classify_hue_share"] < 0.8
