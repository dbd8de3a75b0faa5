"""All examinations in the order in which they are shown."""

from collections.abc import Callable, Iterator
from pathlib import Path

from wsipipe.pipeline.doctor.compiled_parts import compiled_parts
from wsipipe.pipeline.doctor.disk import disk
from wsipipe.pipeline.doctor.finding import Finding
from wsipipe.pipeline.doctor.gpu import gpu
from wsipipe.pipeline.doctor.machine import machine
from wsipipe.pipeline.doctor.models import models
from wsipipe.pipeline.doctor.slides import readers
from wsipipe.pipeline.doctor.viewer import viewer
from wsipipe.pipeline.doctor.workers import workers


def examine(out: Path) -> Iterator[Finding]:
    """Yield what is found on this machine, as it is found.

    Args:
        out: Folder whose disk is examined; it need not exist.
    """
    looks: tuple[Callable[[], list[Finding]], ...] = (
        machine,
        compiled_parts,
        readers,
        models,
        gpu,
        lambda: disk(out),
        workers,
        viewer,
    )
    for look in looks:
        yield from look()
