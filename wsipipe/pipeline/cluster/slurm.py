"""Workers that are jobs of SLURM, through dask-jobqueue.

Scheduler and workers speak over the network, so everything is encrypted with a certificate that is made for
this run. Their web servers, which are not encrypted, listen on loopback only.
"""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client
from distributed.security import Security

from wsipipe.common.atomic_files import private_folder
from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError
from wsipipe.pipeline.cluster.client import CLOSING_S, LOOPBACK, dask_settings
from wsipipe.pipeline.cluster.slurm_options import SlurmOptions

_NO_WEB = f"{LOOPBACK}:0"
_LOST_AFTER = "30s"
_ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    # As in local workers: the memory of a task is known, and a worker that pauses would only wait.
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def check_slurm(folder: Path) -> None:
    """Check that the machine has what a run on SLURM needs.

    Args:
        folder: Folder for certificates and logs, on a file system that every node sees.

    Raises:
        ConfigError: A command or a package is missing, or the path cannot be in a script.
    """
    if shutil.which("sbatch") is None:
        raise ConfigError(
            "--cluster slurm: this machine has no command sbatch. Start the run where jobs are submitted, or "
            "leave --cluster out to use processes of this machine."
        )
    if shlex.quote(str(folder.absolute())) != str(folder.absolute()):
        raise ConfigError(
            f"--cluster slurm: the path {folder.absolute()} has characters that a job's script cannot hold. "
            f"Choose an --out without spaces and special characters."
        )
    _jobqueue()


@contextmanager
def connect_slurm(options: SlurmOptions, workers: int, threads: int, folder: Path) -> Iterator[Client]:
    """Submit jobs and connect to their scheduler in this process.

    No job has to run yet. The jobs are cancelled at the end.

    Args:
        options: Options of a job.
        workers: Number of jobs.
        threads: Threads of a network per job.
        folder: Folder for certificates and logs, on a file system that every node sees.

    Raises:
        ConfigError: SLURM refuses the job.
    """
    private_folder(folder)
    # A job that ends by its time limit is replaced, unlike a local process, which its nanny restarts.
    with (
        tempfile.TemporaryDirectory(prefix="tls-", dir=folder.absolute()) as keys,
        dask_settings(),
        dask.config.set({"distributed.deploy.lost-worker-timeout": _LOST_AFTER}),
    ):
        arguments = job_arguments(options, threads, folder.absolute(), _security(Path(keys)))
        cluster = _jobqueue().SLURMCluster(**arguments)
        try:
            _check_accepted(cluster.job_script())
            cluster.adapt(minimum=workers, maximum=workers)
            with Client(cluster, set_as_default=False) as client:
                yield client
        finally:
            with suppress(TimeoutError):
                cluster.close(timeout=CLOSING_S)


def job_arguments(options: SlurmOptions, threads: int, folder: Path, security: Security) -> dict[str, Any]:
    """Return the arguments of dask-jobqueue's ``SLURMCluster``."""
    environment = dict.fromkeys(_THREADS, str(threads)) | _ENVIRONMENT
    return {
        # One computing thread for each worker, whatever the processors of its job.
        "cores": 1,
        "processes": 1,
        "job_cpu": int(options.cpus),
        "memory": options.memory,
        "queue": options.partition,
        "account": options.account,
        "walltime": options.time,
        "job_directives_skip": [] if options.time else ["-t "],
        "job_extra_directives": list(options.directive),
        "job_script_prologue": [
            *(f"export {name}={value}" for name, value in environment.items()),
            *options.setup,
        ],
        "worker_extra_args": [
            *("--resources", "CPU=1", "--no-dashboard", "--dashboard-address", _NO_WEB),
            *("--preload", "wsipipe.pipeline.cluster.idle"),
        ],
        "interface": options.interface,
        "security": security,
        "protocol": "tls://",
        "scheduler_options": {"dashboard": False, "dashboard_address": _NO_WEB},
        "log_directory": str(folder),
        "local_directory": "${TMPDIR:-/tmp}",
        "job_name": "wsipipe",
    }


def _jobqueue() -> Any:
    """Import dask-jobqueue and what its encryption needs.

    Raises:
        ConfigError: A package is not installed.
    """
    try:
        import cryptography  # noqa: F401
        import dask_jobqueue
    except ImportError as error:
        raise ConfigError(
            f"--cluster slurm: the package {error.name} is not installed. Run: {install_command('slurm')}"
        ) from error
    return dask_jobqueue


def _security(folder: Path) -> Security:
    """Make a certificate and its key for this run, in files that the jobs read.

    Args:
        folder: Folder that only its owner can enter.
    """
    made = Security.temporary().get_tls_config_for_role("worker")
    for name in ("ca_file", "cert", "key"):
        (folder / name).write_text(made[name], encoding="ascii", newline="\n")
    roles = {
        f"tls_{role}_{name}": str(folder / name)
        for role in ("client", "scheduler", "worker")
        for name in ("cert", "key")
    }
    return Security(require_encryption=True, tls_ca_file=str(folder / "ca_file"), **roles)


def _check_accepted(script: str) -> None:
    """Ask SLURM whether it would accept a job; later refusals would stay unseen.

    Raises:
        ConfigError: SLURM refuses the job; gives its words.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".sh", encoding="utf-8") as file:
        file.write(script)
        file.flush()
        done = subprocess.run(  # noqa: S603
            ["sbatch", "--test-only", file.name],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise ConfigError(
            f"--cluster slurm: sbatch refuses the job ({done.stderr.strip()}). Correct --cluster-option."
        )
