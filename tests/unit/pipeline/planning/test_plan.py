"""Another cause, another plan; and a plan travels."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.flow import context_px, workflow_cards
from wsipipe.stages.workflow import Workflow, load_workflow


@pytest.fixture(scope="module")
def plan(small_slide: Path, tiny_workflow: Workflow, plan_for: Any) -> Plan:
    return plan_for(small_slide, tiny_workflow)


def with_section(plan: Plan, section: str, **values: Any) -> Plan:
    chosen = getattr(plan.workflow, section).model_copy(update=values)
    return replace(plan, workflow=plan.workflow.model_copy(update={section: chosen}))


def test_every_cause_changes_the_name(plan: Plan, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (8, 8), 255).save(mask)
    card = plan.cards["segment"]
    others = [
        replace(plan, facts=replace(plan.facts, fingerprint="other")),
        replace(plan, facts=replace(plan.facts, mpp=0.3)),
        replace(plan, region=Region(0, 0, 64, 64)),
        replace(plan, slide=replace(plan.slide, mask_path=mask)),
        replace(plan, cards=plan.cards | {"segment": card.model_copy(update={"sha256": "1" * 64})}),
        replace(plan, cards=plan.cards | {"segment": card.model_copy(update={"temperature": 2.0})}),
        replace(plan, cards=plan.cards | {"segment": card.model_copy(update={"stain_reference": None})}),
        with_section(plan, "tile", image="jpeg:90"),
        with_section(plan, "tissue", margin_um=1.0),
        with_section(plan, "instances", grow_um=3.0),
        with_section(plan, "classify", shard_cells=4),
    ]
    assert len({plan.id, *(other.id for other in others)}) == len(others) + 1


def test_where_the_slide_lies_does_not_change_it(plan: Plan) -> None:
    moved = replace(plan.slide, path=Path("/elsewhere/small.svs"), slide_id="small-00000000")
    assert replace(plan, slide=moved).id == plan.id


def test_which_groups_were_learnt_does_not_change_it(plan: Plan) -> None:
    card = plan.cards["segment"].model_copy(update={"trained_groups": {"monuseg": ("colon",)}})
    assert replace(plan, cards=plan.cards | {"segment": card}).id == plan.id


def test_a_plan_arrives_as_it_left(plan: Plan) -> None:
    names = [stage.name for stage in plan.stages]
    arrived = pickle.loads(pickle.dumps(plan))
    assert arrived.id == plan.id
    assert [stage.name for stage in arrived.stages] == names


def test_the_walk_goes_from_tissue_to_table(plan: Plan) -> None:
    names = [stage.name for stage in plan.stages]
    assert names[0] == "tissue"
    order = [
        names.index(name)
        for name in ("tile", "classify", "stain", "segment", "seeds", "grow", "nuclei", "table")
    ]
    assert order == sorted(order)
    assert len(set(names)) == len(names)


def test_colours_are_counted_only_for_weights_that_want_them(plan: Plan) -> None:
    plain = plan.cards["segment"].model_copy(update={"stain_reference": None})
    assert "stain" not in [
        stage.name for stage in replace(plan, cards=plan.cards | {"segment": plain}).stages
    ]


def test_all_that_is_read_was_written_before(plan: Plan) -> None:
    written = {"overview", "scanned", "canvas"}
    for stage in plan.stages:
        assert {read.name for read in stage.reads} <= written
        written |= {write.name for write in stage.writes}


def test_shards_hold_whole_chunks(plan: Plan) -> None:
    for side in (8, 128, 600):
        odd = with_section(plan, "classify", shard_cells=side)
        for stage in odd.stages:
            assert all(spec.shard_px % spec.chunk_px == 0 for spec in odd.specs(stage))


def test_a_region_brings_the_context_that_networks_see(plan: Plan) -> None:
    halo = max(plan.cards["segment"].halo_px, 2 * plan.cards["classify"].halo_px)
    assert context_px(plan.stages) >= halo


@pytest.mark.parametrize("stage", ["segment", "classify"])
def test_missing_weights_are_named_by_key(stage: str) -> None:
    workflow = load_workflow("nuclei_and_tissue", [f"{stage}.weights=/nowhere/x.safetensors"])
    with pytest.raises(ConfigError, match=rf"^{stage}\.weights: .*/nowhere/x\.safetensors"):
        workflow_cards(workflow)
