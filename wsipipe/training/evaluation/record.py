"""Results of an evaluation, as strict JSON."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

Scores = dict[str, float]
UPRIGHT_ONLY = {"ece"}
"""Scores without a summary over angles, whose worst value is the lowest."""


class EvaluationRecord(BaseModel):
    """Frozen part of an evaluation that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(EvaluationRecord):
    """Mean with its confidence interval.

    Attributes:
        value: Mean over all samples.
        low: Lower end of the 95 % bootstrap interval over groups; None with one group.
        high: Upper end.
        samples: Number of samples that have this score.
    """

    value: float
    low: float | None = None
    high: float | None = None
    samples: int


class AngleSummary(EvaluationRecord):
    """One score on the rotated test sets.

    Attributes:
        by_angle: Value at each angle.
        upright: Value at 0 degrees, on the same disc or plane.
        mean: Mean over the angles.
        low: Lower end of the 95 % bootstrap interval of the mean; None where it was not computed.
        high: Upper end.
        sd: Standard deviation over the angles.
        worst: Lowest value.
        worst_degrees: Angle of the lowest value.
    """

    by_angle: list[float]
    upright: float
    mean: float
    low: float | None = None
    high: float | None = None
    sd: float
    worst: float
    worst_degrees: float

    @property
    def drop(self) -> float:
        """Loss at the worst angle compared to 0 degrees."""
        return self.upright - self.worst

    @property
    def mean_drop(self) -> float:
        """Mean loss compared to 0 degrees."""
        return self.upright - self.mean


class SampleScores(EvaluationRecord):
    """Scores of one field, upright and whole."""

    name: str
    group: str
    scores: Scores


class EvaluationSetup(EvaluationRecord):
    """Evaluated weights, samples and execution.

    Attributes:
        weights: Name of the weights.
        weights_sha256: SHA-256 of the weight file; one per fold of a cross-validation, whose networks were
            evaluated only on their held-out samples.
        mpp: Resolution of the network in µm/px.
        device: Device of the network.
        precision: Numerical precision.
        samples: Number of scored fields or tiles.
        groups: Number of samples of each group; empty if each sample is its own group.
    """

    weights: str
    weights_sha256: list[str]
    mpp: float
    device: str
    precision: str
    samples: int
    groups: dict[str, int]


class Evaluation(EvaluationRecord):
    """Scores of a network on a labelled data set, upright, rotated and mirrored.

    Attributes:
        schema_version: Version of the JSON format.
        task: ``nuclei`` (fields) or ``tissue`` (tiles).
        setting: Evaluated weights, samples and execution.
        trained_on: Number of scored samples that the weights were trained on according to their card, by
            source.
        caution: Consequence for the scores; empty where there are none.
        left_out: Number of samples of the data folder that were not scored, by reason.
        original: Scores of the unchanged samples, by name.
        mirrored: Scores of the mirrored test sets, by mirror.
        degrees: Angles of the rotated test sets; empty if there are none.
        turned: Scores over these angles, by name.
        orientation_difference: Largest difference of any sample's score (nuclei) or probability (tissue) at
            90, 180, 270 degrees and mirrored; 0 is exactly equal; None if none was computed.
        classes: Class names, in the order of the confusion matrix (tissue).
        confusion: Confusion matrix; rows are true classes, columns found ones (tissue).
        samples: Scores by field (nuclei).
        type_f1: F1 of ``detection`` and of each type over all fields with types, see
            :mod:`wsipipe.training.evaluation.type_metrics`; empty without types (nuclei).
    """

    schema_version: Literal[2] = 2
    task: Literal["nuclei", "tissue"]
    setting: EvaluationSetup
    trained_on: dict[str, int] = {}
    caution: str = ""
    left_out: dict[str, int] = {}
    original: dict[str, Estimate]
    mirrored: dict[str, Scores] = {}
    degrees: list[float] = []
    turned: dict[str, AngleSummary] = {}
    orientation_difference: float | None = None
    classes: list[str] = []
    confusion: list[list[int]] = []
    samples: list[SampleScores] = []
    type_f1: Scores = {}

    def card_metrics(self) -> tuple[Scores, dict[str, tuple[float, float]]]:
        """Return ``metrics`` and ``intervals`` for a model card, to four places."""
        metrics = {name: round(one.value, 4) for name, one in self.original.items()}
        metrics |= {f"type_f1_{name}": round(value, 4) for name, value in self.type_f1.items()}
        for name, over in self.turned.items():
            metrics |= {f"{name}_turned": round(over.mean, 4), f"{name}_worst_angle": round(over.worst, 4)}
            metrics[f"{name}_sd_over_angles"] = round(over.sd, 4)
        sure = {
            name: (round(one.low, 4), round(one.high, 4))
            for name, one in self.original.items()
            if one.low is not None and one.high is not None
        }
        return metrics, sure


def finite(scores: Scores) -> Scores:
    """Drop scores that are NaN."""
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def estimates(
    means: Scores, intervals: dict[str, tuple[float, float]], samples: dict[str, int]
) -> dict[str, Estimate]:
    """Combine means with their intervals, dropping NaN."""
    found = {}
    for name, value in finite(means).items():
        low, high = intervals.get(name, (np.nan, np.nan))
        sure = {} if np.isnan(low) else {"low": low, "high": high}
        found[name] = Estimate(value=value, samples=samples[name], **sure)
    return found


def summarise_angles(
    curve: list[float], degrees: list[float], interval: tuple[float, float] | None = None
) -> AngleSummary:
    """Summarise a score by angle, starting with 0 degrees."""
    worst = int(np.argmin(curve))
    low, high = interval or (None, None)
    return AngleSummary(
        by_angle=curve,
        upright=curve[0],
        mean=float(np.mean(curve)),
        low=low,
        high=high,
        sd=float(np.std(curve)),
        worst=curve[worst],
        worst_degrees=degrees[worst],
    )
