"""A workflow file is right, or the error names the key's path."""

import re
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError, ExitCode
from wsipipe.stages.workflow import Workflow, load_workflow, workflow_names


@pytest.mark.parametrize(
    "name",
    ["nuclei", "nuclei_and_tissue", "nuclei_fine", "nuclei_hdab", "quality_only", "tiling_only", "tissue"],
)
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
        ("mpp=1", "mpp is unknown. Did you mean tile.mpp?"),
        ("segment.weigths=x", "segment.weigths is unknown. Did you mean segment.weights?"),
        ("segmnt.weights=x", "segmnt is unknown. Did you mean segment?"),
        ("tissue.nucleus_threshold=1", "Did you mean instances.nucleus_threshold?"),
        ("tile.mpp.x=1", "tile.mpp is not a section"),
        ("description=[1]", "--set description: Input should be a valid string"),
        ("tile.mpp=[", "not a YAML value"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, names: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(names)) as caught:
        load_workflow("nuclei", [setting])
    assert caught.value.exit_code == ExitCode.USAGE
    # The file is right, so the message does not blame it.
    assert "nuclei.yaml" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name: x\ntiles: {}", r"tiles is unknown. Did you mean tile\?"),
        ("name: x\nsegment: {weigths: a}\ninstances: {}", r"Did you mean segment\.weights\?"),
        ("name: x\nqqq: 1", "qqq is unknown. Keys of the top level: name, description, tile, tissue"),
        ("name:", r"name: Input should be a valid string \(found None\)"),
        ("", "found nothing"),
        ("tile: {}", "name: Field required"),
        ("name: x\ntile: 5", "tile"),
        ("name: x\nsegment: {}", "segment and instances go together"),
        ("- a", "found list"),
        ("name: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, names: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=names) as caught:
        load_workflow(path)
    assert str(path) in str(caught.value)


def test_a_wrong_setting_and_a_wrong_key_of_the_file_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: x\ntile: {shard: 512}\n")
    with pytest.raises(ConfigError) as caught:
        load_workflow(path, ["tile.mpp=fine"])
    first, _, second = str(caught.value).partition(f"Workflow {path} is not valid: ")
    assert first.startswith("--set tile.mpp: ")
    assert "Did you mean tile.shard_px?" in second


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


def test_quality_is_on_where_networks_run_and_one_key_switches_it() -> None:
    on = {name for name in workflow_names() if load_workflow(name).quality is not None}
    assert on == {"nuclei", "nuclei_and_tissue", "nuclei_fine", "quality_only", "tissue"}
    assert load_workflow("nuclei", ["quality=null"]).quality is None
    added, asked = (
        load_workflow("tiling_only", [text]).quality for text in ("quality={}", "quality={leave_out: [pen]}")
    )
    assert added is not None
    assert asked is not None
    assert (added.leave_out, asked.leave_out) == ((), ("pen",))
    with pytest.raises(ConfigError, match="'pen', 'fold', 'blur' or 'bubble'"):
        load_workflow("nuclei", ["quality.leave_out=[dust]"])
