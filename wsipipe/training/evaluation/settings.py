"""Settings of an evaluation: selection of samples, rotations and mirrors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from wsipipe.errors import ConfigError
from wsipipe.models.predictor import AnyPredictor
from wsipipe.training.evaluation.record import EvaluationSetup
from wsipipe.training.evaluation.rotation import MIRRORED, Rotation, rotations
from wsipipe.training.samples import Field, Tile

Progress = Callable[[int, int], None]
"""Called with (finished images, total images)."""


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Selection of samples, rotations and mirrors.

    Attributes:
        angles: Step between the rotated test sets, degrees; None for none.
        mirror: Whether mirrored test sets are scored too.
        groups: Groups (organs, patients) to score; all if empty.
        side_px: Side of the middle square of each field, in its own px, to score less; None for the whole
            field.
        max_samples: Largest number of fields or tiles, evenly spread; None for all.
        seed: Seed of the bootstrap.
        progress: Called after each image.
    """

    angles: float | None = None
    mirror: bool = False
    groups: tuple[str, ...] = ()
    side_px: int | None = None
    max_samples: int | None = None
    seed: int = 0
    progress: Progress = field(default=lambda done, total: None)

    def __post_init__(self) -> None:
        """Refuse a step that does not divide 360, before data are read."""
        _ = self.rotations

    @property
    def rotations(self) -> tuple[Rotation, ...]:
        """Rotations of the test sets, starting upright."""
        return rotations(self.angles) if self.angles is not None else ()

    @property
    def mirrors(self) -> tuple[Rotation, ...]:
        """Mirrors of the test sets."""
        return MIRRORED if self.mirror else ()

    def select[S: (Field, Tile)](self, samples: Sequence[S]) -> list[S]:
        """Return the samples of the selected groups, thinned evenly.

        Raises:
            ConfigError: A group is unknown, or no sample is left.
        """
        there = sorted({sample.group for sample in samples})
        unknown = [name for name in self.groups if name not in there]
        if unknown or not samples:
            cause = f"group {unknown[0]!r} is unknown" if unknown else "no sample fits the network"
            known = f"{', '.join(there[:20])}{' ...' if len(there) > 20 else ''}" or "none"
            raise ConfigError(
                f"Nothing to evaluate: {cause}. Groups of samples that fit: {known}. Give --only-groups of "
                "these, or other data."
            )
        chosen = [sample for sample in samples if not self.groups or sample.group in self.groups]
        count = min(self.max_samples or len(chosen), len(chosen))
        return [chosen[index * len(chosen) // count] for index in range(count)]


class ProgressCounter:
    """Counter that reports progress after each value.

    Args:
        settings: Settings with the progress callback.
        total: Total number of values.
    """

    def __init__(self, settings: EvaluationSettings, total: int) -> None:
        self.progress, self.done, self.total = settings.progress, 0, total

    def __call__[T](self, passed: T) -> T:
        """Count and return a value."""
        self.done += 1
        self.progress(self.done, self.total)
        return passed


def setup_of(predictors: Sequence[AnyPredictor], groups: Sequence[str]) -> EvaluationSetup:
    """Return the setup of an evaluation; with folds, the first gives the name.

    Args:
        predictors: Predictors of the networks.
        groups: Group of each scored sample.
    """
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
