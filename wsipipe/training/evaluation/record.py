"""What an evaluation says, as strict JSON."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

Scores = dict[str, float]


class EvaluationRecord(BaseModel):
    """A frozen part of an evaluation; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(EvaluationRecord):
    """A mean, and how sure it is.

    Attributes:
        value: Over all samples.
        low: Of the 95 % bootstrap interval over groups; None with one group.
        high: Likewise.
        samples: That have this score.
    """

    value: float
    low: float | None = None
    high: float | None = None
    samples: int


class AngleSummary(EvaluationRecord):
    """One score on the turned test sets.

    Attributes:
        by_angle: Its value at each angle.
        upright: At 0 degrees, on the same disc or plane.
        mean: Over the angles.
        low: Of the 95 % bootstrap interval of the mean; None where it was not drawn.
        high: Likewise.
        sd: Standard deviation over the angles.
        worst: Lowest.
        worst_degrees: Where that is.
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
        """What is lost at the worst angle against 0 degrees."""
        return self.upright - self.worst

    @property
    def mean_drop(self) -> float:
        """What is lost on average against 0 degrees."""
        return self.upright - self.mean


class SampleScores(EvaluationRecord):
    """Scores of one field, upright and whole."""

    name: str
    group: str
    scores: Scores


class EvaluationSetup(EvaluationRecord):
    """What was evaluated, and how it ran.

    Attributes:
        weights: Name.
        weights_sha256: Of the weight file; one a fold of a cross-validation, whose networks were asked about
            nothing but what they had not learnt.
        mpp: Of the network, um per px.
        device: Where it ran.
        precision: In what it computed.
        samples: Fields or tiles that were scored.
        groups: Samples of each group; empty if each sample is its own group.
    """

    weights: str
    weights_sha256: list[str]
    mpp: float
    device: str
    precision: str
    samples: int
    groups: dict[str, int]


class Evaluation(EvaluationRecord):
    """How good a network is on a labelled data set, upright, turned and mirrored.

    Attributes:
        schema_version: Of this file.
        task: ``nuclei`` (fields) or ``tissue`` (tiles).
        setting: What was evaluated, and how it ran.
        trained_on: Scored samples that the weights were trained on, as their card says, by source.
        caution: What that means for the scores; empty where there are none.
        left_out: Why samples of the data folder were not scored, with their number.
        original: Scores as the samples lie, by name.
        mirrored: Scores of the mirrored test sets, by rotation.
        degrees: Of the turned test sets; empty if there are none.
        turned: Scores over these, by name.
        orientation_difference: Largest difference of any sample's score (nuclei) or probability (tissue) at
            90, 180, 270 degrees and mirrored; 0 is exactly equal; None if none was tried.
        classes: Names, in the order of the confusion matrix (tissue).
        confusion: Rows are the truth, columns what was found (tissue).
        samples: Scores by field (nuclei).
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

    def card_metrics(self) -> tuple[Scores, dict[str, tuple[float, float]]]:
        """``metrics`` and ``intervals`` as a model card has them, to four places."""
        metrics = {name: round(one.value, 4) for name, one in self.original.items()}
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
    """Without what is not a number."""
    return {name: value for name, value in scores.items() if not np.isnan(value)}


def estimates(
    means: Scores, intervals: dict[str, tuple[float, float]], samples: dict[str, int]
) -> dict[str, Estimate]:
    """Means with their intervals, where both are numbers."""
    found = {}
    for name, value in finite(means).items():
        low, high = intervals.get(name, (np.nan, np.nan))
        sure = {} if np.isnan(low) else {"low": low, "high": high}
        found[name] = Estimate(value=value, samples=samples[name], **sure)
    return found


def summarise_angles(
    curve: list[float], degrees: list[float], interval: tuple[float, float] | None = None
) -> AngleSummary:
    """Summary of a score by angle, 0 degrees the first."""
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
