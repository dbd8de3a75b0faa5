"""Lines where they are read later, bars where they are watched; brackets in a name are no markup."""

import io

import pytest
from rich.console import Console

from wsipipe.pipeline.reporting.progress import PlainReporter, ProgressReporter, RichReporter, ShardProgress


def printed(kind: type, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    reporter: ProgressReporter = kind(console)
    with reporter if terminal else console:
        reporter.slides(2)
        for done in range(41):
            reporter.shard(ShardProgress("a", "tile", done, 40, 1.5 * (done > 0)))
        reporter.shard(ShardProgress("a", "segment", 1, 1, 0.0))
        reporter.slide("a", "done in 1.0 s")
        reporter.slide("b", "FAILED SLIDE_UNREADABLE: /x/[/red]b.svs does not open")
    return console.file.getvalue()


def test_lines_are_few() -> None:
    lines = printed(PlainReporter, terminal=False).splitlines()
    assert "a: tile 40/40, 1.50 Mpx/s" in lines
    assert len(lines) < 8


@pytest.mark.parametrize(("kind", "terminal"), [(PlainReporter, False), (RichReporter, True)])
def test_outcomes_are_printed_as_they_are(kind: type, terminal: bool) -> None:
    text = printed(kind, terminal)
    assert "a: done in 1.0 s" in text
    assert "/x/[/red]b.svs does not open" in text


def test_the_bar_of_a_slide_counts_the_shards_of_all_stages() -> None:
    """Stages run at the same time, so none of them is the whole of a slide."""
    reporter = RichReporter(Console(file=io.StringIO(), width=200))
    for stage, done, total in [("tile", 0, 4), ("segment", 0, 4), ("tile", 3, 4), ("segment", 1, 4)]:
        reporter.shard(ShardProgress("a", stage, done, total, 0.0))
    (bar,) = [task for task in reporter._bars.tasks if task.description != "slides"]
    assert (bar.description, bar.completed, bar.total) == ("a · segment 1/4", 4, 8)
    reporter.slide("a", "done")
    assert [task.description for task in reporter._bars.tasks] == ["slides"]
