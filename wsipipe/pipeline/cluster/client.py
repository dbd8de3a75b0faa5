"""Set-up of Dask: local CPU and GPU workers, or an existing scheduler."""

import ipaddress
import logging
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress

import dask
from distributed import Client, Scheduler, SpecCluster

from wsipipe.errors import ConfigError, WorkerLostError
from wsipipe.pipeline.cluster.machine import gpu_names as gpu_names
from wsipipe.pipeline.cluster.machine import threads_each as threads_each
from wsipipe.pipeline.cluster.machine import worker_count as worker_count
from wsipipe.pipeline.cluster.nanny import RetryingNanny, UnguardedScriptError
from wsipipe.pipeline.cluster.process_server import METHOD, start_server, worker_environment
from wsipipe.pipeline.cluster.script_guard import MESSAGE, check_guard

LOOPBACK = "127.0.0.1"
CLOSING_S = 15.0
_IGNORE_INTERRUPT = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
_BEGIN_IDLE_TIME = "import wsipipe.pipeline.cluster.idle\n"
# Dask takes an address without protocol for tcp.
_ADDRESS = re.compile(r"(?:(?P<protocol>tcp|tls|ucx|wss?)://)?(?P<host>[^/\s]+):\d{1,5}")
# Activations of a network are large and short-lived; returning each to the system costs page faults.
_ALLOCATION = {
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
    # With one heap for all threads, the computing thread reuses memory freed by the reading thread: a
    # worker that tiles 32,768 px peaks at 304 MB instead of 384.
    "MALLOC_ARENA_MAX": "1",
}
_THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SERVER_ENVIRONMENT = _ALLOCATION | dict.fromkeys(_THREAD_COUNTS, "1")
"""Of the process that forks the workers: a process with threads must not fork."""
_CONFIG = {
    "distributed.nanny.pre-spawn-environ": _ALLOCATION,
    "logging": {"distributed": "error"},
    "distributed.worker.multiprocessing-method": METHOD,
    "distributed.worker.daemon": True,
    "distributed.comm.timeouts.connect": "30s",
    # By default Dask closes the nanny of a worker that is away for 15 s, even while it is being restarted.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.admin.low-level-log-length": 100,
    # Dask counts a failure for every task queued on a worker that died; attempts.py counts only the task
    # that it was running.
    "distributed.scheduler.allowed-failures": 1_000_000,
    # A suspended process continues where it was; one that hangs is found by its task's marker file.
    "distributed.scheduler.worker-ttl": None,
    # Tasks hold patches of a known size; Dask's own memory management would only interfere.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    # Dask looks 100 times a second what a worker does, for pictures that nothing here shows.
    "distributed.worker.profile.enabled": False,
    # Workers have a limit only under a memory budget; a task that exceeds it is rerun with smaller patches.
    "distributed.worker.memory.terminate": 1.0,
}


def _check_private(address: str) -> None:
    """Check that a scheduler's address is on loopback or encrypted.

    Anyone who reaches a scheduler can run code on its workers; TLS with certificates prevents it.

    Raises:
        ConfigError: It is not an address, or neither on this machine nor ``tls://``.
    """
    if address.startswith("inproc://"):
        return
    found = _ADDRESS.fullmatch(address)
    if not found:
        raise ConfigError(
            f"--scheduler {address}: this is not the address of a Dask scheduler. Give tcp://HOST:PORT or "
            f"tls://HOST:PORT, as the scheduler prints it when it starts."
        )
    if found["protocol"] == "tls":
        return
    host = found["host"].strip("[]")
    try:
        hosts = {str(each[4][0]) for each in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise ConfigError(
            f"--scheduler {address}: the host {host!r} is unknown ({error}). Correct the address."
        ) from error
    if not all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in hosts):
        raise ConfigError(
            f"--scheduler {address} is not on this machine and not encrypted: anyone on the network could "
            f"run code through it. Start the scheduler with TLS and give tls://..., with the certificates in "
            f"Dask's configuration (distributed.comm.tls)."
        )


def _worker(name: str, threads: int, resource: str, gpus: str, memory_bytes: int) -> dict[str, object]:
    limits = dict.fromkeys(_THREAD_COUNTS, str(threads))
    return {
        "cls": RetryingNanny,
        "options": {
            "name": name,
            "nthreads": 1,
            "host": LOOPBACK,
            "resources": {resource: 1},
            "memory_limit": memory_bytes,
            "dashboard": False,
            "env": {**worker_environment(), **_ALLOCATION, **limits, "CUDA_VISIBLE_DEVICES": gpus},
            # Ctrl-C on a terminal reaches every process; only the main process acts on it.
            "preload": [_IGNORE_INTERRUPT, _BEGIN_IDLE_TIME],
            "silence_logs": logging.CRITICAL,
        },
    }


