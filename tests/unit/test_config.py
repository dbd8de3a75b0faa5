"""A workflow file is right, or the error names the key's path."""

from pathlib import Path

import pytest

from wsipipe.config import Workflow, load_workflow, workflow_names
from wsipipe.errors import ConfigError, ExitCode


@pytest.mark.parametrize("name", ["nuclei", "nuclei_and_tissue", "tiling_only", "tissue"])
def test_the_workflows_that_come_along_load(name: str) -> None:
    assert name in workflow_names()
    assert load_workflow(name).name == name


def test_settings_override_by_path() -> None:
    workflow = load_workflow("nuclei", ["tile.mpp=0.25", "segment.precision=float32", "tile.image=jpeg:90"])
    assert (workflow.tile.mpp, workflow.tile.image) == (0.25, "jpeg:90")
    assert workflow.segment is not None
    assert workflow.segment.precision == "float32"


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        ("tile.mppp=1", "tile.mppp"),
        ("tile.mpp=fine", "tile.mpp"),
        ("tile.mpp=true", "tile.mpp"),
        ("tile.mpp=0", "tile.mpp"),
        ("tile.shard_px=300", "tile.shard_px"),
        ("tile.shard_px='512'", "tile.shard_px"),
        ("tile.chunk_px=768", "chunk_px 768"),
        ("tile.image=jpeg:0", "tile.image"),
        ("segment.precision=half", "segment.precision"),
        ("instances.min_area_um2=9e9", "min_area_um2"),
        ("instance.grow_um=1", "instance"),
        ("classify.shard_cells=8", "no classify stage"),
        ("name.x=1", "name is not a section"),
        ("tile.mpp", "stage.key=value"),
        ("mpp=1", "stage.key=value"),
        ("tile.mpp=[", "not a YAML value"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, names: str) -> None:
    with pytest.raises(ConfigError, match=names.replace(".", r"\.")) as caught:
        load_workflow("nuclei", [setting])
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name: x\ntiles: {}", "tiles"),
        ("tile: {}", "name: Field required"),
        ("name: x\ntile: 5", "tile"),
        ("name: x\nsegment: {}", "segment and instances go together"),
        ("- a", "holds list"),
        ("name: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=names) as caught:
        load_workflow(path)
    assert str(path) in str(caught.value)


def test_a_section_without_keys_is_a_section(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: x\nsegment:\ninstances:\n")
    workflow = load_workflow(tmp_path / "mine.yaml")
    assert workflow.segment is not None
    assert workflow.classify is None


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no workflow 'nuklei'.*nuclei_and_tissue"):
        load_workflow("nuklei")


def test_a_workflow_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Workflow(name="x").tile.mpp = 1
