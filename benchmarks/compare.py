"""The paper's table: several trained networks on the same data, original, mirrored and turned.

    python benchmarks/compare.py GMR=out/gmr "plain=out/plain" --data DIR [--angles 10] [--out DIR]

Each network is weights or the folder of a cross-validation (then each fold answers what it held out). Prints
Markdown; with --out also writes comparison.md, comparison.json and a picture. Networks done before, with the
same weights and angles, are read from there, so an interrupted comparison goes on: use one --out for each
data folder and choice of samples.
"""

import argparse
import json
from pathlib import Path

from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.training.evaluation.evaluate import evaluate
from wsipipe.training.evaluation.models import evaluated_models
from wsipipe.training.evaluation.record import Evaluation
from wsipipe.training.evaluation.report import MAIN_SCORES, comparison, draw_comparison
from wsipipe.training.evaluation.settings import EvaluationSettings


def main() -> None:
    """Evaluates what is not there yet, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="+", metavar="NAME=WEIGHTS")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--angles", type=float, default=10)
    parser.add_argument("--side", type=int)
    parser.add_argument("--max-samples", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    settings = EvaluationSettings(
        angles=asked.angles, mirror=True, side_px=asked.side, max_samples=asked.max_samples
    )
    found = {}
    for entry in asked.networks:
        name, _, weights = entry.partition("=")
        found[name] = evaluated(name, weights, settings, asked)
        print(f"{name} done", flush=True)
    text = f"{comparison(found)}\n\n{drops(found)}\n"
    print(text)
    if asked.out:
        write(found, text, asked.out)


def evaluated(name: str, weights: str, settings: EvaluationSettings, asked: argparse.Namespace) -> Evaluation:
    """The evaluation of one network, kept from an earlier run if it is of the same weights and angles."""
    kept = asked.out / f"{name}.json" if asked.out else None
    if kept and kept.is_file():
        before = Evaluation.model_validate_json(kept.read_bytes())
        hashes = [verified_card(find_weights(source.weights)).sha256 for source in evaluated_models(weights)]
        if (before.setting.weights_sha256, before.degrees) == (
            hashes,
            [rotation.degrees for rotation in settings.rotations],
        ):
            return before
    one = evaluate(weights, asked.data, settings, device=asked.device, threads=asked.threads)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(one.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return one


def drops(found: dict[str, Evaluation]) -> str:
    """A line for each network after the first: how many times the first one's loss it loses when turned."""
    (first, ours), *others = found.items()
    score = MAIN_SCORES[ours.task][0]
    lines = []
    for name, one in others:
        for kind in ("mean_drop", "drop"):
            mine, theirs = getattr(ours.turned[score], kind), getattr(one.turned[score], kind)
            times = f", {theirs / mine:.1f} times" if mine > 0 else ""
            what = "on average" if kind == "mean_drop" else "at the worst angle"
            lines.append(
                f"{name} loses {100 * theirs:.2f} points of {score} {what}, {first} {100 * mine:.2f}{times}."
            )
    return "\n".join(lines)


def write(found: dict[str, Evaluation], text: str, out: Path) -> None:
    """``comparison.md``, ``.json`` and, for the task's first score, ``.png``."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparison.md").write_text(text, encoding="utf-8")
    whole = {name: one.model_dump(mode="json") for name, one in found.items()}
    (out / "comparison.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    score = MAIN_SCORES[next(iter(found.values())).task][0]
    draw_comparison(found, score, out / "comparison.png")


if __name__ == "__main__":
    main()
