"""Shared fixtures: real data where it is, tiny made data everywhere else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsipipe.cluster import connect
from wsipipe.synth.writer import make_slide


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (``WSIPIPE_DATA``, else ``../shared/data`` beside the checkout)."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSIPIPE_DATA", beside))
    if not (folder / "slides").is_dir():
        pytest.skip(f"real data absent: no folder {folder}/slides; set WSIPIPE_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Address of one local cluster of two CPU processes, shared by all tests that run workflows."""
    with connect(workers=2) as client:
        yield client.scheduler.address


@pytest.fixture(scope="session")
def small_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic slide of 1,024 px at 0.25 um/px, its truth beside it."""
    path = tmp_path_factory.mktemp("slides") / "small.svs"
    make_slide(path, 1024, seed=3)
    return path
