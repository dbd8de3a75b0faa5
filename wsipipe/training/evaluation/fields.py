"""Evaluation of nuclei networks on fields.

Each field is scored whole, mirrored, and rotated in its inscribed disc.
"""

from collections.abc import Sequence

import numpy as np

from wsipipe.training.evaluation.field_scores import DiscField, FieldScorer, crop_middle
from wsipipe.training.evaluation.metrics import mean_and_interval
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.evaluation.record import (
    UPRIGHT_ONLY,
    AngleSummary,
    Evaluation,
    SampleScores,
    Scores,
    estimates,
    finite,
    summarise_angles,
)
from wsipipe.training.evaluation.rotation import UPRIGHT, Rotation
from wsipipe.training.evaluation.settings import EvaluationSettings, ProgressCounter, setup_of
from wsipipe.training.evaluation.trained_on import trained_among
from wsipipe.training.evaluation.type_metrics import pooled, type_scores
from wsipipe.training.samples import Field

Rows = list[list[Scores]]
"""Scores by field, then by rotation."""


def evaluate_fields(models: Sequence[ModelSamples[Field]], settings: EvaluationSettings) -> Evaluation:
    """Evaluate a nuclei network, or one per fold.

    Means are over fields with equal weights.

    Args:
        models: Networks with the fields each is evaluated on.
        settings: Selection of the fields, rotations and mirrors.

    Raises:
        ModelError: A network has no nucleus map.
        ConfigError: No field is left to score.
    """
    kept = settings.select([one for model in models for one in model.samples])
    scored = [(model, one) for model in models for one in model.samples if one in kept]
    chosen = [
        (FieldScorer(model.predictor, model.card), crop_middle(one, settings.side_px))
        for model, one in scored
    ]
    whole, rotated = _score(chosen, settings)
    pairs = [found for scorer, one in chosen if (found := scorer.type_pairs(one)) is not None]
    types = list(dict.fromkeys(name for scorer, _ in chosen for name in scorer.card.types))
    fields = [one for _, one in chosen]
    groups = [one.group for one in fields]
    upright = [row[0] for row in whole]
    means, intervals = mean_and_interval(upright, groups, seed=settings.seed)
    counts = {name: sum(not np.isnan(row.get(name, np.nan)) for row in upright) for name in means}
    return Evaluation(
        task="nuclei",
        setting=setup_of([model.predictor for model in models], groups),
        **trained_among(scored),
        original=estimates(means, intervals, counts),
        mirrored={
            rotation.name: finite(_means([row[1 + index] for row in whole]))
            for index, rotation in enumerate(settings.mirrors)
        },
        degrees=[rotation.degrees for rotation in settings.rotations],
        turned=_over_angles(rotated, groups, settings),
        orientation_difference=_difference(whole, rotated, settings.rotations),
        type_f1=type_scores(pooled(pairs), types) if pairs else {},
        samples=[
            SampleScores(name=one.name, group=one.group, scores=finite(row))
            for one, row in zip(fields, upright, strict=True)
        ],
    )


def _score(chosen: Sequence[tuple[FieldScorer, Field]], settings: EvaluationSettings) -> tuple[Rows, Rows]:
    """Score whole fields, upright and mirrored, and their discs at each angle."""
    whole_rotations = (UPRIGHT, *settings.mirrors)
    counter = ProgressCounter(settings, len(chosen) * (len(whole_rotations) + len(settings.rotations)))
    whole: Rows = []
    rotated: Rows = []
    for scorer, one in chosen:
        whole.append([counter(scorer.score_whole(one, rotation)) for rotation in whole_rotations])
        if settings.rotations:
            ready = DiscField(one)
            rotated.append([counter(scorer.score_disc(ready, rotation)) for rotation in settings.rotations])
    return whole, rotated


def _means(rows: Sequence[Scores]) -> Scores:
    return mean_and_interval(rows, [""] * len(rows))[0]


def _over_angles(
    rotated: Rows, groups: Sequence[str], settings: EvaluationSettings
) -> dict[str, AngleSummary]:
    """Summarise scores over angles.

    At each angle the mean is over fields; the interval is that of each field's mean over its angles.
    """
    if not rotated:
        return {}
    degrees = [rotation.degrees for rotation in settings.rotations]
    at_angle = [_means(rows) for rows in zip(*rotated, strict=True)]
    intervals = mean_and_interval([_means(rows) for rows in rotated], groups, seed=settings.seed)[1]
    return {
        name: summarise_angles([row[name] for row in at_angle], degrees, intervals.get(name))
        for name in finite(at_angle[0])
        if name not in UPRIGHT_ONLY
    }


def _difference(whole: Rows, rotated: Rows, rotations: Sequence[Rotation]) -> float | None:
    """Return the largest difference of a score among mirrors and quarter turns."""
    quarters = [index for index, rotation in enumerate(rotations) if rotation.degrees % 90 == 0]
    same = [*whole, *([row[index] for index in quarters] for row in rotated)]
    pairs = [(row[0], other) for row in same for other in row[1:]]
    gaps = [abs(one[name] - other[name]) for one, other in pairs for name in finite(one)]
    return max(gaps, default=None)
