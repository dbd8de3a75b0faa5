"""Edits that buttons of the panel make to the selected nuclei."""

from collections.abc import Callable

from wsipipe.review.session import Session

TOOL = "button"
SELECTION_EDITS: dict[str, Callable[[Session, list[int], str], object]] = {
    "accept": lambda session, ids, _: session.accept(ids, TOOL),
    "reject": lambda session, ids, _: session.reject(ids, TOOL),
    "relabel": lambda session, ids, class_name: session.relabel(ids, class_name, TOOL),
    "delete": lambda session, ids, _: session.delete(ids, TOOL),
    "split": lambda session, ids, _: session.split(ids[0], None, TOOL),
    "merge": lambda session, ids, _: session.merge(ids, TOOL),
}
"""Edits of the selected nuclei, given the class in the box."""
