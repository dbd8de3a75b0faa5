"""A small finished slide, and a session on a copy of it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wsipipe.geometry import Array, Region
from wsipipe.review import Session
from wsipipe.review.sample import SIDE_PX, make_sample
from wsipipe.store.result import Result, open_result

WHOLE = Region(0, 0, SIDE_PX, SIDE_PX)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A sample that tests do not change."""
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def slide(pristine: Result, tmp_path: Path) -> Result:
    """A sample for one test."""
    return open_result(shutil.copytree(pristine.folder, tmp_path / "OUT" / "slide"))


@pytest.fixture
def session(slide: Result) -> Iterator[Session]:
    """A session of Ann."""
    with Session.open(slide.folder, "ann") as opened:
        yield opened


@pytest.fixture
def published(pristine: Result) -> Array:
    """The nuclei as published (512, 512)."""
    return np.asarray(pristine.arrays.labels["nuclei"][0][...])


def random_edit(session: Session, rng: np.random.Generator) -> None:
    """Make an edit of a random kind at a random place; refused edits are ignored."""
    from wsipipe.errors import ConfigError

    one = int(rng.integers(1, session.next_id))
    y, x = rng.uniform(20, SIDE_PX - 20, 2)
    line = [(y, x), (y + rng.uniform(-15, 15), x + rng.uniform(-15, 15))]
    triangle = [(y, x), (y + 12, x), (y, x + 12)]
    ways: list[Callable[[], object]] = [
        lambda: session.accept([one]),
        lambda: session.reject([one]),
        lambda: session.delete([one]),
        lambda: session.relabel([one], str(rng.choice(["gland", "stroma", "mitosis"]))),
        lambda: session.split(one),
        lambda: session.merge([int(i) for i in np.unique(session.labels(session.box(one).grown(1))) if i]),
        lambda: session.draw(triangle),
        lambda: session.paint(one, line, 3),
        lambda: session.erase(line, 3),
        lambda: session.set_tissue([(y, x), (y + 90, x), (y, x + 90)], str(rng.choice(["gland", "stroma"]))),
        lambda: session.comment(y, x, "look"),
        lambda: session.visit(Region(int(y), int(x), 40, 40)),
        session.undo,
        session.redo,
    ]
    try:
        ways[rng.integers(len(ways))]()
    except ConfigError:
        return


@pytest.fixture(name="random_edit")
def _random_edit() -> Callable[[Session, np.random.Generator], None]:
    """Function that makes a random edit, given a session and a generator."""
    return random_edit
