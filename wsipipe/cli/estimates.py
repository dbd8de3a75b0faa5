"""Table of what slides will take."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from wsipipe.cli.shared import console, print_rows

if TYPE_CHECKING:
    from wsipipe.pipeline.estimate.estimate import SlideEstimate

_COLUMNS = ("slide", "tissue mm2", "canvas Mpx", "shards", "disk GB", "minutes")


def print_estimates(estimates: Iterable["SlideEstimate"]) -> list["SlideEstimate"]:
    """Print a table of estimates with their sum, and return them.

    Args:
        estimates: Estimates; each is computed when it is taken.
    """
    found = []
    for estimate in estimates:
        found.append(estimate)
        if estimate.error:
            console.print(f"{estimate.path}: {estimate.error}", soft_wrap=True)
    good = [each for each in found if not each.error]
    if good:
        print_rows(_COLUMNS, [_row(each) for each in good] + [_total(good)] * (len(good) > 1))
    return found


def _row(each: "SlideEstimate") -> Sequence[str]:
    return (each.slide_id, *_numbers(each))


def _numbers(*slides: "SlideEstimate") -> tuple[str, ...]:
    return (
        f"{sum(each.tissue_mm2 for each in slides):.1f}",
        f"{sum(each.canvas_mpx for each in slides):.0f}",
        str(sum(each.shards for each in slides)),
        f"{sum(each.disk_gb for each in slides):.2f}",
        f"{sum(each.minutes for each in slides):.1f}",
    )


def _total(slides: Sequence["SlideEstimate"]) -> Sequence[str]:
    return (f"{len(slides)} slides", *_numbers(*slides))
