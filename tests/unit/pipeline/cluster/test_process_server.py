"""The process that forks workers: it imports once, has one thread, and leaves the environment alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.pipeline.cluster import process_server
from wsipipe.pipeline.execution.warm_up import shard_modules

_SERVE = """
import json, multiprocessing, os, sys
from wsipipe.pipeline.cluster.process_server import start_server

def look(pipe):
    threads = open(f"/proc/{os.getppid()}/status").read().split("Threads:")[1].split()[0]
    pipe.send([sys.argv[-1] in sys.modules, os.environ.get("WSIPIPE_TRIAL"), int(threads)])

if __name__ == "__main__":
    start_server([*sys.argv[1:], "no_such_module"], {"WSIPIPE_TRIAL": "yes", "OMP_NUM_THREADS": "1",
                                                     "OPENBLAS_NUM_THREADS": "1"})
    near, far = multiprocessing.Pipe()
    child = multiprocessing.get_context("forkserver").Process(target=look, args=(far,))
    child.start()
    print(json.dumps([near.recv(), "WSIPIPE_TRIAL" in os.environ]))
    child.join()
"""


def served(folder: Path, *modules: str) -> tuple[list[object], bool]:
    """What a worker sees of the last module, the environment and the threads of its server."""
    if process_server.METHOD != "forkserver":
        pytest.skip("this system cannot fork")
    # A worker imports the script, so it must be a file.
    (folder / "serve.py").write_text(_SERVE)
    done = subprocess.run(
        [sys.executable, folder / "serve.py", *modules],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen, kept = json.loads(done.stdout)
    return seen, kept


def test_workers_share_what_the_server_has_imported(tmp_path: Path) -> None:
    assert served(tmp_path, *shard_modules(has_networks=True)) == ([True, "yes", 1], False)


def test_sister_a_module_that_starts_a_thread_is_seen(tmp_path: Path) -> None:
    (imported, _, threads), _ = served(tmp_path, "pyarrow", "colorsys")
    assert imported
    assert threads > 1


def test_a_variable_that_was_set_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSIPIPE_TRIAL", "before")
    with process_server._changed({"WSIPIPE_TRIAL": "now", "WSIPIPE_OTHER": "new", "HOME": None}):
        assert os.environ["WSIPIPE_TRIAL"] == "now"
        assert "HOME" not in os.environ
    assert os.environ["WSIPIPE_TRIAL"] == "before"
    assert "HOME" in os.environ
    assert "WSIPIPE_OTHER" not in os.environ


def test_without_fork_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_server, "METHOD", "spawn")
    monkeypatch.setattr(process_server.forkserver, "ensure_running", lambda: pytest.fail("it was started"))
    process_server.start_server(("json",), {})
