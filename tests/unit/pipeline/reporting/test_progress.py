"""Lines where they are read later, bars where they are watched; brackets in a name are no markup."""

import io

import pytest
from rich.console import Console

from wsipipe.pipeline.reporting.progress import Lines, Live, Step, Teller


def told(kind: type, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    teller: Teller = kind(console)
    with teller if terminal else console:
        teller.slides(2)
        for done in range(41):
            teller.shard(Step("a", "tile", done, 40, 1.5 * (done > 0)))
        teller.shard(Step("a", "segment", 1, 1, 0.0))
        teller.slide("a", "done in 1.0 s")
        teller.slide("b", "FAILED SLIDE_UNREADABLE: /x/[/red]b.svs does not open")
    return console.file.getvalue()


def test_lines_are_few() -> None:
    lines = told(Lines, terminal=False).splitlines()
    assert "a: tile 40/40, 1.50 Mpx/s" in lines
    assert len(lines) < 8


@pytest.mark.parametrize(("kind", "terminal"), [(Lines, False), (Live, True)])
def test_outcomes_are_told_as_they_are(kind: type, terminal: bool) -> None:
    text = told(kind, terminal)
    assert "a: done in 1.0 s" in text
    assert "/x/[/red]b.svs does not open" in text
