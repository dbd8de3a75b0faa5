"""A recipe and a folder become weights that ``run`` can use; bad input is reported first."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wsipipe.errors import ConfigError, DeviceError
from wsipipe.models.cards.weights import read_card
from wsipipe.models.networks.registry import load
from wsipipe.training.cross_validation import cross_validate
from wsipipe.training.fit import FitStatus
from wsipipe.training.recipe import Recipe
from wsipipe.training.train import Training, TrainingResources, train

NUCLEI = {
    "name": "mine",
    "task": "nuclei",
    "mpp": 0.5,
    "network": {"architecture": "gmr_unet", "arguments": {"widths": [4, 6], "kernel_sizes": [3, 3]}},
    "samples": {"batch": 2, "side_px": 32},
    "fit": {"steps": 4},
    "validation": {"folds": 2, "every": 2},
}
TISSUE = {
    "name": "cloth",
    "task": "tissue",
    "mpp": 1.0,
    "network": {
        "architecture": "gmr_resnet18",
        "arguments": {"width": 4, "kernel_sizes": [3, 3, 3, 3], "window": 3},
    },
    "samples": {"batch": 1, "side_px": 32, "tiles": 2},
    "fit": {"steps": 3},
    "validation": {"folds": 2, "every": 0},
}
PAST = TrainingResources(deadline=0.0)


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four fields of dark squares on pink, 0.5 um/px, two patients."""
    folder = tmp_path_factory.mktemp("own")
    rows = ["id,mpp_um,group"]
    for index in range(4):
        rng = np.random.default_rng(index)
        labels = np.zeros((64, 64), np.uint16)
        for label in range(1, 8):
            y, x = rng.integers(0, 56, 2)
            labels[y : y + 8, x : x + 8] = label
        image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 190, 210)).astype(np.uint8)
        for name, pixels in (("images", image), ("labels", labels)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / name / f"f{index}.png")
        rows.append(f"f{index},0.5,patient{index % 2}")
    (folder / "index.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four tiles."""
    folder = tmp_path_factory.mktemp("cloth")
    for label, name in enumerate(("dark", "light")):
        (folder / name).mkdir()
        for index in range(4):
            Image.new("RGB", (70, 70), (60 + 120 * label + index,) * 3).save(folder / name / f"{index}.png")
    return folder


def recipe(content: dict, **changes: object) -> Recipe:
    return Recipe.model_validate(content | changes)


@pytest.fixture(scope="module")
def whole(nuclei: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert train(recipe(NUCLEI), [nuclei], out) is FitStatus.FINISHED
    return out


def test_the_weights_are_usable_and_their_card_says_what_they_are(whole: Path) -> None:
    network, card = load(whole / "mine.safetensors")
    assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 2, 8, 8)
    assert card.output_names == ("nucleus", "centre")
    assert set(card.thresholds) == {"nucleus", "centre"}
    assert {"dice", "aji", "pq"} <= set(card.metrics)
    assert "fold 0 of 2" in card.notes
    assert "2 fields" in card.data[0]
    assert not card.non_commercial
    assert "not stated" in card.licence


def test_what_happened_is_written_down(whole: Path) -> None:
    run = json.loads((whole / "run.json").read_text())
    assert (run["seed"], run["fold"], run["recipe"]["fit"]["steps"]) == (0, 0, 4)
    assert len(run["held_out"]) == 2
    assert (whole / "log.csv").read_text().count("\n") == 3
    assert json.loads((whole / "result.json").read_text())["steps"] == 4


def test_pieces_end_with_the_same_weights(whole: Path, nuclei: Path, tmp_path: Path) -> None:
    pieces = 0
    while train(recipe(NUCLEI), [nuclei], tmp_path, resources=PAST) is FitStatus.PAUSED:
        pieces += 1
        if pieces == 4:
            break
    assert not (tmp_path / "result.json").exists()
    assert train(recipe(NUCLEI), [nuclei], tmp_path) is FitStatus.FINISHED
    assert (tmp_path / "mine.safetensors").read_bytes() == (whole / "mine.safetensors").read_bytes()


def test_another_seed_ends_elsewhere(whole: Path, nuclei: Path, tmp_path: Path) -> None:
    train(recipe(NUCLEI, seed=1), [nuclei], tmp_path)
    assert (tmp_path / "mine.safetensors").read_bytes() != (whole / "mine.safetensors").read_bytes()


def test_a_training_begins_from_trained_weights(whole: Path, nuclei: Path, tmp_path: Path) -> None:
    network = NUCLEI["network"] | {"start": str(whole / "mine.safetensors")}
    still = {"steps": 1, "learning_rate": 1e-9, "ema_decay": 0.0}
    assert train(recipe(NUCLEI, network=network, fit=still), [nuclei], tmp_path) is FitStatus.FINISHED
    before, after = (load(folder / "mine.safetensors")[0].state_dict() for folder in (whole, tmp_path))
    for name in before:
        if name.endswith("weight"):
            torch.testing.assert_close(after[name], before[name], rtol=1e-4, atol=1e-5)
    assert "before that, as mine" in read_card(tmp_path / "mine.safetensors").data[-1]


def test_a_finished_training_is_kept(whole: Path, nuclei: Path) -> None:
    before = (whole / "mine.safetensors").stat().st_mtime_ns
    start = time.monotonic()
    assert train(recipe(NUCLEI), [nuclei], whole) is FitStatus.FINISHED
    assert time.monotonic() - start < 5
    assert (whole / "mine.safetensors").stat().st_mtime_ns == before


def test_other_data_do_not_go_on_from_a_checkpoint(whole: Path, nuclei: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="another recipe or other data"):
        train(recipe(NUCLEI), [nuclei], whole, fold=1)


def test_cross_validation_measures_each_fold_on_what_it_did_not_learn(nuclei: Path, tmp_path: Path) -> None:
    short = recipe(NUCLEI, fit={"steps": 2}, validation={"folds": 2, "every": 0})
    assert cross_validate(short, [nuclei], tmp_path, 2, PAST) is FitStatus.PAUSED
    assert cross_validate(short, [nuclei], tmp_path, 2, TrainingResources()) is FitStatus.FINISHED
    held_out = [json.loads((tmp_path / f"fold{k}" / "run.json").read_text())["held_out"] for k in (0, 1)]
    assert not set(held_out[0]) & set(held_out[1])
    assert len(held_out[0] + held_out[1]) == 4
    card = read_card(tmp_path / "mine.safetensors")
    assert "Trained on all data" in card.notes
    assert "4 fields" in card.data[0]
    summary = json.loads((tmp_path / "cross_validation.json").read_text())
    assert summary["mean"] == card.metrics
    assert card.metrics["dice"] == pytest.approx(
        np.mean([fold["dice"] for fold in summary["folds"]]), abs=1e-4
    )
    assert load(tmp_path / "mine.safetensors")


def test_a_source_left_out_is_measured_and_never_trained_on(nuclei: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(nuclei, other)
    how = NUCLEI["validation"] | {"leave_out": ["other"]}
    recipe = Recipe.model_validate(NUCLEI | {"validation": how})
    training = Training(recipe, [nuclei, other], TrainingResources())
    trained, held_out = training.split(0, 2)
    assert {one.source for one in trained} == {nuclei.name}
    assert {one.source for one in held_out} == {"other"}
    assert len(trained) == len(held_out) == 4
    assert training.fold(tmp_path / "out", 0, 2) is FitStatus.FINISHED
    card = read_card(tmp_path / "out" / "mine.safetensors")
    assert "Trained without the data of other" in card.notes
    assert not any("other" in line for line in card.data)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["nowhere"], "--leave-out: nowhere is not in the data"),
        (["own"], "--leave-out: no training data would be left"),
    ],
)
def test_a_source_that_cannot_be_left_out_is_refused(
    nuclei: Path, tmp_path: Path, names: list[str], says: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(nuclei, own)
    recipe = Recipe.model_validate(NUCLEI | {"validation": NUCLEI["validation"] | {"leave_out": names}})
    with pytest.raises(ConfigError, match=says):
        Training(recipe, [own], TrainingResources()).split(0, 2)


def test_tissue_becomes_a_dense_classifier(tissue: Path, tmp_path: Path) -> None:
    assert train(recipe(TISSUE), [tissue], tmp_path) is FitStatus.FINISHED
    network, card = load(tmp_path / "cloth.safetensors")
    assert network.logit_map(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 2, 2)
    assert card.output_names == ("dark", "light")
    assert {"accuracy", "balanced_accuracy", "recall_dark"} <= set(card.metrics)


def test_missing_cuda_is_reported_before_the_data_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda"):
        Training(recipe(NUCLEI), [tmp_path / "nowhere"], TrainingResources(device="cuda"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"samples": {"batch": 2, "side_px": 32, "shares": {"own": 0.0}}}, "shares"),
        ({"validation": {"folds": 3}}, "2 groups"),
        ({"validation": {"folds": 2, "sources": ["monuseg"]}}, "names no source"),
        (
            {
                "network": {
                    "architecture": "gmr_unet",
                    "arguments": {"widths": [4] * 5, "kernel_sizes": [3] * 5},
                },
                "samples": {"side_px": 40},
            },
            "not a multiple of 16",
        ),
        ({"network": {"architecture": "unknown_net"}}, "unknown_net"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_before_training(
    nuclei: Path, tmp_path: Path, changes: dict, named: str
) -> None:
    source = nuclei.name
    text = json.dumps(changes).replace('"own"', json.dumps(source))
    with pytest.raises(ValueError, match=named):
        train(recipe(NUCLEI, **json.loads(text)), [nuclei], tmp_path)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_unusable_data_are_refused(nuclei: Path, tissue: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no fold 5 of 2"):
        train(recipe(NUCLEI), [nuclei], tmp_path, fold=5)
    with pytest.raises(ConfigError, match="the data have dark, light"):
        train(recipe(TISSUE, samples={"classes": ["dark", "green"]}), [tissue], tmp_path)
    for folder in ("images", "labels"):
        (tmp_path / "empty" / folder).mkdir(parents=True)
        Image.new("RGB" if folder == "images" else "L", (64, 64)).save(tmp_path / "empty" / folder / "a.png")
    (tmp_path / "empty" / "index.csv").write_text("id,mpp_um\na,0.5\n")
    with pytest.raises(ConfigError, match="no nucleus"):
        train(recipe(NUCLEI), [tmp_path / "empty"], tmp_path)


def test_fields_without_instances_are_trained_on_and_never_measured(
    monkeypatch: pytest.MonkeyPatch, nuclei: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from wsipipe.training.tasks import nuclei as module

    read = module.read_fields
    monkeypatch.setattr(
        module, "read_fields", lambda folder: [replace(field, has_instances=False) for field in read(folder)]
    )
    with pytest.raises(ConfigError, match="separate instances"):
        train(recipe(NUCLEI), [nuclei], tmp_path)
    assert train(recipe(NUCLEI, fit={"steps": 1}), [nuclei], tmp_path, fold=None) is FitStatus.FINISHED
    assert "nothing was held out" in read_card(tmp_path / "mine.safetensors").notes
