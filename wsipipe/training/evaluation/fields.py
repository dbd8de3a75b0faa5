"""Evaluation of nuclei networks: each field whole, mirrored, and turned in its inscribed disc."""

from collections.abc import Sequence

import numpy as np

from wsipipe.training.evaluation.field_scores import DiscField, FieldScorer, cropped
from wsipipe.training.evaluation.learnt import learnt_among
from wsipipe.training.evaluation.metrics import mean_and_interval
from wsipipe.training.evaluation.models import Part
from wsipipe.training.evaluation.record import (
    Evaluation,
    OverAngles,
    SampleScores,
    Scores,
    estimates,
    known,
    over_angles,
)
from wsipipe.training.evaluation.rotation import UPRIGHT, Pose
from wsipipe.training.evaluation.settings import Plan, Ticks, setting_of
from wsipipe.training.samples import Field

Rows = list[list[Scores]]
"""Scores by field, then by pose."""


def evaluate_fields(parts: Sequence[Part[Field]], plan: Plan) -> Evaluation:
    """Evaluation of a nuclei network, or of one a fold; means are over fields, each weighs the same.

    Raises:
        ModelError: A network has no nucleus map.
        ConfigError: No field is left to score.
    """
    kept = plan.select([one for part in parts for one in part.samples])
    asked = [(part, one) for part in parts for one in part.samples if one in kept]
    chosen = [(FieldScorer(part.predictor, part.card), cropped(one, plan.side_px)) for part, one in asked]
    whole, turned = _scored(chosen, plan)
    fields = [one for _, one in chosen]
    groups = [one.group for one in fields]
    upright = [row[0] for row in whole]
    means, intervals = mean_and_interval(upright, groups, seed=plan.seed)
    counts = {name: sum(not np.isnan(row.get(name, np.nan)) for row in upright) for name in means}
    return Evaluation(
        task="nuclei",
        setting=setting_of([part.predictor for part in parts], groups),
        **learnt_among(asked),
        original=estimates(means, intervals, counts),
        mirrored={
            pose.name: known(_means([row[1 + index] for row in whole]))
            for index, pose in enumerate(plan.mirrors)
        },
        degrees=[pose.degrees for pose in plan.turns],
        turned=_over_angles(turned, groups, plan),
        orientation_difference=_difference(whole, turned, plan.turns),
        samples=[
            SampleScores(name=one.name, group=one.group, scores=known(row))
            for one, row in zip(fields, upright, strict=True)
        ],
    )


def _scored(chosen: Sequence[tuple[FieldScorer, Field]], plan: Plan) -> tuple[Rows, Rows]:
    """Scores of the whole fields, upright and mirrored, and of their discs at each angle."""
    whole_poses = (UPRIGHT, *plan.mirrors)
    ticks = Ticks(plan, len(chosen) * (len(whole_poses) + len(plan.turns)))
    whole: Rows = []
    turned: Rows = []
    for scorer, one in chosen:
        whole.append([ticks(scorer.whole(one, pose)) for pose in whole_poses])
        if plan.turns:
            ready = DiscField(one)
            turned.append([ticks(scorer.on_disc(ready, pose)) for pose in plan.turns])
    return whole, turned


def _means(rows: Sequence[Scores]) -> Scores:
    return mean_and_interval(rows, [""] * len(rows))[0]


def _over_angles(turned: Rows, groups: Sequence[str], plan: Plan) -> dict[str, OverAngles]:
    """Means over fields at each angle; the interval is of each field's mean over its angles."""
    if not turned:
        return {}
    degrees = [pose.degrees for pose in plan.turns]
    at_angle = [_means(rows) for rows in zip(*turned, strict=True)]
    intervals = mean_and_interval([_means(rows) for rows in turned], groups, seed=plan.seed)[1]
    return {
        name: over_angles([row[name] for row in at_angle], degrees, intervals.get(name))
        for name in known(at_angle[0])
    }


def _difference(whole: Rows, turned: Rows, poses: Sequence[Pose]) -> float | None:
    """Largest difference of a field's scores among mirrored ones and among quarter turns."""
    quarters = [index for index, pose in enumerate(poses) if pose.degrees % 90 == 0]
    same = [*whole, *([row[index] for index in quarters] for row in turned)]
    pairs = [(row[0], other) for row in same for other in row[1:]]
    gaps = [abs(one[name] - other[name]) for one, other in pairs for name in known(one)]
    return max(gaps, default=None)
