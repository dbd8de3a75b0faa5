"""Wheel, recipe, container, workflows of CI and the page of dependencies agree with the project."""

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsipipe.common.about import __version__
from wsipipe.common.distribution import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CHECK = runpy.run_path(str(ROOT / "packaging" / "check_wheel.py"))
RECIPE = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text())
DOCKERFILE = (ROOT / "packaging/docker/Dockerfile").read_text()
LICENCE = "wsipipe_gmr-1.dist-info/licenses/LICENSE"
CONDA_NAMES = {
    "torch": "pytorch",
    "openslide-bin": "openslide",
    "dask": "dask-core",
    "matplotlib": "matplotlib-base",
}
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def core() -> dict[str, str]:
    """Limit by name of each package of the core."""
    return {NAME.match(line)[0]: line for line in PROJECT["project"]["dependencies"]}  # type: ignore[index]


def all_packages() -> set[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return {*core(), *(NAME.match(line)[0] for lines in extras for line in lines)}  # type: ignore[index]


def test_a_wheel_must_have_workflows_weights_kernels_and_licence() -> None:
    needed = [*CHECK["needed_files"](), LICENCE]
    assert CHECK["missing"](needed) == []
    for suffix in (".cpp", ".safetensors", ".certificate.json", ".known.npy", "py.typed", "napari.yaml"):
        assert any(name.endswith(suffix) for name in needed)
    assert "wsipipe/_workflows/nuclei.yaml" in needed
    assert "wsipipe/_workflows/training/nuclei.yaml" in needed


@pytest.mark.parametrize(
    "name", ["wsipipe/_workflows/nuclei.yaml", "wsipipe/models/weights/nuclei_gmr_unet_0.5.safetensors"]
)
def test_sister_a_file_that_lacks_is_named(name: str) -> None:
    names = [each for each in CHECK["needed_files"]() if each != name]
    assert CHECK["missing"](names) == [name, "LICENSE"]


def wrong_recipe(recipe: dict[str, Any]) -> set[str]:
    """Packages that differ between a conda recipe and the core."""
    wanted = {CONDA_NAMES.get(name, name).lower() for name in core()}
    given = {line.split()[0] for line in recipe["requirements"]["run"]} - {"python"}
    return (wanted ^ given) - {"filelock", "psutil"}


def test_the_conda_recipe_has_the_core() -> None:
    assert RECIPE["package"]["name"] == DISTRIBUTION
    assert RECIPE["context"]["version"] == __version__
    assert wrong_recipe(RECIPE) == set()


def test_sister_another_recipe_is_seen() -> None:
    others = [*RECIPE["requirements"]["run"][2:], "pooch"]
    assert wrong_recipe({"requirements": {"run": others}}) == {"openslide-python", "pooch"} - {
        line.split()[0] for line in others[:-1]
    } | {"pytorch"}


def test_images_are_pinned_and_run_without_root() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all("@sha256:" in base or ":" not in base for base in bases)
    assert re.search(r"^USER 1000:1000$", DOCKERFILE, re.MULTILINE)
    pinned = (ROOT / "constraints.txt").read_text()
    (torch,) = re.findall(r"^torch==(\S+)", pinned, re.MULTILINE)
    assert f"torch=={torch}" in DOCKERFILE
    needed = {"wsipipe", "workflows", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}
    kept = (ROOT / "packaging/docker/Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in needed} <= set(kept)


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda path: path.name
)
def test_actions_are_pinned_and_have_few_rights(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert content["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)", path.read_text())
    assert used != []
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(
        r"^pip install -q uv && (uv run .*pytest.*)$", (ROOT / "README.md").read_text(), re.M
    )
    assert (ROOT / ".ci/run").read_text().rstrip().endswith(command)


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    rows = set(re.findall(r"^\| ([A-Za-z][\w-]+) \|", page, re.MULTILINE)) - {"package", "part"}
    assert all_packages() - rows == set()


def test_a_run_installs_the_core_alone() -> None:
    assert PROJECT["tool"]["uv"]["default-groups"] == []
    for name in ("albumentations", "pooch", "torchvision", "segmentation-models-pytorch", "scikit-image"):
        assert name not in core()
