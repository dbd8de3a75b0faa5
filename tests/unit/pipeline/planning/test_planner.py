from pathlib import Path

import pytest

from wsipipe.errors import ConfigError
from wsipipe.geometry import Region
from wsipipe.pipeline.planning import planner
from wsipipe.pipeline.planning.slide_facts import SlideFacts
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.workflow import Workflow, load_workflow
from wsipipe.tiling.collect import SlideInput


@pytest.mark.parametrize(
    ("region", "part"),
    [
        ((0, 0, 2, 2), Region(32, 16, 1, 1)),
        ((1, 3, 2, 2), Region(32, 17, 2, 2)),
        ((0, 0, 9999, 9999), Region(32, 16, 96, 112)),
    ],
)
def test_a_region_touches_whole_canvas_px(region: tuple[int, int, int, int], part: Region) -> None:
    grid = CanvasGrid((128, 128), 0.5, (-64.0, -32.0), 2.0)
    facts = SlideFacts("f", "v", 0.25, "option", ((100, 100),), grid)
    slide = SlideInput("x", Path("x.svs"), None, None, "x")
    assert planner.canvas_part(region, facts, slide) == part
    with pytest.raises(ConfigError, match=r"outside x\.svs"):
        planner.canvas_part((5000, 0, 5, 5), facts, slide)


def test_auto_is_resolved_so_that_no_plan_mixes_precisions() -> None:
    chosen = load_workflow("nuclei_and_tissue", ["classify.precision=float64"])
    resolved = chosen.in_precision("bfloat16", only_auto=True)
    assert resolved.segment is not None
    assert resolved.segment.precision == "bfloat16"
    assert resolved.classify is not None
    assert resolved.classify.precision == "float64"
    assert Workflow(name="x").in_precision("float32", only_auto=True) == Workflow(name="x")


def test_non_commercial_weights_are_announced() -> None:
    notices = planner.make_planner("nuclei", [], None).notices()
    assert any("non-commercial" in notice for notice in notices)
    assert planner.make_planner("tiling_only", [], None).notices() == []
