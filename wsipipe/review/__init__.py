"""Review and correct the results of a slide.

``session`` records edits and ``slide`` is the read-only view of a reviewed slide; ``journal`` is the durable
list of edits; ``published`` is the result under review; ``reviewed_store``, ``export``, ``table`` and
``training_set`` write what follows from the edits; ``gui`` is the panel in napari. All but ``gui`` works
without a window.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsipipe.review.session import Session

__all__ = ["Session"]


def __getattr__(name: str) -> object:
    if name != "Session":
        raise AttributeError(f"module 'wsipipe.review' has no attribute {name!r}")
    return import_module("wsipipe.review.session").Session


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
