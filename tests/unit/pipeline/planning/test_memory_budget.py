"""A budget is spent on patches first, then shards, then workers; and what cannot fit says so."""

import pytest

from wsipipe.errors import ConfigError
from wsipipe.pipeline.planning.memory_budget import DRIVER_BYTES, plan_for_budget, worker_bytes
from wsipipe.stages.workflow import load_workflow

GB = 10**9


@pytest.mark.parametrize("name", ["nuclei_and_tissue", "tiling_only"])
@pytest.mark.parametrize("budget", [2 * GB, 4 * GB, 8 * GB, 64 * GB])
def test_what_is_chosen_fits(name: str, budget: int) -> None:
    share = plan_for_budget(load_workflow(name), budget, workers=8)
    assert DRIVER_BYTES + share.workers * share.worker_bytes <= budget
    assert DRIVER_BYTES + share.workers * share.limit_bytes <= budget
    assert share.worker_bytes == worker_bytes(share.workflow) <= share.limit_bytes


def test_a_larger_budget_never_gives_less() -> None:
    workflow = load_workflow("nuclei_and_tissue")
    shares = [plan_for_budget(workflow, budget * GB, workers=4) for budget in (2, 4, 8, 16, 64)]
    assert [share.workers for share in shares] == sorted(share.workers for share in shares)
    assert shares[-1].workflow == workflow
    assert shares[-1].workers == 4


def test_a_budget_below_one_worker_is_refused() -> None:
    with pytest.raises(ConfigError, match="Give at least that"):
        plan_for_budget(load_workflow("nuclei"), GB // 2, workers=2)
