"""Reports of evaluations as Markdown, JSON and plots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from wsipipe.training.evaluation.figures import draw_angle_curves
from wsipipe.training.evaluation.record import AngleSummary, Estimate, Evaluation

MAIN_SCORES = {"nuclei": ("dice", "aji", "pq"), "tissue": ("accuracy", "balanced_accuracy", "auc")}
TITLES = {
    "label_dice": "Label Dice",
    "auc": "AUC",
    "ece": "ECE",
    "aji": "AJI",
    "dice2": "DICE2",
    "pq": "PQ",
    "dq": "DQ",
    "sq": "SQ",
    "f1": "F1",
    "iou": "IoU",
}


def as_markdown(evaluation: Evaluation) -> str:
    """Return tables of an evaluation, without single samples.

    Scores are in percent.
    """
    parts = [_heading(evaluation), *_caution(evaluation), _upright(evaluation)]
    if evaluation.turned:
        parts.append(_turned(evaluation))
    if evaluation.orientation_difference is not None:
        parts.append(_exactness(evaluation))
    if evaluation.type_f1:
        rows = [[name, _percent(value)] for name, value in evaluation.type_f1.items()]
        parts.append("F1 over all fields with types of nuclei:\n\n" + _table(["type", "F1"], rows))
    if evaluation.confusion:
        parts.append(_confusion(evaluation))
    return "\n\n".join(parts) + "\n"


def comparison(evaluations: dict[str, Evaluation], scores: Sequence[str] | None = None) -> str:
    """Return a table of several networks.

    Each row is a network and score: original, mirrored, and mean, deviation and worst of the rotated sets.

    Args:
        evaluations: Evaluations of one task, by the name to print.
        scores: Scores to show; the task's main ones by default.
    """
    rows = []
    for name, one in evaluations.items():
        for score in scores or MAIN_SCORES[one.task]:
            if score in one.original:
                rows.append([name, _title(score), *_row(one, score)])
    columns = ["network", "score", "original", "mirrored", "rotated, 0°", "mean ± sd", "worst", "drop"]
    return _table(columns, rows)


def write_report(evaluation: Evaluation, out: Path) -> list[Path]:
    """Write ``NAME.evaluation.json`` and ``.md``, and a plot of rotated sets."""
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{evaluation.setting.weights}.evaluation"
    record, text = out / f"{stem}.json", out / f"{stem}.md"
    record.write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8", newline="\n")
    text.write_text(as_markdown(evaluation), encoding="utf-8", newline="\n")
    if not evaluation.turned:
        return [record, text]
    plot = out / f"{stem}.png"
    curves = {_title(name): np.array(one.by_angle) for name, one in _drawn(evaluation).items()}
    draw_angle_curves(curves, evaluation.degrees, plot, "score")
    return [record, text, plot]


def draw_comparison(evaluations: dict[str, Evaluation], score: str, path: Path) -> None:
    """Draw one score by angle for each network as PNG."""
    curves = {name: np.array(one.turned[score].by_angle) for name, one in evaluations.items()}
    degrees = next(iter(evaluations.values())).degrees
    draw_angle_curves(curves, degrees, path, _title(score))


def _drawn(evaluation: Evaluation) -> dict[str, AngleSummary]:
    return {
        name: evaluation.turned[name] for name in MAIN_SCORES[evaluation.task] if name in evaluation.turned
    }


def _heading(evaluation: Evaluation) -> str:
    kind = "fields" if evaluation.task == "nuclei" else "tiles"
    how = evaluation.setting
    groups = f", {len(how.groups)} groups" if how.groups else ""
    folds = f", held out in {len(how.weights_sha256)} folds" if len(how.weights_sha256) > 1 else ""
    left = "".join(f"; {count} left out: {why}" for why, count in evaluation.left_out.items())
    return (
        f"# {how.weights}\n\n{how.samples} {kind}{groups}{folds} at {how.mpp:g} um/px, {how.precision} on "
        f"{how.device}{left}. Scores in percent; research use only."
    )


def _caution(evaluation: Evaluation) -> list[str]:
    return [f"**Caution: not a test.** {evaluation.caution}"] if evaluation.caution else []


def _upright(evaluation: Evaluation) -> str:
    columns = ["score", "original", "95 % interval", "samples", *evaluation.mirrored]
    rows = []
    for name, one in evaluation.original.items():
        mirrors = [_percent(scores.get(name)) for scores in evaluation.mirrored.values()]
        rows.append([_title(name), _percent(one.value), _interval(one), str(one.samples), *mirrors])
    return _table(columns, rows)


def _turned(evaluation: Evaluation) -> str:
    columns = ["rotated", "0°", "mean", "95 % interval", "sd", "worst", "at", "mean drop", "worst drop"]
    rows = [
        [
            _title(name),
            *map(_percent, (one.upright, one.mean)),
            _interval(one),
            *map(_percent, (one.sd, one.worst)),
            f"{one.worst_degrees:g}°",
            *map(_percent, (one.mean_drop, one.drop)),
        ]
        for name, one in evaluation.turned.items()
    ]
    shown = "inscribed disc of each field" if evaluation.task == "nuclei" else "tiles continued by reflection"
    return f"{len(evaluation.degrees)} angles, {shown}:\n\n{_table(columns, rows)}"


def _exactness(evaluation: Evaluation) -> str:
    gap = evaluation.orientation_difference
    tested = "quarter turns and mirrors" if evaluation.turned and evaluation.mirrored else "turns or mirrors"
    result = "exactly equal" if gap == 0 else f"different by up to {gap:.2g}"
    return f"Scores at the tested orientations ({tested}) are {result}."


def _confusion(evaluation: Evaluation) -> str:
    rows = [
        [f"**{name}**", *map(str, row)]
        for name, row in zip(evaluation.classes, evaluation.confusion, strict=True)
        if any(row)
    ]
    return "Rows are true classes, columns found ones:\n\n" + _table(["", *evaluation.classes], rows)


def _row(evaluation: Evaluation, score: str) -> list[str]:
    mirrors = [scores[score] for scores in evaluation.mirrored.values()]
    cells = [_percent(evaluation.original[score].value), _percent(min(mirrors, default=None))]
    over = evaluation.turned.get(score)
    if over is None:
        return [*cells, *["-"] * 4]
    spread = f"{_percent(over.mean)} ± {_percent(over.sd)}"
    return [*cells, _percent(over.upright), spread, _percent(over.worst), _percent(over.drop)]


def _interval(one: Estimate | AngleSummary) -> str:
    if one.low is None or one.high is None:
        return "-"
    return f"{_percent(one.low)} to {_percent(one.high)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value + 0:.2f}"


def _title(score: str) -> str:
    return TITLES.get(score, score.replace("_", " ").capitalize())


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
