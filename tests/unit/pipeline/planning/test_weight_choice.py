"""Weights are chosen by scale and stain, alike in every orientation, and are part of the plan."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.common.atomic_files import write_json
from wsipipe.errors import ConfigError
from wsipipe.geometry import Orientation, Region
from wsipipe.models.cards.shipped import ADAPTING_NUCLEI, DEFAULT_NUCLEI, FINE_NUCLEI
from wsipipe.models.cards.weights import read_card
from wsipipe.models.precision import best_precision
from wsipipe.pipeline.finished import FinishedSlides
from wsipipe.pipeline.planning import stain_share
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.planner import RunPlanner, make_planner
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.planning.weight_choice import WeightChoice, WeightChooser
from wsipipe.pipeline.publishing.page.content import _request
from wsipipe.pipeline.publishing.receipt import write_receipt
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.tiling.collect import SlideInput
from wsipipe.tiling.slide import open_slide

Save = Callable[..., SlideInput]
FAST, FINE = "segment.quality=fast", "segment.quality=fine"


def chooser(*settings: str) -> WeightChooser:
    found = make_planner("nuclei", [*settings], None).chooser
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("setting", "mpp", "share", "weights", "says"),
    [
        (FAST, 0.25, 1.0, DEFAULT_NUCLEI, "100% of the tissue's colour has hues of the training data (H&E)"),
        (FAST, 0.5, 1 / 3, DEFAULT_NUCLEI, "33% of"),
        (FAST, 0.5, 0.33, ADAPTING_NUCLEI, "only 33% of"),
        (FAST, 0.5, None, DEFAULT_NUCLEI, "too little stained tissue"),
        (FINE, 0.25, 0.9, FINE_NUCLEI, "the slide has 0.25 um/px"),
        (FINE, 0.28, None, FINE_NUCLEI, "the slide has 0.28 um/px"),
        # They adapt colours, whatever the stain is.
        (FINE, 0.25, 0.0, FINE_NUCLEI, "the slide has 0.25 um/px"),
        (FINE, 0.281, 0.9, DEFAULT_NUCLEI, f"0.281 um/px, but {FINE_NUCLEI} needs about 0.25; 90% of"),
        (FINE, 0.5, 0.0, ADAPTING_NUCLEI, "needs about 0.25; only 0% of"),
    ],
)
def test_the_rule(setting: str, mpp: float, share: float | None, weights: str, says: str) -> None:
    choice = chooser(setting).choose(mpp, share)
    assert (choice.weights, choice.quality) == (weights, setting.partition("=")[2])
    assert says in choice.why


def test_quality_alone_means_auto_and_open_auto_means_fast() -> None:
    assert chooser(FAST) == chooser("segment.weights=auto") == chooser(FAST, "segment.weights=auto")
    assert make_planner("nuclei", [], None).chooser is None
    assert make_planner("tiling_only", [], None).chooser is None
    assert [each.card.name for each in chooser(FAST).candidates] == [DEFAULT_NUCLEI, ADAPTING_NUCLEI]
    fine = make_planner("nuclei_fine", [], None).chooser
    assert fine == chooser(FINE)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ([FINE, f"segment.weights={DEFAULT_NUCLEI}"], "Leave out one of the two, or set weights=auto"),
        (["segment.quality=best"], "Input should be 'fast' or 'fine' (found 'best')"),
        ([FINE, "tile.mpp=0.5"], f"{FINE_NUCLEI} work at 0.25 um/px, but the canvas has 0.5 um/px"),
    ],
)
def test_what_contradicts_itself_is_refused(settings: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_planner("nuclei", settings, None)
    assert says in str(caught.value)


def test_all_weights_that_may_be_chosen_are_announced() -> None:
    notices = make_planner("nuclei_fine", [], (0, 0, 9, 9)).notices()
    assert [notice.split()[2] for notice in notices[:-1]] == [DEFAULT_NUCLEI, ADAPTING_NUCLEI, FINE_NUCLEI]
    assert "Colours are counted in the region alone" in notices[-1]


def brown(pixels: np.ndarray) -> np.ndarray:
    """The picture in the colours of DAB: as dense, but blue light is absorbed most."""
    density = -np.log((pixels.astype(float) + 1) / 256).sum(axis=2, keepdims=True)
    return np.rint(np.clip(256 * np.exp(-density * (0.17, 0.35, 0.48)) - 1, 0, 255)).astype(np.uint8)


@pytest.fixture(scope="module")
def pixels(small_slide: Path) -> np.ndarray:
    """A part of a made slide, in the colours of H&E."""
    with open_slide(small_slide) as slide:
        return np.ascontiguousarray(slide.read(Region(256, 256, 640, 768), 0.25))


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes pictures as slides."""

    def write(picture: np.ndarray, mpp: float = 0.25, mask: np.ndarray | None = None) -> SlideInput:
        path, mask_path = tmp_path / "picture.png", tmp_path / "mask.png"
        Image.fromarray(np.ascontiguousarray(picture)).save(path, compress_level=0)
        if mask is not None:
            Image.fromarray(mask).save(mask_path)
        return SlideInput("picture", path, mpp, mask_path if mask is not None else None, "picture")

    return write


