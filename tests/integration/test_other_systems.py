"""A run needs nothing that Linux alone has."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.errors import ExitCode
from wsipipe.store.manifest import MANIFEST
from wsipipe.store.result import Result

FOLDER = Path(__file__).parents[1] / "other_systems"
COMMAND = "from wsipipe.cli import main; main()"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems lack it by themselves")
# One process, since Python and the libraries take most of the time of a command.
COMMANDS = """
import contextlib, io, json, sys
from wsipipe.cli import main
if __name__ == "__main__":
    ends = []
    for command in json.loads(sys.argv[1]):
        sys.argv[1:] = command
        with contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                main()
            except SystemExit as end:
                ends.append([end.code, out.getvalue()])
    print(json.dumps(ends))
"""
SMALL = ("--set", "tile.shard_px=256", "--set", "tile.chunk_px=128")


def python(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python as on another system."""
    path = os.pathsep.join([str(FOLDER), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path} | variables,
        capture_output=True,
        text=True,
    )


_SEEN = """
from pathlib import Path
import os, signal
try:
    import fcntl
except ImportError:
    fcntl = None
found = [fcntl, hasattr(os, "fork"), hasattr(signal, "SIGKILL"), Path("/proc/self/stat").exists()]
"""
_LOOK = f"""
for name in ("other", "wsipipe.some.module"):
    space = {{"__name__": name}}
    exec({_SEEN!r}, space)
    print([bool(each) for each in space["found"]])
from wsipipe.common import file_lock
print(file_lock.LOCKS.__name__)
"""


def test_the_names_are_hidden_from_this_package_alone() -> None:
    done = python(_LOOK)
    assert done.stdout.splitlines() == [
        "[True, True, True, True]",
        "[False, False, False, False]",
        "wsipipe.common.lock_files",
    ], done.stderr


def test_a_run_is_killed_resumed_and_ends_in_the_same_bytes(
    small_slide: Path, tiled: Result, tmp_path: Path
) -> None:
    run = ["run", "tiling_only", str(small_slide), "--out", str(tmp_path), "--workers", "1", *SMALL]
    killed = python(COMMAND, *run, WSIPIPE_TEST="1", WSIPIPE_FAULT="ledger.after_commit:2")
    # SIGKILL is hidden too.
    assert killed.returncode == -signal.SIGTERM, killed.stderr
    commands = [["--help"], ["version"], ["status", str(tmp_path), "--json"], run, ["verify", str(tmp_path)]]
    done = python(COMMANDS, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout)
    assert [code for code, _ in ends] == [ExitCode.OK] * len(commands), ends
    (slide,) = json.loads(ends[2][1])["slides"]
    assert (slide["status"], slide["shards_done"]) == ("interrupted", 2)
    published = tmp_path / tiled.folder.name / MANIFEST
    assert published.read_bytes() == (tiled.folder / MANIFEST).read_bytes()
