"""Every command line, option, setting, link, example and shipped figure of README and docs is true."""

import json
import pkgutil
import re
import runpy
import shlex
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from wsipipe.cli import app
from wsipipe.common.settings import section_of, unknown_key
from wsipipe.errors import ConfigError, WsipipeError
from wsipipe.models.cards.weights import CERTIFICATE_SUFFIX, WEIGHTS_DIR, read_card
from wsipipe.stages.workflow import Workflow, workflow_names
from wsipipe.store.geoparquet import in_id_order
from wsipipe.store.names import NUCLEI_TABLE
from wsipipe.store.result import Result
from wsipipe.training.datasets.layout import Layout, read_as
from wsipipe.training.recipe import Recipe, recipe_names

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FROM_ROOT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*FROM_ROOT, *sorted(DOCS.rglob("*.md"))]
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which names what was, too
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
COLLECT = runpy.run_path(str(ROOT / "changes" / "collect.py"))
# Options of other programs: pip, pytest, napari, and of the scripts in benchmarks/.
OTHERS = {"--plugin", "--keep-memory", "--help", "--extra"}
_COMMAND = re.compile(r"(?:uv run (?:--extra \w+ )?)?wsipipe\s+(?P<rest>\S.*)")
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


@cache
def root_command() -> Any:
    """Return the command line as an object; making it takes longer than all checks of a page."""
    return typer.main.get_command(app)


def wrong_words(words: list[str]) -> list[str]:
    """Verbs and options of a command line that are not there; settings that no model has."""
    command = root_command()
    verbs = []
    while words and words[0] in getattr(command, "commands", {}):
        verbs.append(words[0])
        command, words = command.commands[words[0]], words[1:]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        return words[:1]
    # The last two may stand behind every command.
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)} | {
        *("--help", "--debug", "--log-level")
    }
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    model = Recipe if verbs == ["train"] else Workflow
    for option, value in pairwise(words):
        if option == "--set" and unknown_key(model, tuple(value.partition("=")[0].split("."))):
            wrong.append(value)
    return wrong


@cache
def every_option() -> set[str]:
    def of(command: Any) -> set[str]:
        own = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
        return own.union(*map(of, getattr(command, "commands", {}).values()))

    return of(root_command())


@pytest.mark.parametrize("page", PRESENT, ids=lambda path: path.name)
def test_every_command_of_a_page_exists(page: Path) -> None:
    wrong = {" ".join(words): wrong_words(words) for words in commands_of(page.read_text())}
    assert {line: words for line, words in wrong.items() if words} == {}


@pytest.mark.parametrize("page", PRESENT, ids=lambda path: path.name)
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


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^ *```.*?^ *```$", "", text)


def slug(heading: str) -> str:
    """The anchor that mkdocs gives a heading."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading)
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@cache
def anchors_of(page: Path) -> set[str]:
    """Anchors of a page; of generated pages those of the commands too."""
    text = page.read_text() + "\n".join(HOOKS["command_lines"]() if page.name == "cli.md" else ())
    return {slug(heading) for heading in re.findall(r"(?m)^#+ (.+)$", without_code(text))}


def has_anchor(page: Path, anchor: str) -> bool:
    """Whether a page has a heading, or documents an object, of this name."""
    if anchor in anchors_of(page):
        return True
    modules = re.findall(r"(?m)^::: (\S+)$", page.read_text())
    if not any(anchor.startswith(module) for module in modules):
        return False
    try:
        pkgutil.resolve_name(anchor)
    except (ImportError, AttributeError):
        return False
    return True


def dead_links(page: Path, text: str) -> list[str]:
    """Links of a page's text, to files of the repository, that lead nowhere."""
    dead = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", without_code(text)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and not has_anchor(target, anchor)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert dead_links(page, page.read_text()) == []


def test_sister_a_dead_link_is_seen() -> None:
    page = DOCS / "errors.md"
    alive = "[a](cli.md#wsipipe-run) [b](api/errors.md#wsipipe.errors.SlideError) [c](#errors-and-exit-codes)"
    assert dead_links(page, alive) == []
    dead = ["absent.md", "cli.md#wsipipe-walk", "api/errors.md#wsipipe.errors.Slide", "#nowhere"]
    assert dead_links(page, " ".join(f"[x]({link})" for link in dead)) == dead


