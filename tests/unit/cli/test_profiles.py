"""A profile gives options that the command line leaves open."""

from pathlib import Path
from typing import Any

import pytest

from wsipipe.cli.option_groups import grouped
from wsipipe.cli.profiles import profile_names, read_profile
from wsipipe.cli.run_options import MachineOptions
from wsipipe.errors import ExitCode
from wsipipe.pipeline.cluster.slurm_options import SlurmOptions
from wsipipe.pipeline.options import Resources, RunPolicy


class Caught(Exception):
    """Ends a command once its options are known."""


@pytest.fixture
def options(typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs ``run`` with options; returns what the pipeline would be given."""
    given: dict[str, Any] = {}

    def caught(*_: object, **options: Any) -> None:
        given.update(options)
        raise Caught

    monkeypatch.setattr("wsipipe.pipeline.run.run", caught)

    slide = tmp_path / "slide.svs"
    slide.touch()

    def run(*words: object) -> dict[str, Any]:
        with pytest.raises(Caught):
            typed("run", "tiling_only", slide, "--out", tmp_path / "out", *words)
        return given

    return run


def test_the_profiles_that_come_along(options: Any) -> None:
    assert profile_names() == ["gpu", "laptop", "slurm"]
    assert options("--profile", "laptop")["resources"] == Resources(workers=2, memory_budget=4 * 10**9)
    found = options("--profile", "gpu")
    assert (found["resources"], found["policy"]) == (Resources(device="cuda"), RunPolicy(max_failures="10%"))
    jobs = SlurmOptions(cpus="4", memory="8GB", time="12:00:00")
    assert options("--profile", "slurm")["resources"] == Resources(workers=10, device="cpu", slurm=jobs)


def test_the_command_line_wins(options: Any) -> None:
    found = options("--workers", "3", "--profile", "laptop", "--memory-budget", "8GB")["resources"]
    assert found == Resources(workers=3, memory_budget=8 * 10**9)
    assert options()["resources"] == Resources()


def test_a_file_of_ones_own(options: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("threads: 2\nprecision: float32\nshard_timeout: 60\n")
    found = options("--profile", tmp_path / "mine.yaml")
    assert (found["resources"].threads, found["precision"]) == (2, "float32")
    assert found["policy"].shard_timeout_s == 60
    assert dict(read_profile(str(tmp_path / "mine.yaml"))) == {
        "threads": 2,
        "precision": "float32",
        "shard_timeout": 60.0,
        "cluster_options": (),
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("workers: 2\nworkres: 3\n", "line 2: workres is unknown. Did you mean workers?"),
        ("workers: 0\n", "line 1: workers: Input should be greater than or equal to 1"),
        ("out: results\n", "line 1: out is unknown"),
    ],
)
def test_a_wrong_profile_is_named(typed: Any, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    code, _, stderr = typed("run", "nuclei", "s.svs", "--out", "o", "--profile", tmp_path / "mine.yaml")
    assert code == ExitCode.USAGE
    assert says in stderr


def test_an_unknown_name_lists_the_known_ones_and_retry_takes_no_cluster(typed: Any, tmp_path: Path) -> None:
    code, _, stderr = typed("plan", "nuclei", "s.svs", "--profile", "desktop")
    assert (code, "one of gpu, laptop, slurm" in stderr) == (ExitCode.USAGE, True)
    code, _, stderr = typed("retry", tmp_path, "--profile", "slurm")
    assert (code, "retry uses this machine alone" in stderr) == (ExitCode.USAGE, True)


def test_a_group_of_options_arrives_as_one_object() -> None:
    @grouped
    def command(out: str, machine: MachineOptions, last: int = 3) -> tuple[object, ...]:
        return out, machine, last

    values = {"profile": None, "workers": 2, "threads": None, "device": "cpu", "memory_budget": None}
    assert command(out="o", last=4, **values) == ("o", MachineOptions(workers=2, device="cpu"), 4)
    import inspect

    names = list(inspect.signature(command).parameters)
    assert names == ["out", "profile", "workers", "threads", "device", "memory_budget", "last"]
