"""Recipes: the shipped files are the defaults, and wrong keys are named."""

from pathlib import Path

import pytest

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import DEFAULTS, read_recipe

SHIPPED = Path(__file__).parents[3] / "workflows" / "training"


@pytest.mark.parametrize("task", ["nuclei", "tissue"])
def test_the_shipped_file_says_what_the_default_does(task: str) -> None:
    assert read_recipe(SHIPPED / f"{task}.yaml") == DEFAULTS[task]


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("task: nuclei\nlearning_rat: 1\n")
    with pytest.raises(ConfigError, match="learning_rat"):
        read_recipe(path)
