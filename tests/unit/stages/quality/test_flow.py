"""Where quality stands in the flow, and what it leaves as it was."""

from wsipipe.stages.flow import flow_stages
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.stage import Stage
from wsipipe.stages.tissue import OVERVIEW, TISSUE, TISSUE_FOUND
from wsipipe.stages.workflow import Workflow

GRID = CanvasGrid((512, 768), 0.5, (0.0, 0.0), 1.0)


def stages(quality: QualityParams | None, mpp: float = 0.5, mask: bool = False) -> dict[str, Stage]:
    workflow = Workflow(name="made", quality=quality)
    grid = CanvasGrid(GRID.shape, mpp, GRID.offset_px0, GRID.step_px0)
    return {stage.name: stage for stage in flow_stages(workflow, {}, grid, mask_given=mask)}


def test_without_the_section_nothing_is_added() -> None:
    found = stages(None)
    assert list(found) == ["tissue", "tile"]
    assert [write.name for write in found["tissue"].writes] == [TISSUE]


def test_by_default_quality_comes_last_and_reads_the_published_tissue() -> None:
    found = stages(QualityParams())
    assert list(found) == ["tissue", "tile", "focus", "quality"]
    assert [write.name for write in found["tissue"].writes] == [TISSUE, OVERVIEW]
    assert TISSUE in {read.name for read in found["quality"].reads}
    assert [write.name for write in found["quality"].writes] == ["labels/quality/0"]


def test_what_is_left_out_is_left_out_of_the_tissue_that_others_read() -> None:
    found = stages(QualityParams(leave_out=("pen",)))
    assert [write.name for write in found["tissue"].writes] == [TISSUE_FOUND, OVERVIEW]
    assert not found["tissue"].writes[0].published
    assert [write.name for write in found["quality"].writes] == ["labels/quality/0", TISSUE]
    assert TISSUE_FOUND in {read.name for read in found["focus"].reads}


def test_a_given_mask_does_not_replace_the_overview() -> None:
    reads = {read.name for read in stages(QualityParams(), mask=True)["tissue"].reads}
    assert reads == {"given_mask", "scanned", "overview"}
    assert {read.name for read in stages(None, mask=True)["tissue"].reads} == {"given_mask", "scanned"}


def test_a_coarse_canvas_has_no_focus() -> None:
    found = stages(QualityParams(), mpp=2)
    assert "focus" not in found
    assert {read.name for read in found["quality"].reads} == {TISSUE, OVERVIEW}
