"""A cluster starts in the background, once, and is closed only if it was started."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wsipipe.errors import ConfigError
from wsipipe.pipeline.cluster.start import ClusterStart


class Fake:
    """A cluster that starts when it is allowed to, and lists what happens."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.allowed = threading.Event()

    @contextmanager
    def connect(self) -> Iterator[str]:
        assert self.allowed.wait(20)
        self.events.append("started")
        yield "client"
        self.events.append("closed")


def test_the_main_thread_goes_on_while_a_cluster_starts() -> None:
    fake = Fake()
    with ClusterStart(fake.connect) as cluster:
        cluster.begin()
        cluster.begin()
        fake.events.append("meanwhile")
        fake.allowed.set()
        assert cluster.client() == cluster.client() == "client"
    assert fake.events == ["meanwhile", "started", "closed"]


def test_a_cluster_that_nothing_needs_is_never_started() -> None:
    fake = Fake()
    with ClusterStart(fake.connect):
        pass
    assert fake.events == []


def test_a_start_is_closed_after_an_error_elsewhere() -> None:
    fake = Fake()
    fake.allowed.set()
    with pytest.raises(KeyboardInterrupt), ClusterStart(fake.connect) as cluster:  # noqa: PT012
        cluster.begin()
        raise KeyboardInterrupt
    assert fake.events == ["started", "closed"]


def test_a_cluster_that_does_not_start_raises_its_error() -> None:
    @contextmanager
    def connect() -> Iterator[str]:
        raise ConfigError("no scheduler answers")
        yield "client"

    with pytest.raises(ConfigError, match="no scheduler answers"), ClusterStart(connect) as cluster:
        cluster.client()