def planned(slide: SlideInput, *settings: str, planner: RunPlanner | None = None) -> Plan:
    """Plan a slide as a worker and the driver do."""
    planner = planner or make_planner("nuclei", [*settings], None)
    given = (slide, planner.workflow.tile.mpp, planner.lattice, "cpu", planner.coarsest_mpp, planner.chooser)
    return planner.plan_of(slide, inspect_slide(*given))[0]


def weights_of(plan: Plan) -> str:
    assert plan.workflow.segment is not None
    assert plan.cards["segment"] == read_card(plan.workflow.segment.weights)
    return plan.workflow.segment.weights


def test_made_slides_get_weights_for_their_colours_and_scale(pixels: np.ndarray, save: Save) -> None:
    plain = {setting: planned(save(pixels), setting) for setting in (FAST, FINE)}
    assert {setting: weights_of(plan) for setting, plan in plain.items()} == {
        FAST: DEFAULT_NUCLEI,
        FINE: FINE_NUCLEI,
    }
    assert [plan.facts.grid.mpp for plan in plain.values()] == [0.5, 0.25]
    assert weights_of(planned(save(pixels, mpp=0.5), FINE)) == DEFAULT_NUCLEI
    other = {setting: planned(save(brown(pixels)), setting) for setting in (FAST, FINE)}
    assert {setting: (weights_of(plan), plan.facts.grid.mpp) for setting, plan in other.items()} == {
        FAST: (ADAPTING_NUCLEI, 0.5),
        FINE: (FINE_NUCLEI, 0.25),
    }
    assert read_card(FINE_NUCLEI).stain_reference is not None


@pytest.mark.parametrize("setting", [FAST, FINE])
def test_the_plan_is_that_of_the_weights_by_name(setting: str, pixels: np.ndarray, save: Save) -> None:
    chosen = planned(save(pixels), setting)
    named = [f"segment.weights={weights_of(chosen)}", f"tile.mpp={chosen.facts.grid.mpp}"]
    assert planned(save(pixels), *named).id == chosen.id
    # The sister: the weights are part of the plan.
    assert planned(save(pixels), f"segment.weights={ADAPTING_NUCLEI}", named[1][:8] + "=0.5").id != chosen.id
    # What was set is kept, and what was filled in does not count as set.
    assert chosen.workflow.tile.model_fields_set == set()
    assert chosen.completed_workflow.instances is not None
    level = chosen.completed_workflow.instances.nucleus_threshold
    assert level == chosen.cards["segment"].thresholds["nucleus"]


def shares(picture: np.ndarray, save: Save) -> list[float | None]:
    found = []
    for orientation in Orientation:
        slide, rule = save(orientation.apply(picture[::2, ::2]), 0.5), chooser(FAST)
        trained = rule.default.card.training_range
        assert trained is not None
        with open_slide(slide.path, slide.mpp) as opened:
            canvas = stain_share.Canvas(opened, rule.default.mpp, rule.default.lattice_px)
            found.append(stain_share.stain_share(canvas, rule.tissue, None, trained))
    return found


def test_every_orientation_has_the_same_share(pixels: np.ndarray, save: Save) -> None:
    found = shares(np.concatenate([pixels, brown(pixels[:400])]), save)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert found[0] is not None
    assert 0.3 < found[0] < 0.9


