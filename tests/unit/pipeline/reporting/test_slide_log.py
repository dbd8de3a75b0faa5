"""The log of a slide has one line for each stage, however the stages alternate."""

from wsipipe.pipeline.reporting.progress import NullReporter, ShardProgress
from wsipipe.pipeline.reporting.slide_log import LINES, SlideLog


def test_a_stage_has_one_line_though_others_run_beside_it() -> None:
    log = SlideLog("a", NullReporter())
    log.message("first")
    for done in range(LINES):
        for stage in ("tile", "segment"):
            log.shard(ShardProgress("a", stage, done, LINES, 0.0))
    assert [line.partition(" ")[2] for line in log.last_lines()] == ["first", "tile 19/20", "segment 19/20"]
