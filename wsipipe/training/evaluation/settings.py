"""Which samples are scored, and how they are turned: what every evaluation starts from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wsipipe.errors import ConfigError
from wsipipe.models.predictor import Predictor
from wsipipe.training.evaluation.record import EvaluationSetup
from wsipipe.training.evaluation.rotation import MIRRORED, Rotation, rotations
from wsipipe.training.samples import Field, Tile

Progress = Callable[[int, int], None]
"""Told (images answered, images in all)."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Which samples are scored, and how they are turned.

    Attributes:
        angles: Step between the turned test sets, degrees; None for no turned ones.
        mirror: Also mirrored both ways.
        groups: Only these groups (organs, patients); all if empty.
        side_px: Only the middle of each field, its own px; for a quicker look.
        max_samples: At most so many fields or tiles, evenly spread over them.
        seed: Of the bootstrap.
        progress: Told of each image.
    """

    angles: float | None = None
    mirror: bool = False
    groups: tuple[str, ...] = ()
    side_px: int | None = None
    max_samples: int | None = None
    seed: int = 0
    progress: Progress = field(default=lambda done, total: None)

    def __post_init__(self) -> None:
        """Refuse a step that does not divide a turn, before any data are read."""
        _ = self.rotations

    @property
    def rotations(self) -> tuple[Rotation, ...]:
        """Poses of the turned test sets, upright the first."""
        return rotations(self.angles) if self.angles is not None else ()

    @property
    def mirrors(self) -> tuple[Rotation, ...]:
        """Poses of the mirrored test sets."""
        return MIRRORED if self.mirror else ()

    def select[S: (Field, Tile)](self, samples: Sequence[S]) -> list[S]:
        """Samples of the asked groups, thinned evenly to the asked number.

        Raises:
            ConfigError: A group is unknown, or nothing is left.
        """
        there = sorted({sample.group for sample in samples})
        unknown = [name for name in self.groups if name not in there]
        if unknown or not samples:
            asked = f"group {unknown[0]!r} was asked for" if unknown else "nothing fits the network"
            has = f"{', '.join(there[:20])}{' ...' if len(there) > 20 else ''}" or "no group"
            raise ConfigError(
                f"Nothing to evaluate: {asked}; what it can answer has {has}. Give --only-groups of these, "
                "or other data."
            )
        chosen = [sample for sample in samples if not self.groups or sample.group in self.groups]
        count = min(self.max_samples or len(chosen), len(chosen))
        return [chosen[index * len(chosen) // count] for index in range(count)]


class ProgressCounter:
    """Counts what passes through it, and tells the settings's progress.

    Args:
        settings: Whose progress.
        total: How many will pass.
    """

    def __init__(self, settings: EvaluationSettings, total: int) -> None:
        self.progress, self.done, self.total = settings.progress, 0, total

    def __call__[T](self, passed: T) -> T:
        """What was given."""
        self.done += 1
        self.progress(self.done, self.total)
        return passed


def setup_of(predictors: Sequence[Predictor], groups: Sequence[str]) -> EvaluationSetup:
    """What runs (the first of several folds gives its name), on the samples of these groups."""
    first, names = predictors[0], sorted(set(groups))
    return EvaluationSetup(
        weights=first.card.name,
        weights_sha256=[one.card.sha256 for one in predictors],
        mpp=first.card.mpp,
        device=first.device,
        precision=first.precision,
        samples=len(groups),
        groups={name: groups.count(name) for name in names} if len(names) < len(groups) else {},
    )
