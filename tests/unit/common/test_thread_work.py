"""Work runs in other threads, and its errors come back."""

import threading

import pytest

from wsipipe.common.thread_work import in_background, in_own_thread


def test_work_runs_in_another_thread() -> None:
    assert in_background(threading.get_ident).result() != threading.get_ident()
    assert in_background(divmod, 7, 2).result() == (3, 1)


def test_its_error_comes_with_the_result() -> None:
    with pytest.raises(ZeroDivisionError):
        in_background(divmod, 7, 0).result()


def test_work_in_its_own_thread_waits_for_no_other() -> None:
    free = threading.Event()
    hung = [in_own_thread(free.wait, 60) for _ in range(64)]
    assert in_own_thread(divmod, 7, 2).result(timeout=30) == (3, 1)
    free.set()
    assert all(future.result(timeout=30) for future in hung)
    with pytest.raises(ZeroDivisionError):
        in_own_thread(divmod, 7, 0).result()
