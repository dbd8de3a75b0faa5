"""Names and places of the journals of a slide."""

import getpass
from pathlib import Path

from wsipipe.errors import ConfigError
from wsipipe.review.journal.journal_file import SUFFIX, JournalHeader
from wsipipe.review.published import PublishedSlide


def reviews_folder(published: PublishedSlide, reviews: str | Path | None) -> Path:
    """Return the folder of a slide's journals.

    Args:
        published: The slide.
        reviews: Folder of journals, if not ``OUT/SLIDE/reviews``.
    """
    return published.folder / "reviews" if reviews is None else Path(reviews) / published.slide_id


def journal_of(
    published: PublishedSlide, user: str | None, reviews: str | Path | None
) -> tuple[Path, JournalHeader]:
    """Return path and required header of a journal.

    Args:
        published: The slide.
        user: Name of the reviewer; the login name by default.
        reviews: Folder of journals, if not ``OUT/SLIDE/reviews``.
    """
    name = checked_name(user or getpass.getuser())
    header = JournalHeader(published.slide_id, published.plan, name, published.shape)
    return reviews_folder(published, reviews) / f"{name}{SUFFIX}", header


def checked_name(user: str) -> str:
    """Check that a reviewer's name can be a file name.

    Raises:
        ConfigError: It contains other characters than letters, digits, point, dash and underscore.
    """
    if not user or user.startswith(".") or not all(sign.isalnum() or sign in "._-" for sign in user):
        raise ConfigError(
            f"{user!r} cannot be the name of a reviewer; use letters, digits, point, dash and underscore, "
            "for example ann.b."
        )
    return user
