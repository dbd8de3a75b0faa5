"""Workflow files are listed, shown, checked by line, and described by a schema."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from wsipipe.errors import ConfigError, ExitCode
from wsipipe.models.cards.shipped import ADAPTING_NUCLEI, DEFAULT_NUCLEI, FINE_NUCLEI
from wsipipe.stages.flow import completed, workflow_cards
from wsipipe.stages.tile import TileParams
from wsipipe.stages.workflow import load_workflow, workflow_names
from wsipipe.stages.workflow_text import as_schema, as_yaml, key_texts


def test_the_list_has_every_workflow(typed: Any) -> None:
    code, out, _ = typed("workflow", "list", "--json")
    assert code == ExitCode.OK
    assert [each["name"] for each in json.loads(out)] == workflow_names()
    _, out, _ = typed("workflow", "list")
    assert "tiling_only  " in out


@pytest.mark.parametrize("name", workflow_names())
def test_what_is_shown_is_the_same_workflow(name: str, tmp_path: Path) -> None:
    chosen = load_workflow(name)
    resolved = completed(chosen, workflow_cards(chosen))
    (tmp_path / "shown.yaml").write_text(as_yaml(resolved))
    again = load_workflow(tmp_path / "shown.yaml")
    assert again == resolved
    assert again.causes() == resolved.causes()


def test_every_key_is_shown_with_a_comment(typed: Any) -> None:
    code, out, _ = typed("workflow", "show", "nuclei", "--set", "tile.mpp=0.25")
    assert code == ExitCode.OK
    assert (
        "\n# Canvas, shards and how pixels are stored.\ntile:\n  # Um per px of the canvas.\n  mpp: 0.25\n"
        in out
    )
    assert out.endswith("# Sections that this workflow does not have: classify.\n")
    lines = out.splitlines()
    keys = [
        number for number, line in enumerate(lines) if line.startswith("  ") and not line.startswith("  #")
    ]
    assert len(keys) > 30
    assert [lines[number] for number in keys if not lines[number - 1].startswith("  #")] == []
    # Open values are those of the card of the weights.
    (card,) = workflow_cards(load_workflow("nuclei")).values()
    assert yaml.safe_load(out)["instances"]["nucleus_threshold"] == card.thresholds["nucleus"]
    assert json.loads(typed("workflow", "show", "nuclei", "--json")[1])["tile"]["mpp"] == 0.5


def test_texts_are_plain_and_those_of_the_docstring() -> None:
    assert key_texts(TileParams)["image"] == (
        "lossless, jpeg:QUALITY or none (the slide is read again instead of stored)."
    )
    assert set(key_texts(TileParams)) == set(TileParams.model_fields)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\n\ntile:\n  mppp: 1\n", "line 4: tile.mppp is unknown. Did you mean tile.mpp?"),
        ("name: x\ntile:\n  mpp: fine\n", "line 3: tile.mpp: Input should be a valid number (found 'fine')"),
        ("name: x\ntile: {mpp: 0.5, chunk_px: 1}\n", "line 2: tile.chunk_px: Input should be a multiple of"),
        (
            "name: x\n\ntile:\n  shard_px: 512\n  chunk_px: 384\n",
            "line 3: tile: shard_px 512 is not a multiple",
        ),
        ("name: x\nquality:\n  leave_out: [pen, dust]\n", "line 3: quality.leave_out.1: "),
        ("name: x\ntile:\n  mpp: 1\n  mpp: 2\n", "line 4: tile.mpp is given twice. Remove all but one."),
        ("name: x\ntile: {\n", "is not YAML: line 3: "),
        ("tile: {}\n", "is not valid: name: Field required"),
    ],
)
def test_a_check_names_the_line(typed: Any, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    code, out, stderr = typed("workflow", "check", tmp_path / "mine.yaml")
    assert (code, out) == (ExitCode.USAGE, "")
    assert stderr.startswith(f"CONFIG: Workflow {tmp_path / 'mine.yaml'} is not ")
    assert says in stderr


def test_a_check_finds_missing_weights_and_passes_what_is_right(typed: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsegment: {weights: absent}\ninstances:\n")
    code, _, stderr = typed("workflow", "check", path)
    assert (code, "segment.weights: Weights 'absent' not found" in stderr) == (ExitCode.USAGE, True)
    path.write_text("name: mine\nsegment:\ninstances:\n")
    code, out, _ = typed("workflow", "check", path)
    assert (code, out) == (
        ExitCode.OK,
        f"{path}: the workflow mine is valid: segment with {DEFAULT_NUCLEI}\n",
    )
    path.write_text("name: mine\nsegment: {quality: fine}\ninstances:\n")
    names = f"{DEFAULT_NUCLEI} or {ADAPTING_NUCLEI} or {FINE_NUCLEI}"
    assert (
        typed("workflow", "check", path)[1] == f"{path}: the workflow mine is valid: segment with {names}\n"
    )


def test_values_that_follow_from_chosen_weights_are_not_shown(typed: Any) -> None:
    _, out, _ = typed("workflow", "show", "nuclei_fine")
    assert "  # Follow from the weights of each slide: mpp.\n" in out
    shown = yaml.safe_load(out)
    assert (shown["instances"], shown["segment"]["weights"], "mpp" in shown["tile"]) == (None, "auto", False)
    settings = ("--set", "tile.mpp=0.25", "--set", "instances.grow_um=3", "--json")
    shown = json.loads(typed("workflow", "show", "nuclei_fine", *settings)[1])
    assert (shown["instances"], shown["tile"]["mpp"]) == ({"grow_um": 3.0}, 0.25)


def test_the_schema_accepts_what_loads_and_refuses_what_does_not(typed: Any, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    found = json.loads(typed("workflow", "schema")[1])
    assert found == as_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    checker = jsonschema.Draft202012Validator(found)
    folder = Path(__file__).resolve().parents[3] / "workflows"
    texts = [(folder / f"{name}.yaml").read_text() for name in workflow_names()]
    for text in [*texts, "name: x\ntile:\nsegment:\ninstances:\n"]:
        assert list(checker.iter_errors(yaml.safe_load(text))) == []
    path = tmp_path / "wrong.yaml"
    for text in ("tile: {}", "name: x\ntiles: {}", "name: x\ntile: {mppp: 1}", "name: x\ntile: {mpp: 99}"):
        assert list(checker.iter_errors(yaml.safe_load(text))) != []
        path.write_text(text)
        with pytest.raises(ConfigError):
            load_workflow(path)


def test_the_schema_describes_every_key() -> None:
    found = as_schema()
    sections = [found, *found["$defs"].values()]
    assert len(sections) > 7
    for section in sections:
        assert section["description"]
        # The two names of a workflow explain themselves, and have a text too.
        assert [name for name, entry in section["properties"].items() if "description" not in entry] == []
