"""Workers load what they will need, and only that."""

import threading

import pytest

from wsipipe.pipeline.execution import warm_up


@pytest.mark.parametrize(
    ("has_networks", "runs_networks", "networks"),
    [(True, True, ["wsipipe.models.predictor"]), (True, False, []), (False, True, [])],
)
def test_networks_are_loaded_where_they_run(
    has_networks: bool, runs_networks: bool, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(warm_up, "import_module", loaded.append)
    warm_up.start_imports(has_networks, runs_networks)
    for thread in threading.enumerate():
        if thread.name == "imports":
            thread.join()
    assert loaded == ["wsipipe.pipeline.execution.shard_task", *networks]
