"""One result of the examination of a machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class Finding:
    """What was examined, and with which result.

    Attributes:
        topic: Group, such as ``disk``.
        name: What was examined.
        state: ``ok``; ``note`` for what is slower or not available; ``failed`` where runs would fail.
        value: What was found.
        remedy: What to do; empty if nothing.
    """

    topic: str
    name: str
    state: State
    value: str
    remedy: str = ""


def examined(topic: str, name: str, remedy: str, look: Callable[[], str]) -> Finding:
    """Return what ``look`` finds, or its error as a failure.

    Args:
        topic: Group of the finding.
        name: What is examined.
        remedy: What to do if it fails.
        look: Function that returns what it found as text, and raises if that is not usable.
    """
    try:
        return Finding(topic, name, "ok", look())
    except Exception as error:  # libraries that do not load raise anything
        text = " ".join(str(error).split()) or "no message"
        return Finding(topic, name, "failed", f"{type(error).__name__}: {text}"[:300], remedy)
