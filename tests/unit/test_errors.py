"""Every error comes from a worker as it was raised there, with its code."""

import pickle
from typing import Any

import pytest
from distributed.core import error_message

from wsipipe import errors

TREE = [
    each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.WsipipeError)
]


class OfMemory(errors.WsipipeError, MemoryError):
    """Out-of-memory errors once arrived as a bare ``Exception`` and were reported as a defect."""


def handed_on(kind: type[errors.WsipipeError]) -> Any:
    """An error as Dask sends and receives it, with its cause and traceback."""
    try:
        try:
            raise OSError("a cause")
        except OSError as cause:
            raise kind("words") from cause
    except errors.WsipipeError as error:
        sent: Any = error_message(error)["exception"]
        return pickle.loads(sent.data)


@pytest.mark.parametrize("kind", TREE)
def test_an_error_is_the_same_on_the_other_side(kind: type[errors.WsipipeError]) -> None:
    found = handed_on(kind)
    assert type(found) is kind
    assert str(found) == "words"


def test_sister_a_child_of_memory_error_is_not() -> None:
    assert type(handed_on(OfMemory)) is Exception
