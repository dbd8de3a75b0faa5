"""Estimate of the time until a training is done."""

import time
from collections.abc import Callable


class TimeLeft:
    """Estimate of the time until all networks of a command are trained.

    The speed is the mean since the first step, validations included. That step is not counted, since it also
    starts worker processes and compiles kernels.

    Args:
        networks: Number of networks to train, all with as many steps.
        clock: Function that returns seconds.
    """

    def __init__(self, networks: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._later, self._clock = networks, clock
        self._steps = 0
        self._first: tuple[int, float] | None = None

    def started(self, steps: int) -> None:
        """Begin the next network, which has this many steps."""
        self._later = max(self._later - 1, 0)
        self._steps, self._first = steps, None

    def text(self, done: int) -> str:
        """Return the time left after a step as text.

        It is empty while the time is unknown, and at the end.

        Args:
            done: Number of finished steps of this network.
        """
        now = self._clock()
        first, since = self._first = self._first or (done, now)
        steps_left = self._steps - done + self._later * self._steps
        if done == first or not steps_left:
            return ""
        return f"about {as_text((now - since) / (done - first) * steps_left)} left"


def as_text(seconds: float) -> str:
    """Return a duration in seconds, minutes, or hours and minutes."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
