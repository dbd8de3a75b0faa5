"""Every command line, option, setting, link and shipped figure that README and docs name is true."""

import json
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from wsipipe.cli import app
from wsipipe.common.settings import section_of, unknown_key
from wsipipe.models.cards.weights import CERTIFICATE_SUFFIX, WEIGHTS_DIR, read_card
from wsipipe.stages.workflow import Workflow, workflow_names
from wsipipe.training.recipe import Recipe, recipe_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Options of other programs: pip, pytest, napari, and of the scripts in benchmarks/.
OTHERS = {"--plugin", "--keep-memory"}
_COMMAND = re.compile(r"(?:uv run )?wsipipe\s+(?P<rest>\S.*)")
_CODE = re.compile(
    r"```.*?\n(?P<block>.*?)```|(?P<inline>`[^`]+`)|^(?P<indented> {4}\S.*)$", re.DOTALL | re.MULTILINE
)


def code_of(text: str) -> Iterator[str]:
    """Lines of code blocks, and code within sentences, of Markdown."""
    for found in _CODE.finditer(text):
        if found["inline"]:
            yield " ".join(found["inline"].strip("`").split())
        else:
            yield from (found["block"] or found["indented"]).splitlines()


def commands_of(text: str) -> Iterator[list[str]]:
    """Words after ``wsipipe`` of each command line, without comments."""
    for line in code_of(text):
        for part in line.split("&&"):
            found = _COMMAND.fullmatch(part.strip().removeprefix("until ").strip())
            if found:
                # In a list of commands, what each does stands after two blanks.
                words = re.split(r"\s{2,}|;", found["rest"])[0]
                yield shlex.split(words.replace("[", "").replace("]", ""), comments=True)


def wrong_words(words: list[str]) -> list[str]:
    """Verbs and options of a command line that are not there; settings that no model has."""
    command: Any = typer.main.get_command(app)
    verbs = []
    while words and words[0] in getattr(command, "commands", {}):
        verbs.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and words and (not verbs or not words[0].startswith("-")):
        return words[:1]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
        "--help"
    }
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    model = Recipe if verbs == ["train"] else Workflow
    for option, value in pairwise(words):
        if option == "--set" and unknown_key(model, tuple(value.partition("=")[0].split("."))):
            wrong.append(value)
    return wrong


def every_option() -> set[str]:
    def of(command: Any) -> set[str]:
        own = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        return own.union(*map(of, getattr(command, "commands", {}).values()))

    return of(typer.main.get_command(app))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_exists(page: Path) -> None:
    wrong = {" ".join(words): wrong_words(words) for words in commands_of(page.read_text())}
    assert {line: words for line, words in wrong.items() if words} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_option_of_a_page_exists(page: Path) -> None:
    """Also options named alone, as ``--restart``; lines of other programs do not count."""
    known = every_option() | OTHERS
    named = {
        option
        for line in code_of(page.read_text())
        if line.startswith(("wsipipe", "-"))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line)
    }
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_workflows_and_recipes_named_in_tables_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in workflow_names())
    training = (ROOT / "docs" / "training.md").read_text()
    table = training[training.index("| recipe | for |") : training.index("| key | what it does |")]
    assert set(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)) != set()
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(.*?)`", row)
    }
    assert named == set(recipe_names())


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f": {page.name}\n" not in navigation] == []


def missing_pages(text: str) -> list[str]:
    """Pages that a source file names and the project does not have."""
    named = re.findall(r"\b(?:docs/)?[a-z_]+\.md\b", text)
    return [name for name in named if not ((ROOT / name).is_file() and name.startswith("docs/"))]


def test_every_page_named_in_code_exists() -> None:
    found = {path.name: missing_pages(path.read_text()) for path in (ROOT / "wsipipe").rglob("*.py")}
    assert {name: missing for name, missing in found.items() if missing} == {}
    assert missing_pages('"""See store.md and docs/nowhere.md."""') == ["store.md", "docs/nowhere.md"]


def test_the_keys_of_every_section_are_listed() -> None:
    text = (ROOT / "docs" / "workflows.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    for section in ("tile", "tissue", "segment", "instances", "classify"):
        listed = re.findall(r"`(\w+)`", rows[section])
        assert [unknown_key(Workflow, (section, key)) for key in listed] == [""] * len(listed)
        defaults = section_of(Workflow.model_fields[section].annotation).model_fields
        assert listed == list(defaults)


def test_halo_and_certificate_are_those_of_the_shipped_weights() -> None:
    page = (ROOT / "docs" / "certificate.md").read_text()
    exactness, performance = (
        (ROOT / "docs" / f"{name}.md").read_text() for name in ("exactness", "performance")
    )
    for name, weights in (
        ("GMR U-Net", "nuclei_gmr_unet_0.5"),
        ("GMR-ResNet-18, dense pass", "tissue_gmr_resnet18_1.0"),
    ):
        found = json.loads((WEIGHTS_DIR / f"{weights}{CERTIFICATE_SUFFIX}").read_text())
        (row,) = re.findall(rf"^\| {name} \| (.*) \|$", page, re.MULTILINE)
        cells = row.split(" | ")
        error = max(error for size in found["sizes"] for error in size["errors"].values())
        drop = max(angle["agreement_drop"] for angle in found["angles"])
        assert cells[0] == f"{error:.1e}".replace("e-0", "e-")
        assert cells[4] == f"{found['reach']['gradient_px']}, {found['reach']['formula_px']} px"
        assert cells[5] == f"0, {found['tiling']['error_without_halo']:.2g}"
        assert cells[6] == f"{max(angle['error'] for angle in found['angles']):.2g}, {100 * drop:.2g} %"
        halo = read_card(weights).halo_px
        assert f"{halo} px" in exactness
        assert f"halo {halo} px" in performance


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("wsipipe review queue OUT", ["queue"]),
        ("wsipipe frobnicate", ["frobnicate"]),
        ("wsipipe run nuclei s.svs --outt x", ["--outt"]),
        ("wsipipe run nuclei s.svs --out x --set segment.weigths=y", ["segment.weigths=y"]),
        ("wsipipe train nuclei --data d --out o --set fit.stepps=1", ["fit.stepps=1"]),
    ],
)
def test_sister_a_wrong_line_is_seen(line: str, wrong: list[str]) -> None:
    for text in (f"Try `{line}` now.", f"```sh\n{line}   # so\n```", f"\n    {line}\n"):
        (words,) = commands_of(text)
        assert wrong_words(words) == wrong
