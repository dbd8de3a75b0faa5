"""User scripts: without a guard, with one, and inside a running event loop."""

import os
import subprocess
import sys
from pathlib import Path

from wsipipe.pipeline.cluster.script_guard import MESSAGE

UNGUARDED = """
import wsipipe
print("script")
two = wsipipe.Resources(workers=2)
wsipipe.run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=two)
"""
INSIDE = """
from wsipipe import Resources, run
print("script")
try:
    run("tiling_only", {slide!r}, {out!r}, settings=["tile.mpp=2"], resources=Resources(workers=1))
except Exception as error:
    print("caught", type(error).__name__, error)
"""
# One script for all, since Python and the libraries take most of its time.
GUARDED = """
import asyncio
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from wsipipe import Resources, run

def status(out, **more):
    asked = {{"settings": ["tile.mpp=2"], "resources": Resources(workers=1), **more}}
    return run("tiling_only", {slide!r}, {out!r} + out, **asked).slides[0].status

async def in_a_loop():
    found = status("/loop")
    await asyncio.sleep(0)
    return found

def in_own_process():
    return status("/process", dry_run=True)

print("script")
if __name__ == "__main__":
    print("alone", status("/alone"))
    print("in a loop", asyncio.run(in_a_loop()))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        print("in a process", pool.submit(in_own_process).result())
"""


def ran(script: str, slide: Path, folder: Path, notebook: bool = False) -> subprocess.CompletedProcess[str]:
    text = script.format(slide=str(slide), out=str(folder / "out"))
    (folder / "script.py").write_text(text)
    # A notebook's cells, as what is given by -c, belong to no file that workers could import.
    what = ["-c", text] if notebook else [str(folder / "script.py")]
    return subprocess.run(
        [sys.executable, *what], capture_output=True, text=True, timeout=280, env=os.environ, check=False
    )


def test_a_script_without_a_guard_gets_one_clear_error(small_slide: Path, tmp_path: Path) -> None:
    done = ran(UNGUARDED, small_slide, tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count(MESSAGE) == 1
    assert not (tmp_path / "out/run.json").exists()


def test_the_error_can_be_caught_and_comes_from_the_driver_alone(small_slide: Path, tmp_path: Path) -> None:
    done = ran(INSIDE, small_slide, tmp_path)
    assert done.stdout.endswith(f"script\ncaught ConfigError {MESSAGE}\n")
    assert done.stdout.count("caught") == 1
    assert done.stderr == ""


def test_guarded_scripts_event_loops_and_own_processes_work(small_slide: Path, tmp_path: Path) -> None:
    done = ran(GUARDED, small_slide, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    found = [line for line in done.stdout.splitlines() if line != "script"]
    assert found == ["alone done", "in a loop done", "in a process planned"]


def test_a_notebook_needs_no_guard(small_slide: Path, tmp_path: Path) -> None:
    done = ran(UNGUARDED + 'print("done")', small_slide, tmp_path, notebook=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("done\n")
