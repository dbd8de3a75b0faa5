"""Time left of a training: exact on a made clock, for one network and for several."""

from io import StringIO

import pytest
from rich.console import Console

from wsipipe.cli import train
from wsipipe.cli.time_left import TimeLeft, as_text


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_mean_of_the_steps_so_far_counts_without_the_first() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.started(steps=1_201)
    clock.now += 50  # compiles kernels
    assert left.text(1) == ""
    clock.now += 100
    assert left.text(201) == "about 8 min left"  # 1,000 steps of half a second
    clock.now += 900
    assert left.text(601) == "about 17 min left"  # 600 steps of 5/3 s, after a validation
    assert left.text(1_201) == ""


def test_networks_that_follow_are_counted() -> None:
    clock = Clock()
    left = TimeLeft(3, clock)
    for later in (2, 1, 0):
        left.started(steps=100)
        left.text(50)
        clock.now += 10
        assert left.text(60) == f"about {as_text(40 + later * 100)} left"


def test_a_resumed_training_begins_at_its_step() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.started(steps=1_000)
    assert left.text(901) == ""
    clock.now += 2
    assert left.text(902) == "about 3 min left"  # sister: from step 0 it would be less than a second


def test_durations_are_short() -> None:
    assert [as_text(seconds) for seconds in (0.2, 59, 61, 3_599, 7_320)] == [
        "1 s",
        "59 s",
        "1 min",
        "1 h 0 min",
        "2 h 2 min",
    ]


def test_lines_of_a_training_end_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "SECONDS_BETWEEN_LINES", -1.0)
    clock, text = Clock(), StringIO()
    with train.PlainTrainingReporter(Console(file=text, width=200), TimeLeft(clock=clock)) as reporter:
        reporter.started("mine", 0, 3)
        for step in (1, 2, 3):
            reporter.stepped(step, 0.5)
            clock.now += 7
    assert text.getvalue().splitlines() == [
        "mine: step 0 of 3",
        "mine: step 1 of 3, loss 0.5000",
        "mine: step 2 of 3, loss 0.5000, about 7 s left",
        "mine: step 3 of 3, loss 0.5000",
    ]
