"""Differences of a comparison are places to review, and stale ones are left out."""

import json
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.review.published import open_published
from wsipipe.review.queue import make_queue, queue_kinds
from wsipipe.store.names import COMPARISON, COMPARISONS
from wsipipe.store.result import Result


def write(result: Result, **changes: object) -> Path:
    """A comparison with nucleus 3 in the result alone, and one in the reference alone."""
    published = open_published(result.folder)
    row = published.nuclei.row(3)
    offset_y, offset_x, step = published.affine
    extra = {
        "id": 3,
        "y": offset_y + step * published.nuclei.y[row],
        "x": offset_x + step * published.nuclei.x[row],
    }
    found = {
        "plan": published.plan,
        "missed": [{"id": 77, "y": 200.0, "x": 100.0}],
        "extra": [extra],
    } | changes
    path = result.folder / COMPARISONS / "bob.geojson" / COMPARISON
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(found))
    return path


def test_differences_are_queues(slide: Result) -> None:
    write(slide)
    published = open_published(slide.folder)
    assert queue_kinds(published)[-4:-2] == ("missed: bob.geojson", "extra: bob.geojson")
    (extra,) = make_queue(published, "extra: bob.geojson", 50)
    assert extra.identity == 3
    assert extra.why.startswith("extra: in the result alone; nucleus 3: p ")
    (missed,) = make_queue(published, "missed: bob.geojson", 50)
    # Level 0 has two px per px.
    assert missed.identity == 0
    assert (missed.region.y + 12, missed.region.x + 12) == (100, 50)
    assert missed.why == "missed: in the reference alone"
    np.testing.assert_allclose(published.differences[1].y, published.nuclei.y[published.nuclei.row(3)])


def test_without_comparisons_there_is_no_such_queue(slide: Result) -> None:
    published = open_published(slide.folder)
    assert not published.differences
    with pytest.raises(ConfigError, match="no queue"):
        make_queue(published, "extra: bob.geojson", 50)


@pytest.mark.parametrize("changes", [{"plan": "1" * 64}, {"extra": None}, {"extra": [{"id": 1}]}])
def test_what_does_not_fit_is_left_out_with_a_warning(slide: Result, changes: dict[str, object]) -> None:
    path = write(slide, **changes)
    with pytest.warns(UserWarning, match="bob.geojson.*is not shown.*--overwrite"):
        assert not open_published(slide.folder).differences
    path.write_text("{")
    with pytest.warns(UserWarning, match="is not shown"):
        assert not open_published(slide.folder).differences


def test_one_side_alone_is_one_queue(slide: Result) -> None:
    write(slide, missed=[])
    assert [one.title for one in open_published(slide.folder).differences] == ["extra: bob.geojson"]
