"""Run a tool in a process of its own and take its cost.

Jobs run as ``python -m peer_parts.worker``, in the environment of the project or in that of the other tools.
A job reads a request (JSON) and writes a result (JSON), so no environment imports from another.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peer_parts.table import Run

BENCHMARKS = Path(__file__).resolve().parents[1]
CHECKOUT = BENCHMARKS.parent
LAST_LINES = 4
ORPHANS_END_S = 10.0
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux


class ToolError(Exception):
    """A tool cannot run, or ended with an error."""


@dataclass(frozen=True)
class Environment:
    """A Python and the folders that it imports from besides its own.

    Attributes:
        name: Name in tables.
        python: Path of the interpreter.
        folders: Folders for PYTHONPATH.
    """

    name: str
    python: Path
    folders: tuple[Path, ...] = (BENCHMARKS,)

    def variables(self, threads: int) -> dict[str, str]:
        """Return the variables of its processes, with the number of threads."""
        given = {"PYTHONPATH": os.pathsep.join(map(str, self.folders)), "OMP_NUM_THREADS": str(threads)}
        # Models come from packages and get random weights: nothing may be fetched.
        return os.environ | given | {"HF_HUB_OFFLINE": "1"}


def compile_bytecode(where: Environment, limit_s: float) -> None:
    """Compile the installed packages of an environment where bytecode is missing or old."""
    code = (
        "import compileall, site; [compileall.compile_dir(each, quiet=2) for each in site.getsitepackages()]"
    )
    timed([str(where.python), "-c", code], where.variables(1), limit_s)


def timed(command: list[str], variables: dict[str, str], limit_s: float) -> Run:
    """Run a command to its end and return its cost.

    Raises:
        ToolError: It ends with an error, cannot be started, or takes longer than ``limit_s``.
    """
    _adopt_orphans(True)
    with tempfile.TemporaryFile() as said:
        before = _cpu_of_children()
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                command, env=variables, stdout=said, stderr=said, start_new_session=True
            )
        except OSError as error:
            raise ToolError(f"{command[0]} cannot be started: {error}") from error
        try:
            late = waited(process, limit_s)
        except BaseException:  # an interrupt reaches this process alone
            os.killpg(process.pid, signal.SIGKILL)
            raise
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for here, for its resources
        _collect_orphans(process.pid)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if late:
        raise ToolError(f"stopped after {limit_s:.0f} s")
    if process.returncode:
        last = " / ".join(line.strip() for line in text.splitlines()[-LAST_LINES:] if line.strip())
        raise ToolError(f"exit code {process.returncode}: {last}")
    return Run(wall_s, _cpu_of_children() - before, used.ru_maxrss / 1024)


def _adopt_orphans(adopt: bool) -> None:
    """Become the parent of processes that a tool leaves behind, so that their CPU seconds count.

    wsipipe forks its workers from a process that ends only after the command has.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_SUBREAPER, int(adopt), 0, 0, 0)


def _collect_orphans(group: int) -> None:
    """Wait until the processes that a tool left behind have ended, for some seconds."""
    end = time.monotonic() + ORPHANS_END_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < end:
            if os.waitpid(-group, os.WNOHANG) == (0, 0):
                time.sleep(0.02)
    _adopt_orphans(False)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def waited(process: subprocess.Popen[bytes], limit_s: float) -> bool:
    """Wait until a process has ended, but leave it to be collected.

    Returns:
        True if it was killed because it took too long.
    """
    end = time.monotonic() + limit_s
    pause_s = 0.001
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL)  # and the workers that it started
            return True
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.02)
    return False


def run_job(where: Environment, job: str, request: dict[str, Any], limit_s: float) -> Run:
    """Run a job in an environment and return its cost.

    Seconds of the whole process count, unless the job gives those of its work alone.

    Args:
        where: Environment of the job.
        job: Module and function, ``reading:by_fastslide``.
        request: Request for the job; needs ``threads``.
        limit_s: Seconds after which it is stopped.

    Raises:
        ToolError: The job fails, or writes no result.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder) / "request.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(request | {"job": job, "out": str(Path(folder) / "out")}))
        command = [str(where.python), "-m", "peer_parts.worker", str(asked), str(found)]
        cost = timed(command, where.variables(request["threads"]), limit_s)
        try:
            result = json.loads(found.read_text())
        except (OSError, ValueError) as error:
            raise ToolError(f"no result of {job}: {error}") from error
    own = {name: result.get(name, getattr(cost, name)) for name in ("wall_s", "cpu_s", "parts", "facts")}
    return replace(cost, **own)


def probe(where: Environment, packages: list[str], limit_s: float) -> dict[str, str]:
    """Import packages in an environment, which also compiles their bytecode.

    Returns:
        Version by package; a text that begins with "no" and says why for one that cannot be imported.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command = [str(where.python), "-m", "peer_parts.worker", "--probe", str(found), *packages]
        timed(command, where.variables(1), limit_s)
        return json.loads(found.read_text())
