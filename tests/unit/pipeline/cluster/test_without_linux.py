"""Memory, processes and GPUs are known without what Linux alone has."""

import builtins
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from wsipipe.pipeline.cluster import attempts, machine, peak_memory
from wsipipe.pipeline.cluster.attempts import process_start_time


def without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a module be absent."""
    real = builtins.__import__

    def absent(wanted: str, *arguments: object) -> object:
        if wanted == name:
            raise ImportError(name)
        return real(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", absent)


@pytest.mark.parametrize(
    ("found", "peak_mb"), [({"rss": 3 << 20}, 3), ({"rss": 3 << 20, "peak_wset": 5 << 20}, 5)]
)
def test_the_peak_without_resource(
    found: dict[str, int], peak_mb: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "resource")
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(**found))
    monkeypatch.setattr(psutil, "Process", lambda: process)
    assert peak_memory._process_peak_mb() == peak_mb


@pytest.mark.parametrize(("platform", "peak_mb"), [("linux", 2048.0), ("darwin", 2.0)])
def test_macos_counts_in_bytes(platform: str, peak_mb: float, monkeypatch: pytest.MonkeyPatch) -> None:
    if "absent" in sys.modules:
        pytest.skip("LOUD SKIP: tests/other_systems hides resource; that is NOT tested")
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(peak_memory.sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: SimpleNamespace(ru_maxrss=2 << 20))
    assert peak_memory._process_peak_mb() == peak_mb


def test_a_process_is_known_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(attempts, "Path", lambda text: tmp_path / "none")
    own = process_start_time(os.getpid())
    assert own is not None
    assert " " not in own
    assert own == process_start_time(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert process_start_time(other.pid) not in (own, None)
        other.kill()
    assert process_start_time(1 << 30) is None


def test_gpus_of_windows_are_those_that_the_driver_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "WINDOWS", True)
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert machine.gpu_names() == []
    said = SimpleNamespace(stdout="GPU 0: Card (UUID: GPU-1)\nGPU 1: Card (UUID: GPU-2)\n")
    monkeypatch.setattr(machine.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(machine.subprocess, "run", lambda *_, **__: said)
    assert machine.gpu_names() == ["0", "1"]
