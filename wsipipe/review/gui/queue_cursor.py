"""Position in a queue of items to review."""

from collections.abc import Sequence

from wsipipe.review.queue import QueueItem
from wsipipe.review.slide import ReviewedSlide


class QueueCursor:
    """Items of a queue, and which of them is shown.

    Attributes:
        items: The items.
        position: Index of the shown item; -1 before the first.
    """

    def __init__(self, items: Sequence[QueueItem] = ()) -> None:
        self.items = list(items)
        self.position = -1

    def step(self, by: int) -> QueueItem | None:
        """Move by some items and return the item.

        It is None in an empty queue.
        """
        if not self.items:
            return None
        self.position = min(max(self.position + by, 0), len(self.items) - 1)
        return self.items[self.position]

    def text(self, slide: ReviewedSlide) -> str:
        """Describe the shown item and the decision on it."""
        if self.position < 0:
            return f"{len(self.items)} items; next is N, previous is H"
        item = self.items[self.position]
        decision = slide.decision(item.identity) if item.identity else None
        status = f"{decision.status} {decision.class_name}" if decision else "not judged"
        return f"{self.position + 1} of {len(self.items)}: {item.why}; {status}"