def _silence_dask() -> None:
    """Silence Dask's connection messages; relevant failures are raised as task errors."""
    for name in logging.root.manager.loggerDict:
        if name.startswith("distributed"):
            logging.getLogger(name).setLevel(logging.ERROR)
    # A process that dies is restarted; one that dies too often is reported as a task error.
    logging.getLogger("distributed.nanny").setLevel(logging.CRITICAL)
    # A cluster that closes slowly makes tornado print a traceback after the run has ended.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)


def dask_settings() -> AbstractContextManager[object]:
    """Silence Dask, and set its configuration for a cluster of this process."""
    _silence_dask()
    return dask.config.set(_CONFIG)


@contextmanager
def _local(specification: dict[str, dict[str, object]]) -> Iterator[SpecCluster]:
    """Start local workers and close them at the end.

    Processes that are slow to end do not fail a run.

    Raises:
        ConfigError: The script that started the run would start it again in every process.
        WorkerLostError: The worker processes die during start-up.
    """
    scheduler = {"host": LOOPBACK, "dashboard": False, "dashboard_address": f"{LOOPBACK}:0"}
    try:
        cluster = SpecCluster(specification, {"cls": Scheduler, "options": scheduler}, silence_logs="ERROR")
    except RuntimeError as error:
        if _is_unguarded(error):
            raise ConfigError(MESSAGE) from None
        raise WorkerLostError(
            f"The {len(specification)} worker processes die during start-up ({error.__cause__ or error}). "
            f"Check what ends them: free memory, limits (ulimit -a), the system's log. Then run the same "
            f"command again."
        ) from error
    try:
        yield cluster
    finally:
        # The workers are daemons and end with this process; one that was just restarted may miss the request.
        with suppress(TimeoutError):
            cluster.close(timeout=CLOSING_S)


def _is_unguarded(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, UnguardedScriptError) or _is_unguarded(error.__cause__))


@contextmanager
def connect(
    scheduler: str | None = None,
    workers: int | None = None,
    threads: int | None = None,
    gpus: int = 0,
    memory_bytes: int | None = None,
    imports: Sequence[str] = (),
) -> Iterator[Client]:
    """Connect to an existing cluster, or start a local one.

    A local cluster is closed at the end.

    Args:
        scheduler: Address of an existing scheduler; None starts local processes on loopback.
        workers: Number of CPU processes; None for one per core.
        threads: Threads of a network per process; None divides the cores.
        gpus: Number of processes with the resource ``GPU``, each with one computing thread.
        memory_bytes: Memory limit per worker; a task that exceeds it is rerun with smaller patches.
        imports: Modules that are imported once and shared by all local workers.

    Raises:
        ConfigError: No scheduler answers at the address, or it listens off loopback without TLS.
        WorkerLostError: Local worker processes die during start-up.
    """
    check_guard()
    _silence_dask()
    if scheduler is not None:
        _check_private(scheduler)
        try:
            client = Client(scheduler, timeout="10s", set_as_default=False)
        except (OSError, ValueError, OverflowError) as error:
            raise ConfigError(
                f"--scheduler {scheduler}: no Dask scheduler answers there ({error}). Correct the address, "
                f"start the scheduler, or leave --scheduler out to use processes of this machine."
            ) from error
        with client:
            yield client
        return
    count = worker_count(workers)
    per_worker = threads_each(workers, threads)
    limit = memory_bytes or 0
    specification = {
        **{f"cpu-{i}": _worker(f"cpu-{i}", per_worker, "CPU", "", limit) for i in range(count)},
        **{
            f"gpu-{i}": _worker(f"gpu-{i}", per_worker, "GPU", name, limit)
            for i, name in enumerate(gpu_names()[:gpus])
        },
    }
    start_server(("distributed.worker", *imports), SERVER_ENVIRONMENT)
    with (
        dask.config.set(_CONFIG),
        _local(specification) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.wait_for_workers(len(specification), timeout=120)
        yield client


def check_scheduler(address: str) -> None:
    """Check that a scheduler answers, before anything is written.

    Raises:
        ConfigError: No scheduler answers, or it listens off loopback without TLS.
    """
    with connect(address):
        pass
