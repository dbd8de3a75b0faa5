"""A notebook shows progress as HTML; everything else shows nothing unless asked."""

import sys
from types import SimpleNamespace

import pytest

from wsipipe.pipeline.reporting import notebook
from wsipipe.pipeline.reporting.notebook import NotebookReporter, default_reporter
from wsipipe.pipeline.reporting.progress import NullReporter, ShardProgress


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def reporter(shown: list[str]) -> NotebookReporter:
    def show(html: str) -> object:
        shown.append(html)
        return shown.append

    return NotebookReporter(show)


def bar(text: str, done: int, total: int) -> str:
    return f'<div><progress value="{done}" max="{total}"></progress> {done}/{total} {text}</div>'


def test_bars_outcomes_and_messages(
    reporter: NotebookReporter, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "SECONDS_BETWEEN_UPDATES", -1)
    reporter.slides(2)
    assert shown[-1] == f"<div>{bar('slides', 0, 2)}</div>"
    reporter.shard(ShardProgress("a<b", "tile", 1, 4, 0.0))
    reporter.shard(ShardProgress("a<b", "segment", 1, 3, 0.0))
    assert shown[-1] == f"<div>{bar('slides', 0, 2)}{bar('a&lt;b: segment', 2, 7)}</div>"
    reporter.message("no & yes")
    reporter.slide("a<b", "done")
    assert shown[-1] == (f"<div>{bar('slides', 1, 2)}<div>no &amp; yes</div><div>a&lt;b: done</div></div>")


def test_shards_are_shown_twice_a_second_at_most(reporter: NotebookReporter, shown: list[str]) -> None:
    reporter.slides(1)
    for done in range(1, 100):
        reporter.shard(ShardProgress("a", "tile", done, 100, 0.0))
    assert len(shown) < 20
    reporter.slide("a", "done")
    assert shown[-1] == f"<div>{bar('slides', 1, 1)}<div>a: done</div></div>"


def test_the_reporter_of_a_notebook_is_the_default_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert isinstance(default_reporter(), NullReporter)
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setattr(notebook, "_show", lambda html: lambda other: None)
    assert isinstance(default_reporter(), NotebookReporter)
    monkeypatch.delitem(sys.modules, "IPython")
    assert isinstance(default_reporter(), NullReporter)
