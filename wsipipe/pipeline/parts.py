"""Parts of a batch: several processes, on one or many machines, share its slides."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypedDict

from wsipipe.errors import ConfigError
from wsipipe.tiling.collect import SlideInput

_TEXT = re.compile(r"([1-9]\d{0,5})/([1-9]\d{0,5})")
_STEM = re.compile(r"run\.([1-9]\d*)-of-([1-9]\d*)")


class BatchEntry(TypedDict):
    """What a part knows of its batch."""

    part: str
    slides: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One of the parts of a batch.

    Attributes:
        number: Number of the part, from 1.
        count: Number of parts of the batch.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a part such as ``3/8``.

        Raises:
            ConfigError: The text is not two numbers, or there is no such part.
        """
        found = _TEXT.fullmatch(text)
        if not found or int(found[1]) > int(found[2]):
            raise ConfigError(
                f"--part {text!r}: this is no part of a batch. Give I/N with I from 1 to N, such as 3/8 for "
                f"the third of eight processes."
            )
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of_stem(cls, stem: str) -> Self | None:
        """Return the part whose files have this stem; None for other files."""
        found = _STEM.fullmatch(stem)
        return cls(int(found[1]), int(found[2])) if found else None

    @property
    def stem(self) -> str:
        """Name of the part's record and lock without suffix."""
        return f"run.{self.number}-of-{self.count}"

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def share(self, slides: Sequence[SlideInput]) -> list[SlideInput]:
        """Return every ``count``-th slide of the batch, sorted by id; each slide is in one part."""
        return sorted(slides, key=lambda slide: slide.slide_id)[self.number - 1 :: self.count]

    def batch(self, slides: Sequence[SlideInput]) -> BatchEntry:
        """Return the entry that shows whether all parts were given the same slides."""
        ids = "\n".join(sorted(slide.slide_id for slide in slides))
        return {"part": str(self), "slides": len(slides), "sha256": hashlib.sha256(ids.encode()).hexdigest()}
