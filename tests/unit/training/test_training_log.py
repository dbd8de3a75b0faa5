"""Training log: every column of every row, and curves, also of few values."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.training.training_log import write_log

ROWS = [
    {"step": step, "minutes": 0.1, "loss": 1 / step, "learning_rate": 0.1, "gradient": 1.0}
    for step in (1, 2, 3)
]


def test_scores_stand_beside_the_steps_they_belong_to(tmp_path: Path) -> None:
    write_log([*ROWS[:2], ROWS[2] | {"dice": 0.5}], tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["dice"] for row in rows] == ["", "", "0.5"]
    assert [row["step"] for row in rows] == ["1", "2", "3"]


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS, [ROWS[0] | {"loss": 0.0, "dice": 0.3}]])
def test_curves_are_drawn(tmp_path: Path, rows: list[dict[str, float]]) -> None:
    write_log(rows, tmp_path)
    assert np.asarray(Image.open(tmp_path / "curves.png").convert("L")).std() > 5
