"""Recipes: shipped ones are valid, settings override them, and every wrong key is named."""

from pathlib import Path

import pytest

from wsipipe.errors import ConfigError
from wsipipe.models.networks.registry import build
from wsipipe.training.recipe import read_recipe, recipe_names

TEXT = "name: mine\ntask: nuclei\nmpp: 0.5\nnetwork: {architecture: gmr_unet}\n"


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_is_valid_and_its_network_is_built(name: str) -> None:
    recipe = read_recipe(name)
    task = {"out_channels": 2} if recipe.task == "nuclei" else {"num_classes": 3}
    network = build(recipe.network.architecture, recipe.network.arguments | task, recipe.network.mode)
    assert recipe.samples.side_px % network.lattice_px == 0


def test_settings_go_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT)
    settings = ["fit.steps=7", "seed=3", "network.arguments.widths=[4, 8]", "augment.geometric=true"]
    recipe = read_recipe(path, settings)
    assert (recipe.fit.steps, recipe.seed, recipe.augment.geometric) == (7, 3, True)
    assert recipe.network.arguments == {"widths": [4, 8]}
    assert read_recipe(path).fit.steps != 7


@pytest.mark.parametrize(
    ("text", "settings", "named"),
    [
        (
            TEXT + "fit: {learning_rat: 1.0}",
            [],
            r"fit\.learning_rat is unknown. Did you mean fit\.learning_rate\?",
        ),
        (TEXT, ["steps=5"], r"steps is unknown. Did you mean fit\.steps\?"),
        (TEXT, ["network.argument.widths=1"], r"Did you mean network\.arguments\?"),
        (TEXT + "augmnt: {}", [], r"augmnt is unknown. Did you mean augment\?"),
        (TEXT + "fit: {steps: many}", [], r"fit\.steps: .*'many'"),
        (TEXT + "fit: {steps: '7'}", [], r"fit\.steps"),
        (TEXT + "task: 7", [], "task"),
        (TEXT, ["fit.steps"], r"section\.key=value"),
        (TEXT, ["seed.x=1"], "seed is not a section"),
        (TEXT, ["fit.steps=["], "not a YAML value"),
        (TEXT, ["validation.patience=2", "validation.every=0"], "patience"),
        ("- a list", [], "found list"),
        ("a: [", [], "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, settings: list[str], named: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=named):
        read_recipe(path, settings)


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="nuclei"):
        read_recipe("nonsense")