def test_sister_a_measure_of_the_upper_half_differs(
    pixels: np.ndarray, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stain_share.hue_counts

    def upper(picture: np.ndarray, white: tuple[int, int, int], counted: np.ndarray) -> np.ndarray:
        return whole(picture[: len(picture) // 2], white, counted[: len(picture) // 2])

    monkeypatch.setattr(stain_share, "hue_counts", upper)
    assert len(set(shares(np.concatenate([pixels, brown(pixels[:400])]), save))) > 1


def test_shards_and_the_region_do_not_matter(pixels: np.ndarray, save: Save) -> None:
    part = pixels[::2, ::2]
    picture = np.concatenate([part, brown(part), brown(part), brown(part)])
    whole = planned(save(picture, 0.5), FAST)
    assert weights_of(whole) == ADAPTING_NUCLEI
    small = planned(save(picture, 0.5), FAST, "tile.shard_px=256", "tile.chunk_px=128")
    # The upper left corner alone is stained like the training data.
    region = planned(save(picture, 0.5), planner=make_planner("nuclei", [FAST], (0, 0, 300, 300)))
    assert whole.choice == small.choice == region.choice


def test_the_stain_is_that_of_the_given_mask(pixels: np.ndarray, save: Save) -> None:
    part = pixels[::2, ::2]
    picture = np.concatenate([part, brown(part), brown(part), brown(part)])
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[: len(part)] = 255
    assert weights_of(planned(save(picture, 0.5), FAST)) == ADAPTING_NUCLEI
    assert weights_of(planned(save(picture, 0.5, mask), FAST)) == DEFAULT_NUCLEI


def test_glass_and_cards_without_ranges_are_not_judged(pixels: np.ndarray, save: Save) -> None:
    glass = np.full((512, 512, 3), 244, np.uint8)
    choice = planned(save(glass), FAST).choice
    assert choice is not None
    assert "too little" in choice.why
    rule = chooser(FAST)
    bare = replace(rule.default, card=rule.default.card.model_copy(update={"training_range": None}))
    planner = replace(make_planner("nuclei", [FAST], None), chooser=replace(rule, default=bare))
    found = planned(save(brown(pixels)), planner=planner).choice
    assert found is not None
    assert found.weights == DEFAULT_NUCLEI


def test_run_json_and_page_say_why(pixels: np.ndarray, save: Save) -> None:
    plan = planned(save(pixels), FINE)
    assert plan.choice is not None
    why = plan.choice.why
    assert plan.summary()["choice"] == {"weights": FINE_NUCLEI, "quality": "fine", "why": why}
    assert "choice" not in planned(save(pixels)).summary()
    request = _request(plan)
    assert request["choice"] == plan.summary()["choice"]
    assert ("segment.weights", "auto") in request["chosen"]  # type: ignore[operator]
    assert ("segment.weights", FINE_NUCLEI) in request["parameters"]  # type: ignore[operator]


@pytest.fixture
def finished(pixels: np.ndarray, save: Save, tmp_path: Path) -> tuple[FinishedSlides, SlideInput, Plan]:
    """A published slide whose weights were chosen, without arrays."""
    slide, planner, out = save(pixels), make_planner("nuclei", [FINE], None), tmp_path / "out"
    plan = planned(slide, planner=planner)
    write_json(out / slide.slide_id / manifest.MANIFEST, manifest.build(plan.id, []))
    write_receipt(out, plan, (), None, planner.chooser)
    return FinishedSlides(out, planner, best_precision("cpu"), None), slide, plan


def test_a_finished_slide_keeps_its_choice_unopened(
    finished: tuple[FinishedSlides, SlideInput, Plan],
) -> None:
    finder, slide, plan = finished
    kept = finder.outcome(slide)
    assert kept is not None
    assert kept.plan == plan.summary()
    # The sister: another preference, or named weights, are another request.
    for settings in ([FAST], [f"segment.weights={ADAPTING_NUCLEI}"]):
        assert replace(finder, planner=make_planner("nuclei", settings, None)).outcome(slide) is None


def test_a_resumed_run_chooses_the_same(pixels: np.ndarray, save: Save) -> None:
    slide = save(pixels)
    planner = make_planner("nuclei_fine", [], None)
    again = make_planner(Workflow.model_validate(planner.workflow.chosen()), [], None)
    first, second = planned(slide, planner=planner), planned(slide, planner=again)
    assert (first.id, first.choice) == (second.id, second.choice)
    assert isinstance(first.choice, WeightChoice)
