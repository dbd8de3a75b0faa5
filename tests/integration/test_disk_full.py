"""A full disk and a limit on file sizes: exit 75, finished shards kept, and the same result after freeing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsipipe.errors import ExitCode
from wsipipe.pipeline import run_slides
from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.reporting.run_record import read_record
from wsipipe.pipeline.run import Resources, run
from wsipipe.store.result import Result

pytestmark = pytest.mark.timeout(1200)
resource = pytest.importorskip("resource", reason="LOUD SKIP: no resource here; a full disk is NOT tested")
SMALL = ["tile.shard_px=256", "tile.chunk_px=128"]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 150 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(
            "LOUD SKIP: there is no right to mount a small disk, so a full one is NOT tested: "
            f"{mounted.stderr.decode().strip()}"
        )
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_can_be_retried(
    small_slide: Path, scheduler: str, tiled: Result, tmpfs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = Resources(scheduler=scheduler)
    estimated = run("tiling_only", small_slide, tmpfs / "out", settings=SMALL, resources=resources)
    assert estimated.exit_code == ExitCode.RETRY_LATER
    assert "needs about" in estimated.slides[0].message
    # Without the look ahead it fills up in the midst of the work.
    monkeypatch.setattr(run_slides, "check_space", lambda *_: None)
    full = run("tiling_only", small_slide, tmpfs / "out", settings=SMALL, resources=resources)
    assert (full.slides[0].code, full.exit_code) == ("STORAGE_FULL", ExitCode.RETRY_LATER)
    assert full.slides[0].place["stage"]
    subprocess.run(["mount", "-o", "remount,size=50m", tmpfs], check=True)
    again = run("tiling_only", small_slide, tmpfs / "out", settings=SMALL, resources=resources)
    assert again.exit_code == ExitCode.OK
    assert again.results()[0].manifest == tiled.manifest
    assert read_record(tmpfs / "out")["slides"][0]["status"] == "done"


def test_a_limit_on_file_sizes_is_a_full_disk(small_slide: Path, tiled: Result, tmp_path: Path) -> None:
    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with connect(workers=1) as client:
        resources = Resources(scheduler=client.scheduler.address)
        client.run(limit, 20_000)
        limited = run("tiling_only", small_slide, tmp_path, settings=SMALL, resources=resources)
        assert (limited.slides[0].code, limited.exit_code) == ("STORAGE_FULL", ExitCode.RETRY_LATER)
        client.run(limit, resource.RLIM_INFINITY)
        again = run("tiling_only", small_slide, tmp_path, settings=SMALL, resources=resources)
    assert again.results()[0].manifest == tiled.manifest
    assert os.path.exists(tmp_path / "report.html")
