"""Cores and name of the processor are known on every system."""

import platform
import subprocess
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from wsipipe.common import compiled, machine


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    machine.processor_brand.cache_clear()
    yield
    machine.processor_brand.cache_clear()


def test_cores_that_a_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {1, 5, 7}, raising=False)
    assert machine.usable_cores() == 3
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 6)
    assert machine.usable_cores() == 6
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    assert machine.usable_cores() == 1


def test_the_processor_has_a_name_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6")
    assert machine.processor_brand() == "Intel64 Family 6"
    machine.processor_brand.cache_clear()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(stdout="Apple M2\n"))
    assert machine.processor_brand() == "Apple M2"
    monkeypatch.setattr(compiled, "cpu_info", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert compiled.processor() == "arm64\nmodel name Apple M2"
    machine.processor_brand.cache_clear()
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert machine.processor_brand() == ""
