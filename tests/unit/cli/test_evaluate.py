"""The verb evaluate, typed: tables, JSON, files, and one paragraph for bad input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.errors import ExitCode

NUCLEI = "nuclei_gmr_unet_0.5"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two plain fields of 64 px with dark squares, and their labels."""
    rng = np.random.default_rng(1)
    for name in ("a", "b"):
        labels = np.kron(np.arange(16).reshape(4, 4), np.ones((16, 16), int)).astype(np.uint16)
        labels[labels % 2 > 0] = 0
        image = rng.integers(150, 250, (64, 64, 3)) - 90 * (labels > 0)[..., None]
        for kind, picture in (("images", image.astype(np.uint8)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "data" / kind / f"{name}.png")
    (tmp_path / "data" / "index.csv").write_text("id,mpp_um,group\na,0.5,one\nb,0.5,two\n")
    return tmp_path / "data"


def test_a_table_and_files(typed: object, data: Path, tmp_path: Path) -> None:
    code, printed, stderr = typed(
        "evaluate", NUCLEI, "--data", data, "--angles", 180, "--mirror", "--out", tmp_path / "out",
        "--device", "cpu", "--threads", 1,
    )  # fmt: skip
    assert code == ExitCode.OK
    assert "| Dice |" in printed
    assert "2 fields" in printed
    assert "exactly equal" in printed
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{NUCLEI}.evaluation.{kind}" for kind in ("json", "md", "png")]
    assert "written" in stderr


def test_json_of_one_group(typed: object, data: Path) -> None:
    code, printed, _ = typed(
        "evaluate", NUCLEI, "--data", data, "--only-groups", "two", "--json", "--device", "cpu"
    )
    assert code == ExitCode.OK
    found = json.loads(printed)
    assert [row["group"] for row in found["samples"]] == ["two"]
    assert found["turned"] == {}


def test_data_of_the_training_are_not_a_test(typed: object, data: Path, tmp_path: Path) -> None:
    asked = ("evaluate", NUCLEI, "--device", "cpu", "--max-samples", 1)
    training_data = data.rename(tmp_path / "monuseg")
    code, printed, stderr = typed(*asked, "--data", training_data, "--out", tmp_path / "out")
    assert code == ExitCode.OK
    said = f"The card of {NUCLEI} says that it was trained on all samples scored here (1 of monuseg)."
    assert f"**Caution: not a test.** {said}" in printed
    assert said in (tmp_path / "out" / f"{NUCLEI}.evaluation.md").read_text()
    code, printed, stderr = typed(*asked, "--data", training_data, "--json")
    assert json.loads(printed)["trained_on"] == {"monuseg": 1}
    assert f"Caution: not a test. {said}" in stderr
    code, printed, stderr = typed(*asked, "--data", training_data.rename(tmp_path / "unseen"), "--json")
    assert (json.loads(printed)["trained_on"], json.loads(printed)["caution"], stderr.strip()) == ({}, "", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing_here"], "Weights 'nothing_here' not found"),
        ([NUCLEI, "--angles", "7"], "does not divide 360"),
        ([NUCLEI, "--only-groups", "three"], "'three' is unknown"),
        ([NUCLEI, "--device", "tpu"], "tpu"),
    ],
)
def test_bad_input_is_one_paragraph(typed: object, data: Path, arguments: list[str], said: str) -> None:
    code, _, stderr = typed("evaluate", *arguments, "--data", data)
    assert code == ExitCode.USAGE
    assert said in stderr
    assert "Traceback" not in stderr


def test_an_unknown_folder_says_which_layouts_are_known(typed: object, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    code, _, stderr = typed("evaluate", NUCLEI, "--data", tmp_path / "odd", "--device", "cpu")
    assert code == ExitCode.USAGE
    assert "layout" in stderr
