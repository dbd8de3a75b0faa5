"""Work runs in other threads, and its errors come back."""

import threading

import pytest

from wsipipe.common.thread_work import in_background


def test_work_runs_in_another_thread() -> None:
    assert in_background(threading.get_ident).result() != threading.get_ident()
    assert in_background(divmod, 7, 2).result() == (3, 1)


def test_its_error_comes_with_the_result() -> None:
    with pytest.raises(ZeroDivisionError):
        in_background(divmod, 7, 0).result()
