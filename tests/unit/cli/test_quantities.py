"""Options of a cluster and parts, as they are typed."""

import pytest

from wsipipe.cli.quantities import slurm_options
from wsipipe.errors import ConfigError


def test_options_of_a_cluster() -> None:
    assert slurm_options(None, []) is None
    options = slurm_options("slurm", ["partition=long"])
    assert options is not None
    assert options.partition == "long"


@pytest.mark.parametrize(("cluster", "texts"), [("pbs", []), (None, ["cpus=2"]), ("", [])])
def test_no_cluster_of_that_name(cluster: str | None, texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="give --cluster slurm, the only one"):
        slurm_options(cluster, texts)
