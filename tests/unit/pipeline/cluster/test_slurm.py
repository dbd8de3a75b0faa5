"""Workers as jobs of SLURM: what is asked of dask-jobqueue, and what is refused before any work.

There is no SLURM here: ``sbatch`` and the cluster are stand-ins.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed.security import Security

from wsipipe.errors import ConfigError
from wsipipe.pipeline.checked_resources import check_slurm_run
from wsipipe.pipeline.cluster import slurm
from wsipipe.pipeline.cluster.slurm import check_slurm, connect_slurm
from wsipipe.pipeline.cluster.slurm_options import SlurmOptions
from wsipipe.pipeline.options import Resources


class Cluster:
    """Stand-in for ``SLURMCluster``: keeps what it is given."""

    def __init__(self, **given: object) -> None:
        self.given, self.calls = given, []
        made.append(self)

    def job_script(self) -> str:
        return "#!/bin/sh\n"

    def adapt(self, **given: int) -> None:
        self.calls.append(given)

    def close(self, timeout: float) -> None:
        self.calls.append("closed")


made: list[Cluster] = []


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command ``sbatch`` that accepts every job, and stand-ins for packages and client."""
    command = tmp_path / "bin" / "sbatch"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\nexit 0\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    monkeypatch.setitem(sys.modules, "cryptography", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=Cluster))
    monkeypatch.setattr(slurm, "_security", lambda _: Security(require_encryption=True))
    monkeypatch.setattr(slurm, "Client", Client)
    made.clear()
    return command


class Client:
    """Stand-in for Dask's client."""

    def __init__(self, cluster: Cluster, set_as_default: bool) -> None:
        self.cluster = cluster

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *failure: object) -> None:
        self.cluster.calls.append("left")


def test_jobs_are_encrypted_and_show_nothing_on_the_network(sbatch: Path, tmp_path: Path) -> None:
    options = SlurmOptions.parse(
        ["partition=long", "memory=8GB", "cpus=4", "directive=--qos=low", "setup=module x"]
    )
    check_slurm(tmp_path)
    with connect_slurm(options, 3, 4, tmp_path / "slurm"):
        pass
    (cluster,) = made
    given = cluster.given
    assert cluster.calls == [{"minimum": 3, "maximum": 3}, "left", "closed"]
    assert (given["protocol"], given["security"].require_encryption) == ("tls://", True)
    assert given["scheduler_options"] == {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    arguments = " ".join(given["worker_extra_args"])
    assert "--resources CPU=1 --no-dashboard --dashboard-address 127.0.0.1:0" in arguments
    assert (given["queue"], given["memory"], given["cores"], given["job_cpu"]) == ("long", "8GB", 1, 4)
    assert given["job_script_prologue"][0] == "export OMP_NUM_THREADS=4"
    assert given["job_script_prologue"][-1] == "module x"
    assert given["job_extra_directives"] == ["--qos=low"]
    assert (given["walltime"], given["job_directives_skip"]) == (None, ["-t "])
    assert (tmp_path / "slurm").stat().st_mode & 0o777 == 0o700


def test_a_job_that_slurm_refuses(sbatch: Path, tmp_path: Path) -> None:
    sbatch.write_text("#!/bin/sh\necho 'Invalid partition name' >&2\nexit 1\n")
    with (
        pytest.raises(ConfigError, match=r"sbatch refuses the job \(Invalid partition name\)\. Correct"),
        connect_slurm(SlurmOptions(), 1, 1, tmp_path / "slurm"),
    ):
        pass
    assert made[0].calls == ["closed"]


def test_what_is_missing_is_named(sbatch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="without spaces and special characters"):
        check_slurm(tmp_path / "my slides")
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(
        ConfigError, match=r"dask_jobqueue is not installed\. Run: pip install 'wsipipe-gmr\[slurm\]'"
    ):
        check_slurm(tmp_path)
    sbatch.unlink()
    with pytest.raises(ConfigError, match="this machine has no command sbatch"):
        check_slurm(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "queue=x",
        "partition=",
        "partition=a b",
        "memory=8",
        "cpus=0",
        "cpus=x",
        "time=soon",
        "setup=",
        "memory",
    ],
)
def test_malformed_options(text: str) -> None:
    with pytest.raises(ConfigError, match="--cluster-option"):
        SlurmOptions.parse([text])


def test_options_that_come_once_and_several_times() -> None:
    assert SlurmOptions.parse(["setup=a", "setup=b=c", "time=1-12:00:00"]) == SlurmOptions(
        setup=("a", "b=c"), time="1-12:00:00"
    )
    with pytest.raises(ConfigError, match="given twice"):
        SlurmOptions.parse(["cpus=2", "cpus=2"])


def test_resources_of_a_run_on_slurm(sbatch: Path, tmp_path: Path) -> None:
    given = Resources(workers=5, slurm=SlurmOptions(cpus="3"))
    assert given.elsewhere
    assert check_slurm_run(given, tmp_path, dry_run=False).threads == 3
    local = check_slurm_run(given, tmp_path, dry_run=True)
    assert (local.slurm, local.workers) == (None, None)
    wrong = [{"workers": None}, {"device": "cuda"}, {"scheduler": "tls://a:1"}, {"memory_budget": 1 << 33}]
    for change in wrong:
        with pytest.raises(ConfigError, match="--cluster slurm needs --workers"):
            check_slurm_run(
                Resources(**{"workers": 5, "slurm": SlurmOptions()} | change), tmp_path, dry_run=False
            )