PYTHON = re.compile(
    r"(?m)(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```python\n(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL,
)
NEEDS_A_RESULT = re.compile(r"open_result|OUT/SLIDE")


def examples_of(text: str) -> list[tuple[str, str]]:
    """(mark, code) of each Python block of a page; the mark is the comment above it, or empty."""
    found = []
    for block in PYTHON.finditer(text):
        lines = block["code"].splitlines()
        code = "\n".join(line.removeprefix(block["indent"]) for line in lines)
        found.append((block["mark"] or "", code))
    return found


def left_out(mark: str) -> bool:
    """Whether a block says that it is not run here; a reason, or the test that runs it, must be there.

    Raises:
        ValueError: The mark is none that is known.
    """
    if not mark or re.fullmatch(r"file: \S+\.py", mark):
        return False
    if re.fullmatch(r"not run: \w.{5,}", mark):
        return True
    test = re.fullmatch(r"run by: (\S+)", mark)
    if test and (ROOT / test[1]).is_file():
        return True
    raise ValueError(f"a Python block has the mark {mark!r}; write 'not run: REASON' or 'run by: TEST'")


def run_examples(page: Path) -> None:
    """Run the blocks of a page one after the other, with the names of those before."""
    names: dict[str, Any] = {"__name__": "example"}
    for mark, code in examples_of(page.read_text()):
        if not left_out(mark):
            exec(compile(code, name_of(page), "exec"), names)


WITH_EXAMPLES = [page for page in PAGES if examples_of(page.read_text())]


def needs_a_result(page: Path) -> bool:
    return any(
        NEEDS_A_RESULT.search(code) for mark, code in examples_of(page.read_text()) if not left_out(mark)
    )


@pytest.mark.parametrize("page", [page for page in WITH_EXAMPLES if not needs_a_result(page)], ids=name_of)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    with chdir(tmp_path):
        run_examples(page)


@pytest.mark.parametrize("page", [page for page in WITH_EXAMPLES if needs_a_result(page)], ids=name_of)
def test_the_examples_that_read_a_result_run(page: Path, finished: Result, tmp_path: Path) -> None:
    for name in ("out/SLIDE", "OUT/SLIDE", "OUT/SLIDE-ID"):
        shutil.copytree(finished.folder, tmp_path / name)
    with chdir(tmp_path):
        run_examples(page)


def names_of(page: str) -> dict[str, Any]:
    """What the examples of a page define, those that are left out aside."""
    names: dict[str, Any] = {"__name__": "example"}
    for mark, code in examples_of((DOCS / page).read_text()):
        if not left_out(mark) and not NEEDS_A_RESULT.search(code):
            exec(code, names)
    return names


def test_the_layout_of_the_page_reads_fields_and_collects_problems(tmp_path: Path) -> None:
    names = names_of("extend/dataset_layout.md")
    layout = Layout("example", "NAME.png, NAME_labels.png", names["fits"], names["read"])
    assert not layout.fits(tmp_path)
    for name, side in (("a-1", 8), ("a-2", 8), ("b-1", 9)):
        Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / f"{name}.png")
        Image.new("I;16", (side, side), 3).save(tmp_path / f"{name}_labels.png")
    with pytest.raises(ConfigError, match=r"b-1_labels\.png: its size is \(9, 9\)"):
        read_as((layout,), tmp_path, "nuclei")
    (tmp_path / "b-1_labels.png").unlink()
    fields = read_as((layout,), tmp_path, "nuclei")
    assert [(field.name, field.group, field.labels.max()) for field in fields] == [
        ("a-1", "a", 3),
        ("a-2", "a", 3),
    ]


def test_the_exporter_of_the_page_writes_every_nucleus(finished: Result, tmp_path: Path) -> None:
    names = names_of("extend/exporter.md")
    tables = list(in_id_order([finished.folder / NUCLEI_TABLE], rows=10))
    rows = names["write_centroids"](tmp_path / "centroids.csv", tables)
    lines = (tmp_path / "centroids.csv").read_text().splitlines()
    assert lines[0] == '"id","centroid_y_um","centroid_x_um"'
    assert rows == len(lines) - 1 == len(finished.nuclei) > 10
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(1, rows + 1))


