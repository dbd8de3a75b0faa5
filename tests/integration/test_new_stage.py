"""A stage of another package, as docs/extend/stage.md describes it: one file, one line, nothing else."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wsipipe import open_result, run
from wsipipe.errors import ConfigError
from wsipipe.pipeline.options import Resources
from wsipipe.pipeline.reporting.run_record import RunRequest
from wsipipe.review.gui.layers import result_layers
from wsipipe.stages.workflow import load_workflow, workflow_model

# napari, for its label colours.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "stage.md"


def block(language: str) -> str:
    """The page's only block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return found


def install(folder: Path, code: str, entry_points: str) -> None:
    """Put a package where Python finds it, as an installer does."""
    (folder / "brightness.py").write_text(code)
    about = folder / "brightness-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages that this process and its workers see."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "brightness", raising=False)
    workflow_model.cache_clear()
    yield folder
    workflow_model.cache_clear()
    sys.modules.pop("brightness", None)


@pytest.fixture
def brightness(packages: Path) -> Path:
    """The package and the workflow of the page."""
    entry = block("toml").replace('project.entry-points."wsipipe.stages"', "wsipipe.stages")
    install(packages, block("python"), entry.replace('"', ""))
    workflow = packages.parent / "brightness.yaml"
    workflow.write_text(block("yaml"))
    return workflow


def test_one_file_becomes_a_published_verified_reviewable_label(
    brightness: Path, small_slide: Path, tmp_path: Path
) -> None:
    found = run(brightness, [small_slide], tmp_path / "out", resources=Resources(workers=1))
    assert [slide.status for slide in found.slides] == ["done"]
    result = open_result(tmp_path / "out" / found.slides[0].slide_id)
    assert result.damaged() == []
    labels, tissue = (result.arrays.labels[name][0][...] for name in ("brightness", "tissue"))
    assert ((labels == 255) == (tissue != 1)).all()
    assert expected(result, tissue) == labels.tolist()
    plan = found.slides[0].plan
    assert plan["parameters"]["brightness"] == {
        "dark_below": 150,
        "light_from": 190,
        "package": "brightness 1.0",
    }
    features = json.loads((result.folder / "brightness.geojson").read_text())["features"]
    names = {feature["properties"]["classification"]["name"] for feature in features}
    assert names <= {"dark", "medium", "light"}
    assert names
    layers = {settings["name"]: settings for _, settings, kind in result_layers(result) if kind == "labels"}
    assert "medium" in set(layers["brightness"]["features"]["class"])


def expected(result: Any, tissue: np.ndarray) -> list[list[int]]:
    """The label, computed at once from the published image."""
    image = result.arrays.image[0][...].astype(np.int64).sum(axis=0)
    side = image.shape[0] // tissue.shape[0]
    sums = image.reshape(tissue.shape[0], side, tissue.shape[1], side).sum(axis=(1, 3))
    values = np.digitize(sums / (3 * side**2), (150, 190))
    return np.where(tissue == 1, values, 255).tolist()


def test_its_keys_are_checked_as_all_others(brightness: Path) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean brightness\.dark_below\?"):
        load_workflow(brightness, ["brightness.dark_blow=3"])
    with pytest.raises(ConfigError, match=r"brightness\.light_from: .*\(found 400\)"):
        load_workflow(brightness, ["brightness.light_from=400"])


def test_a_retry_reads_the_section_from_the_run_record(brightness: Path) -> None:
    request = RunRequest(load_workflow(brightness))
    assert RunRequest.from_json(request.as_json()) == request


def test_without_the_package_the_section_is_unknown(tmp_path: Path) -> None:
    workflow = tmp_path / "brightness.yaml"
    workflow.write_text(block("yaml"))
    with pytest.raises(ConfigError, match="brightness is unknown"):
        load_workflow(workflow)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("Brightness = 3", "not a subclass"),
        ("import nothing_of_this_name", "No module named"),
    ],
)
def test_a_package_that_cannot_be_loaded_is_left_out_with_a_warning(
    packages: Path, code: str, cause: str
) -> None:
    install(packages, code, "[wsipipe.stages]\nbrightness = brightness:Brightness\n")
    with pytest.warns(UserWarning, match=rf"section brightness is not available: .*{cause}"):
        assert load_workflow("nuclei").segment is not None
