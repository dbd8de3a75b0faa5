"""Workers: one process starts on loopback and answers."""

import time

from wsipipe.pipeline.cluster.client import connect
from wsipipe.pipeline.cluster.workers import processors
from wsipipe.pipeline.doctor.finding import Finding, examined

TOPIC = "workers"
_REMEDY = "Allow local connections on 127.0.0.1 and starting processes; check ulimit -u and free memory."


def workers() -> list[Finding]:
    """Start a cluster of one worker process, and ask it for its processor."""
    return [examined(TOPIC, "local process", _REMEDY, _start)]


def _start() -> str:
    began = time.monotonic()
    with connect(workers=1) as client:
        (_,) = processors(client)
        return f"answers on loopback after {time.monotonic() - began:.1f} s"
