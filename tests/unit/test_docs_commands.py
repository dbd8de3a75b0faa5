"""Command blocks of README and docs are parsed by the real parser, and cheap ones are run on a result."""

import inspect
import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer

import wsipipe
from wsipipe.cli import app
from wsipipe.stages.workflow import Workflow
from wsipipe.store.nuclei_table import nuclei_schema, published_schema
from wsipipe.store.result import Result

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
ON_A_RESULT = "run on the result"
"""Mark above a block whose commands a test runs; OUT/SLIDE is then a finished slide."""
_BLOCK = re.compile(
    r"(?ms)^(?:<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```(?:sh|bash)\n(?P<code>.*?)^(?P=indent)```$"
)
_RUN_BY_HERE = "<!-- run by: tests/unit/test_docs_commands.py -->\n```python\n"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(text: str) -> Iterator[tuple[str, list[list[str]]]]:
    """(mark, words of each ``wsipipe`` command) of every shell block, without ``wsipipe`` itself."""
    for block in _BLOCK.finditer(text):
        # Variables of a job are numbers.
        lines = re.sub(r"\$\{?\w+\}?", "1", block["code"].replace("\\\n", " ")).splitlines()
        commands = []
        for part in (part for line in lines for part in re.split(r"&&|;", line)):
            found = re.fullmatch(r"(?:until |exec |uv run )*wsipipe\s+(\S.*)", part.strip())
            if found:
                commands.append(shlex.split(found[1], comments=True))
        yield block["mark"] or "", commands


REFUSED: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


@cache
def root_command() -> Any:
    """Return the command line as an object."""
    return typer.main.get_command(app)


def parse(words: list[str]) -> None:
    """Parse a command as the command line does, without running it.

    Raises:
        REFUSED: An argument is missing, an option is unknown, or a value has another type.
    """
    command = root_command()
    context = command.make_context("wsipipe", list(words), resilient_parsing=True)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        name, words = words[0], words[1:]
        command = command.commands[name]
        if hasattr(command, "commands") and words and words[0] in command.commands:
            continue
        command.make_context(name, list(words), parent=context)
        return
    raise typer.BadParameter(f"{words[:1]} is no command")


def not_parsed(text: str) -> list[str]:
    """Commands of a page that the parser refuses, with its message; files need not exist."""
    wrong = []
    for _, commands in blocks_of(text):
        for words in commands:
            try:
                parse(words)
            except typer.Exit:
                pass
            except REFUSED as error:
                if "does not exist" not in error.format_message():
                    wrong.append(f"{' '.join(words)}: {error.format_message()}")
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_parser_takes_every_command_of_a_block(page: Path) -> None:
    assert not_parsed(page.read_text()) == []


def test_sister_wrong_commands_are_refused() -> None:
    good = "```sh\nwsipipe run nuclei a.svs \\\n    --out out && wsipipe models  # so\nls\n```\n"
    assert [commands for _, commands in blocks_of(good)] == [
        [["run", "nuclei", "a.svs", "--out", "out"], ["models"]]
    ]
    assert not_parsed(good) == []
    for line in ("run nuclei", "run nuclei a.svs --oot b", "train nuclei --data d --out o --folds x", "rum"):
        assert len(not_parsed(f"```sh\nwsipipe {line}\n```\n")) == 1


WITH_RUNS = [page for page in PAGES if ON_A_RESULT in (mark for mark, _ in blocks_of(page.read_text()))]


@pytest.mark.parametrize("page", WITH_RUNS, ids=name_of)
def test_marked_commands_of_a_page_run(typed: Any, finished: Result, tmp_path: Path, page: Path) -> None:
    shutil.copytree(finished.folder.parent, tmp_path / "OUT")
    commands = [
        words for mark, block in blocks_of(page.read_text()) if mark == ON_A_RESULT for words in block
    ]
    assert commands
    with chdir(tmp_path):
        for words in commands:
            named = [word.replace("OUT/SLIDE", f"OUT/{finished.folder.name}") for word in words]
            code, _, stderr = typed(*named)
            assert code == 0, (words, stderr)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_lines_of_python_run(
    finished: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    """The run itself is replaced by a finished one; its arguments must fit."""
    text = (ROOT / page).read_text()
    code = text.split(_RUN_BY_HERE)[1].split("```")[0]
    assert 8 <= len([line for line in code.splitlines() if line.strip()]) <= 12
    real = wsipipe.run

    def run(*arguments: Any, **options: Any) -> Any:
        inspect.signature(real).bind(*arguments, **options)
        return SimpleNamespace(results=lambda: [finished])

    monkeypatch.setattr(wsipipe, "run", run, raising=False)
    shutil.copytree(finished.folder.parent, tmp_path / "out")
    with chdir(tmp_path):
        exec(compile(code, page, "exec"), {"__name__": "__main__"})


def test_every_key_and_column_is_on_the_pages_made_from_the_code() -> None:
    keys = "\n".join(HOOKS["key_lines"]())
    for name, field in Workflow.model_fields.items():
        section = HOOKS["section_of"](field.annotation)
        assert (f"\n## {name}\n" if section else f"| `{name}` |") in keys
        assert all(f"\n| `{key}` |" in keys for key in (section.model_fields if section else ()))
    columns = "\n".join(HOOKS["column_lines"]())
    rows = re.findall(r"(?m)^\| `(\w+)` \|.*\| (.*?) ?\|$", columns)
    always = [field.name for field in published_schema(nuclei_schema())]
    assert [name for name, _ in rows][: len(always)] == always
    assert [name for name, meaning in rows if not meaning or meaning.startswith("[results")] == []
    for page, marker in (("workflow_keys", HOOKS["KEYS"]), ("columns", HOOKS["COLUMNS"])):
        assert marker in (DOCS / "reference" / f"{page}.md").read_text()


def test_what_a_page_would_load_from_outside_is_found() -> None:
    inside = '<script src="assets/a.js"></script><link rel="canonical" href="https://x.org/"><a href="https://x.org">'
    assert HOOKS["loaded_from_outside"](inside) == []
    for element in (
        '<script src="https://cdn.org/a.js">',
        '<link rel="stylesheet" href="//fonts.org/a.css">',
        '<img src="https://x.org/a.png">',
    ):
        assert HOOKS["loaded_from_outside"](f"<p>{element}</p>") == [element]


def rows_without_proof(text: str) -> list[str]:
    """Rows of the feature table whose cell of wsipipe leads nowhere."""
    table = text.split("## Features")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [cells[0] for cells in rows[1:] if not cells[0].startswith("| **") and "](" not in cells[1]]


def test_each_of_our_features_leads_to_its_proof() -> None:
    text = (DOCS / "comparison.md").read_text()
    assert rows_without_proof(text) == []
    wrong = text.replace("| [yes](quality.md) |", "| yes |", 1)
    assert rows_without_proof(wrong) == ["| ink, folds, blur, bubbles"]
    defined = set(re.findall(r"(?m)^\[([\w-]+)\]: https", text))
    assert set(re.findall(r"\]\[([\w-]+)\]", text)) == defined
