"""Made once, used by many: finished slides."""

from pathlib import Path

import pytest

from wsipipe.config import Workflow
from wsipipe.results import Result
from wsipipe.workflow import Resources, run

SMALL_SHARDS = ("tile.shard_px=256", "tile.chunk_px=128")


@pytest.fixture(scope="session")
def tiled(small_slide: Path, scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """``tiling_only`` of the small slide, in shards of 256 px."""
    out, resources = tmp_path_factory.mktemp("tiled"), Resources(scheduler=scheduler)
    return run("tiling_only", small_slide, out, settings=SMALL_SHARDS, resources=resources).results()[0]


@pytest.fixture(scope="session")
def finished(
    small_slide: Path, tiny_workflow: Workflow, scheduler: str, tmp_path_factory: pytest.TempPathFactory
) -> Result:
    """All stages of the small slide, with tiny networks."""
    out, resources = tmp_path_factory.mktemp("finished"), Resources(scheduler=scheduler, device="cpu")
    return run(tiny_workflow, small_slide, out, resources=resources).results()[0]