def test_sister_a_wrong_example_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```python\nx = 1\n```\n\n- so\n\n    ```python\n    assert x == 2\n    ```\n")
    with pytest.raises(AssertionError):
        run_examples(page)
    page.write_text("<!-- not run: needs slides -->\n```python\nassert False\n```\n")
    run_examples(page)
    for mark in ("not run:", "skipped", "run by: tests/absent.py"):
        page.write_text(f"<!-- {mark} -->\n```python\n```\n")
        with pytest.raises(ValueError, match="has the mark"):
            run_examples(page)


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


def pages_outside(navigation: str, pages: set[str]) -> set[str]:
    """Pages that the navigation lacks, and entries that have no page."""
    entries = set(re.findall(r"(?m)^ +- (?:[^:\n]+: )?(\S+\.md)$", navigation))
    return pages ^ entries


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} | HOOKS["FROM_ROOT"].keys()
    assert pages_outside(navigation, pages) == set()
    assert pages_outside(navigation, {*pages, "lost.md"} - {"index.md"}) == {"lost.md", "index.md"}


def test_pages_made_from_the_code_have_every_command_and_code() -> None:
    commands = "\n".join(HOOKS["command_lines"]())
    for option in (each for each in every_option() if each.startswith("-")):
        assert f"`{option}`" in commands
    for name in ("run", "models fetch", "review export"):
        assert f"\n## wsipipe {name}\n" in f"\n{commands}"
    errors = "\n".join(HOOKS["error_lines"]())
    assert all(f"| `{kind.code}` |" in errors for kind in HOOKS["_kinds"](WsipipeError))
    for page, marker in (("cli", HOOKS["COMMANDS"]), ("errors", HOOKS["ERRORS"])):
        assert marker in (DOCS / f"{page}.md").read_text()


def test_fragments_are_collected_into_the_changelog() -> None:
    names = {path.name for path in (ROOT / "changes").glob("*.md")} - {"README.md"}
    assert {path.name for path in COLLECT["fragments"]()} == names
    texts = [path.read_text() for path in COLLECT["fragments"]()]
    assert all(text.startswith("- ") and text.endswith("\n") for text in texts)
    whole = COLLECT["with_fragments"]()
    assert all(
        text.strip() in whole for text in [*texts, (ROOT / "CHANGELOG.md").read_text().split("## [0")[1]]
    )


def test_bullets_come_behind_those_of_their_section() -> None:
    before = "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- a\n\n## [1.0.0] - 2026-01-01\n\n- z\n"
    after = COLLECT["merged"](before, {"Changed": ["- b\n"], "Added": ["- c\n"]})
    assert after == (
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- c\n\n### Changed\n\n- a\n- b\n\n"
        "## [1.0.0] - 2026-01-01\n\n- z\n"
    )


def missing_files(text: str) -> list[str]:
    """Source files that a page names in code, by their path, and that do not exist."""
    named = re.findall(r"`((?:[\w.]+/)+[\w.]+\.(?:py|yaml|cpp|cu))`", text)
    places = (ROOT, ROOT / "tests", ROOT / "wsipipe")
    return [name for name in named if not any((place / name).is_file() for place in places)]


@pytest.mark.parametrize("page", PRESENT, ids=name_of)
def test_every_source_file_of_a_page_exists(page: Path) -> None:
    assert missing_files(page.read_text()) == []


def test_sister_a_missing_source_file_is_seen() -> None:
    text = "`tiling/mpp.py`, `unit/test_docs.py`, `benchmarks/soak.py` but `stages/nowhere.py`"
    assert missing_files(text) == ["stages/nowhere.py"]


def missing_pages(text: str) -> list[str]:
    """Pages that a source file names and the project does not have."""
    named = re.findall(r"(?<![\w/])(?:docs/)?[a-z_/]+\.md\b", text)
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
