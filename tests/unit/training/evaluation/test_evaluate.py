"""Evaluations of tiny networks: exact at the eight orientations; plain networks are not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.cards.weights import read_card
from wsipipe.models.networks.registry import build, tiling_of
from wsipipe.models.predictor import Predictor
from wsipipe.training.evaluation import evaluate as evaluation
from wsipipe.training.evaluation.evaluate import evaluate
from wsipipe.training.evaluation.fields import evaluate_fields
from wsipipe.training.evaluation.inference import predictor_of
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.evaluation.record import Evaluation
from wsipipe.training.evaluation.report import as_markdown, comparison, draw_comparison, write_report
from wsipipe.training.evaluation.settings import EvaluationSettings
from wsipipe.training.evaluation.tiles import common_classes, evaluate_tiles
from wsipipe.training.samples import Field, Tile

NUCLEI = {"in_channels": 3, "out_channels": 2, "widths": [2, 2], "kernel_sizes": [5, 3]}
PLAN = EvaluationSettings(angles=45, mirror=True)


def predictor(architecture: str, arguments: dict[str, object], names: str, activation: str) -> Predictor:
    torch.manual_seed(3)
    network = build(architecture, arguments, "radial")
    card = ModelCard(
        name="tiny",
        architecture=architecture,
        arguments=arguments,
        mpp=0.5,
        outputs=tuple(Output(name=name) for name in names.split()),
        activation=activation,
        sha256="0" * 64,
        data=(),
        licence="",
        non_commercial=False,
        thresholds={"nucleus": 0.5, "centre": 0.5} if activation == "sigmoid" else {},
        **tiling_of(network),
    )
    return predictor_of(network, card, "cpu", "float32")


def rings() -> Predictor:
    return predictor("gmr_unet", NUCLEI, "nucleus centre", "sigmoid")


def part(of: Predictor, samples: list[Any]) -> ModelSamples[Any]:
    return ModelSamples(of, of.card, samples)


def fields() -> list[Field]:
    rng = np.random.default_rng(8)
    made = []
    for index, group in enumerate(("breast", "breast", "colon", "liver")):
        labels = np.kron(rng.permutation(36).reshape(6, 6), np.ones((12, 12), int)).astype(np.int32)
        labels[labels % 3 > 0] = 0
        image = rng.integers(90, 255, (*labels.shape, 3)) - 60 * (labels > 0)[..., None]
        made.append(
            Field(
                name=f"f{index}", source="made", group=group, image=image.astype(np.uint8), labels=labels,
                has_instances=index != 1, mpp=0.5,
            )
        )  # fmt: skip
    return made


def tiles() -> list[Tile]:
    rng = np.random.default_rng(9)
    return [
        Tile(
            name=str(index), source="made", group=str(index), class_name="ABX"[index % 3], mpp=0.5,
            image=rng.integers(0, 255, (32, 32, 3)).astype(np.uint8),
        )
        for index in range(9)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def nuclei() -> Evaluation:
    return evaluate_fields([part(rings(), fields())], PLAN)


def test_a_ring_network_is_exact_at_the_eight_orientations(nuclei: Evaluation) -> None:
    assert nuclei.orientation_difference == 0
    for scores in nuclei.mirrored.values():
        assert scores == {name: one.value for name, one in nuclei.original.items()}
    for over in nuclei.turned.values():
        assert len(set(over.by_angle[::2])) == 1


def test_a_plain_network_is_not() -> None:
    arguments = {"in_channels": 3, "out_channels": 2, "widths": [2, 2, 2, 2]}
    plain = predictor("plain_unet", arguments, "nucleus centre", "sigmoid")
    found = evaluate_fields([part(plain, fields()[:1])], EvaluationSettings(angles=90, mirror=True))
    assert found.orientation_difference is not None
    assert found.orientation_difference > 1e-4


def test_the_summary_follows_from_the_rows(nuclei: Evaluation) -> None:
    dice = [row.scores["dice"] for row in nuclei.samples]
    assert nuclei.original["dice"].value == pytest.approx(np.mean(dice))
    assert nuclei.original["dice"].low <= np.mean(dice) <= nuclei.original["dice"].high
    assert nuclei.original["aji"].samples == 3
    assert nuclei.setting.groups == {"breast": 2, "colon": 1, "liver": 1}
    over = nuclei.turned["dice"]
    assert over.worst == min(over.by_angle) == over.by_angle[int(over.worst_degrees // 45)]
    assert over.sd == pytest.approx(np.std(over.by_angle))
    assert over.drop == pytest.approx(over.by_angle[0] - over.worst)
    metrics, intervals = nuclei.card_metrics()
    assert metrics["dice_worst_angle"] == round(over.worst, 4)
    assert set(intervals) <= set(metrics)


def test_groups_and_numbers_are_chosen() -> None:
    chosen = EvaluationSettings(groups=("breast", "liver")).select(fields())
    assert [one.name for one in chosen] == ["f0", "f1", "f3"]
    assert [one.name for one in EvaluationSettings(max_samples=2).select(fields())] == ["f0", "f2"]
    with pytest.raises(ConfigError, match=r"'skin' is unknown.*breast, colon, liver"):
        EvaluationSettings(groups=("skin",)).select(fields())
    with pytest.raises(ConfigError, match="no sample fits the network"):
        EvaluationSettings().select([])
    with pytest.raises(ConfigError, match="does not divide"):
        EvaluationSettings(angles=7)


def test_progress_ends_at_its_total() -> None:
    told: list[tuple[int, int]] = []
    settings = EvaluationSettings(
        angles=180, mirror=True, max_samples=2, progress=lambda *now: told.append(now)
    )
    evaluate_fields([part(rings(), fields())], settings)
    assert told == [(done, 10) for done in range(1, 11)]


def test_folds_are_put_together(nuclei: Evaluation) -> None:
    """Two networks of equal weights, half of the fields each, are as one on all."""
    halves = [part(rings(), fields()[:2]), part(rings(), fields()[2:])]
    both = evaluate_fields(halves, PLAN)
    assert (both.original, both.turned, both.samples) == (nuclei.original, nuclei.turned, nuclei.samples)
    assert len(both.setting.weights_sha256) == 2
    assert "held out in 2 folds" in as_markdown(both)


@pytest.fixture(scope="module")
def tissue() -> Evaluation:
    arguments = {"num_classes": 2, "width": 2, "kernel_sizes": [3, 3, 3, 3], "window": 1}
    return evaluate_tiles([part(predictor("gmr_resnet18", arguments, "A B", "softmax"), tiles())], PLAN)


def test_tiles_are_exact_and_other_classes_left_out(tissue: Evaluation) -> None:
    assert tissue.orientation_difference == 0
    assert tissue.left_out == {"class X is unknown to the network": 3}
    assert np.sum(tissue.confusion) == 6
    right = np.trace(np.array(tissue.confusion)) / 6
    assert tissue.original["accuracy"].value == pytest.approx(right)
    assert tissue.setting.groups == {}
    for name in ("accuracy", "balanced_accuracy"):
        over = tissue.turned[name]
        assert over.mean == pytest.approx(np.mean(over.by_angle))
        assert over.low <= over.mean <= over.high


def test_folds_with_other_classes_are_refused() -> None:
    card = read_card("tissue_gmr_resnet18_1.0")
    fewer = card.model_copy(update={"outputs": card.outputs[:3]})
    assert common_classes([fewer, fewer]) == ("ADI", "BACK", "LYM")
    with pytest.raises(ConfigError, match="different classes"):
        common_classes([card, fewer])


def test_reports_hold_every_number(nuclei: Evaluation, tissue: Evaluation, tmp_path: Path) -> None:
    for one, score in ((nuclei, "AJI"), (tissue, "Balanced accuracy")):
        paths = write_report(one, tmp_path)
        assert [path.suffix for path in paths] == [".json", ".md", ".png"]
        assert Evaluation.model_validate_json(paths[0].read_text()) == one
        assert json.loads(paths[0].read_text())["schema_version"] == 2
        text = paths[1].read_text()
        assert f"| {score} |" in text
        assert "exactly equal" in text
        widths = {line.count("|") for line in text.splitlines() if line.startswith("| Dice")}
        assert len(widths) <= 2
        assert paths[2].stat().st_size > 5000
    bare = nuclei.model_copy(update={"turned": {}, "mirrored": {}, "orientation_difference": None})
    assert len(write_report(bare, tmp_path)) == 2
    assert "angles" not in as_markdown(bare)


def test_networks_are_compared_side_by_side(nuclei: Evaluation, tmp_path: Path) -> None:
    bare = nuclei.model_copy(update={"turned": {}, "mirrored": {}})
    table = comparison({"ours": nuclei, "plain": bare}, ["dice"]).splitlines()
    assert len(table) == 4
    assert {line.count("|") for line in table} == {9}
    assert table[3].endswith("| - | - | - | - | - |")
    draw_comparison({"ours": nuclei}, "dice", tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_the_weights_say_what_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read = []
    monkeypatch.setattr(evaluation, "read_fields", lambda folder: read.append("fields") or fields()[:1])
    monkeypatch.setattr(evaluation, "read_tiles", lambda folder: read.append("tiles") or [])
    found = evaluate("nuclei_gmr_unet_0.5", tmp_path, EvaluationSettings(), precision="float32", device="cpu")
    assert (read, found.task, found.setting.weights) == (["fields"], "nuclei", "nuclei_gmr_unet_0.5")
    with pytest.raises(ConfigError, match="no sample fits"):
        evaluate("tissue_gmr_resnet18_1.0", tmp_path, EvaluationSettings(), precision="float32", device="cpu")
    assert read == ["fields", "tiles"]
