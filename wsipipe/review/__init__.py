"""Review: look at a finished slide, correct it, lose nothing. ``Session`` does it all without a window."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsipipe.review.session import Session

__all__ = ["Session"]


def __getattr__(name: str) -> Any:
    if name != "Session":
        raise AttributeError(f"module 'wsipipe.review' has no attribute {name!r}")
    return import_module("wsipipe.review.session").Session


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
