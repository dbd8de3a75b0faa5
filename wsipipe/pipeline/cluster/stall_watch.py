"""A thread that stops worker processes whose task makes no progress."""

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from distributed import Client

from wsipipe.pipeline.cluster.attempts import STALLED, lines_of, process_start_time

TICK_S = 1.0


class StallWatch:
    """Watches every marker file of a run.

    That includes the markers of cancelled tasks: Dask cannot end one that has begun, and a hung one would
    keep its worker from all other slides.

    Args:
        client: Client of the cluster.
        markers: Folder for marker files of running tasks, on a file system that every worker sees.
        timeout_s: Time after which a task counts as hung and its process is stopped, s.

    Attributes:
        messages: Receiver of a message about a task, by the task's name.
    """

    def __init__(self, client: Client, markers: Path, timeout_s: float) -> None:
        self._client, self._markers, self._timeout_s = client, markers, timeout_s
        self.messages: dict[str, Callable[[str], None]] = {}
        self._seen: dict[str, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Watch in a thread, until the client closes."""
        with self._lock:
            if self._thread.ident is None:
                self._thread.start()

    def _watch(self) -> None:
        while self._client.status not in {"closing", "closed"}:
            # The file system or the scheduler may be away for a moment; the next look finds them again.
            with suppress(OSError):
                self.look()
            time.sleep(TICK_S)

    def look(self) -> None:
        """Stop the processes of tasks that make no progress.

        Their marker files have been the same for longer than the timeout.
        """
        now = time.monotonic()
        seen: dict[str, tuple[int, float]] = {}
        for marker in self._markers.glob("*"):
            lines = lines_of(marker)
            if not lines or lines[-1] == STALLED:
                continue
            # Each process that starts the task changes the file.
            changed = marker.stat().st_mtime_ns
            earlier, since = self._seen.get(marker.name, (changed, now))
            seen[marker.name] = (changed, since if earlier == changed else now)
            if now - seen[marker.name][1] > self._timeout_s:
                self._stop(marker, lines[-1])
        self._seen = seen

    def _stop(self, marker: Path, process: str) -> None:
        host, pid, start_time = process.split(" ")
        local = host == socket.gethostname()
        if local and process_start_time(int(pid)) != start_time:
            # The process has died, and the task waits for another one.
            return
        if message := self.messages.get(marker.name):
            message(f"{marker.name}: no progress for {self._timeout_s:g} s; stopping process {pid} on {host}")
        with marker.open("a", encoding="utf-8") as file:
            file.write(f"{STALLED}\n")
        if local:
            # Its nanny starts another one; a hung decoder ignores any other signal.
            with suppress(psutil.NoSuchProcess):
                psutil.Process(int(pid)).kill()
            return
        workers = self._client.run(os.getpid, on_error="ignore")
        hung = [address for address, found in workers.items() if found == int(pid)]
        self._client.restart_workers(hung, raise_for_error=False)
