"""A peak is that of one task; the highest of all is kept."""

import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.pipeline.cluster import peak_memory
from wsipipe.pipeline.cluster.peak_memory import peak_mb, restart_peak

_CODE = """
from wsipipe.pipeline.cluster.peak_memory import highest_mb, peak_mb, restart_peak
restart_peak()
block = bytearray(64 << 20)
block[::4096] = b"x" * len(block[::4096])
with_block = peak_mb()
del block
restart_peak()
assert peak_mb() < with_block - 50, (peak_mb(), with_block)
# The kernel counts pages in batches.
assert highest_mb() > with_block - 1
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are restarted on Linux alone")
def test_a_new_peak_is_lower_but_the_highest_stays() -> None:
    # A process of its own: libraries that other tests load may make the allocator keep freed memory.
    subprocess.run([sys.executable, "-c", _CODE], check=True, timeout=120)


def test_elsewhere_the_peak_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "no" / "status")
    monkeypatch.setattr(peak_memory, "_CLEAR", tmp_path / "no" / "clear_refs")
    restart_peak()
    assert peak_mb() > 10
