"""User scripts: without a guard, with one, and inside a running event loop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.pipeline.cluster.script_guard import MESSAGE

UNGUARDED = """
import wsipipe
print("script")
two = wsipipe.Resources(workers=2)
wsipipe.run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=two)
"""
FROM_IMPORT = """
from wsipipe import Resources, run
print("script")
run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=Resources(workers=1))
"""
INSIDE = """
from wsipipe.pipeline.run import Resources, run
print("script")
try:
    run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=Resources(workers=1))
except Exception as error:
    print("caught", type(error).__name__, error)
"""
GUARDED = """
from wsipipe import Resources, run
print("script")
if __name__ == "__main__":
    done = run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=Resources(workers=1))
    print(done.slides[0].status)
"""
IN_OWN_PROCESS = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from wsipipe import Resources, run

def work(slide):
    done = run("tiling_only", slide, {out!r}, settings=["tile.mpp=2"], dry_run=True, resources=Resources(1))
    return done.slides[0].status

if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        print(pool.submit(work, {slide!r}).result(), "and done")
"""
IN_A_LOOP = """
import asyncio
import wsipipe

async def main():
    resources = wsipipe.Resources(workers=1)
    done = wsipipe.run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=resources)
    await asyncio.sleep(0)
    return done.slides[0].status

if __name__ == "__main__":
    print(asyncio.run(main()))
"""


def ran(script: str, slide: Path, folder: Path, notebook: bool = False) -> subprocess.CompletedProcess[str]:
    text = script.format(slide=str(slide), out=str(folder / "out"))
    (folder / "script.py").write_text(text)
    # A notebook's cells, as what is given by -c, belong to no file that workers could import.
    what = ["-c", text] if notebook else [str(folder / "script.py")]
    return subprocess.run(
        [sys.executable, *what], capture_output=True, text=True, timeout=280, env=os.environ, check=False
    )


@pytest.mark.parametrize("script", [UNGUARDED, FROM_IMPORT], ids=["import wsipipe", "from wsipipe import"])
def test_a_script_without_a_guard_gets_one_clear_error(
    script: str, small_slide: Path, tmp_path: Path
) -> None:
    done = ran(script, small_slide, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count(MESSAGE) == 1
    assert not (tmp_path / "out/run.json").exists()


def test_the_error_can_be_caught_and_comes_from_the_driver_alone(small_slide: Path, tmp_path: Path) -> None:
    done = ran(INSIDE, small_slide, tmp_path)
    assert done.stdout.endswith(f"script\ncaught ConfigError {MESSAGE}\n")
    assert done.stdout.count("caught") == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("script", "notebook"),
    [
        (GUARDED, False),
        (IN_OWN_PROCESS, False),
        (IN_A_LOOP, False),
        (UNGUARDED + 'print("done")', True),
    ],
)
def test_guarded_scripts_own_processes_event_loops_and_notebooks_work(
    script: str, notebook: bool, small_slide: Path, tmp_path: Path
) -> None:
    done = ran(script, small_slide, tmp_path, notebook)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("done\n")
