"""Nuclei segmentation and tissue classification for whole-slide images.

Results do not depend on slide orientation or tiling. Every public name is imported when it is first used, so
that ``import wsipipe`` is fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsipipe.pipeline.cluster.script_guard import check_guard, is_importing_script

if TYPE_CHECKING:
    from wsipipe.common.about import __version__
    from wsipipe.pipeline.options import Resources, RunPolicy
    from wsipipe.pipeline.run import RunResult, run
    from wsipipe.stages.workflow import Workflow
    from wsipipe.store.result import Result, open_result
    from wsipipe.tiling.slide import Slide, open_slide

_MODULES = {
    "RunPolicy": "wsipipe.pipeline.options",
    "Resources": "wsipipe.pipeline.options",
    "Result": "wsipipe.store.result",
    "RunResult": "wsipipe.pipeline.run",
    "Slide": "wsipipe.tiling.slide",
    "Workflow": "wsipipe.stages.workflow",
    "__version__": "wsipipe.common.about",
    "open_result": "wsipipe.store.result",
    "open_slide": "wsipipe.tiling.slide",
    "run": "wsipipe.pipeline.run",
}

__all__ = [
    "Resources",
    "Result",
    "RunPolicy",
    "RunResult",
    "Slide",
    "Workflow",
    "__version__",
    "open_result",
    "open_slide",
    "run",
]


def _run_if_guarded(*arguments: Any, **options: Any) -> Any:
    """Call ``run``; end a worker process that imports its script first."""
    check_guard()
    return import_module(_MODULES["run"]).run(*arguments, **options)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'wsipipe' has no attribute {name!r}")
    if name == "run" and is_importing_script():
        return _run_if_guarded
    if name == "run":
        import_module("wsipipe.common.distribution").refuse_clash()
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
