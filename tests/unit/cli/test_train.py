"""The verb ``train``: exit codes, what it prints, and weights that ``run`` takes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.errors import ExitCode

TINY = [
    "nuclei_own",
    *("--set", "network.arguments={widths: [4, 6], kernel_sizes: [3, 3]}"),
    *("--set", "fit.steps=3", "--set", "samples={batch: 1, side_px: 32}", "--set", "validation.folds=2"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    labels = np.zeros((64, 64), np.uint8)
    for label in range(1, 10):
        y, x = 4 + 20 * (label % 3), 4 + 20 * (label // 4)
        labels[y : y + 9, x : x + 9] = label
    image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 190, 210)).astype(np.uint8)
    for name, pixels in (("images", image), ("labels", labels)):
        (folder / name).mkdir()
        for stem in ("a", "b"):
            Image.fromarray(pixels).save(folder / name / f"{stem}.png")
    return folder


def test_a_piece_then_the_rest_then_a_run(
    typed: object, own: Path, small_slide: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    piece = ("train", *TINY, "--data", own, "--out", out, "--minutes-per-piece", 1e-6)
    code, printed, _ = typed(*piece)
    assert code == ExitCode.RETRY_LATER
    assert "Run the same command again" in printed
    code, printed, progress = typed(*piece, "--json")
    found = json.loads(printed)
    assert (code, found["finished"], found["weights"]) == (ExitCode.RETRY_LATER, False, None)
    assert "2 fields" in progress
    code, printed, _ = typed("train", *TINY, "--data", own, "--out", out)
    assert code == ExitCode.OK
    # Each call trained one step.
    assert "step 2 of 3" in printed
    code, as_json, _ = typed("train", *TINY, "--data", own, "--out", out, "--json")
    weights = out / "nuclei_own.safetensors"
    found = json.loads(as_json)
    assert (code, found["finished"], found["weights"]) == (ExitCode.OK, True, str(weights))
    assert {"dice", "aji", "pq"} <= set(found["metrics"])
    assert "which was held out from training" in found["notes"]
    assert found["notes"] in printed
    assert f"wsipipe run nuclei SLIDE --set segment.weights={weights}" in printed
    run = ("run", "nuclei", small_slide, "--set", f"segment.weights={weights}", "--out", tmp_path / "run")
    code, printed, _ = typed(*run, "--dry-run")
    assert code == ExitCode.OK


def test_a_fresh_start_forgets_the_old_one(typed: object, own: Path, tmp_path: Path) -> None:
    typed("train", *TINY, "--data", own, "--out", tmp_path)
    code, _, complaint = typed("train", *TINY, "--set", "seed=1", "--data", own, "--out", tmp_path)
    assert code == ExitCode.USAGE
    assert "--fresh" in complaint
    code, *_ = typed("train", *TINY, "--set", "seed=1", "--data", own, "--out", tmp_path, "--fresh")
    assert code == ExitCode.OK


def test_all_folds(typed: object, own: Path, tmp_path: Path) -> None:
    code, printed, _ = typed("train", *TINY, "--data", own, "--out", tmp_path, "--folds", 2)
    assert code == ExitCode.OK
    assert "fold1: step" in printed
    assert (tmp_path / "cross_validation.json").is_file()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--folds", 2, "--all-data"), "Remove --fold and --all-data"),
        (("--device", "nonsense"), "nonsense"),
        (("--annotations", "/nowhere"), "--annotations /nowhere is no folder"),
        (("--set", "fit.step=2"), "Did you mean fit.steps?"),
        (("--set", "network.architecture=gmr_unett"), "Did you mean gmr_unet?"),
        (("--set", "network.arguments.foo=2"), "network.arguments in its recipe"),
    ],
)
def test_impossible_options_are_refused(
    typed: object, own: Path, tmp_path: Path, more: tuple, named: str
) -> None:
    code, _, complaint = typed("train", *TINY, "--data", own, "--out", tmp_path, *more)
    assert code == ExitCode.USAGE
    assert named in complaint
