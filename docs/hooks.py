"""Generate the parts of the site that follow from the code."""

import inspect
import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from wsipipe.cli import app
from wsipipe.common.settings import section_of
from wsipipe.errors import ExitCode, WsipipeError
from wsipipe.stages.workflow import Workflow
from wsipipe.store.nuclei_table import POSITIVITY_FIELDS, TYPE_FIELDS, nuclei_schema, published_schema

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
FROM_ROOT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
COMMANDS, ERRORS = "<!-- generated: commands -->", "<!-- generated: errors -->"
KEYS, COLUMNS = "<!-- generated: workflow keys -->", "<!-- generated: columns -->"
EXPLAINED = ("outputs.md", "types.md")
"""Pages with the meaning of columns, as tables or as text."""
_LOADED = re.compile(r"""<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=["']?(?:https?:)?//[^>]*>""")
NOTEBOOK = re.compile(r"<!-- generated: notebook (\w+) -->")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages whose source is at the root of the repository."""
    from mkdocs.structure.files import File

    for name, source in FROM_ROOT.items():
        files.append(File.generated(config, name, content=from_root(source)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Replace the markers of generated text."""
    for marker, lines in (
        (COMMANDS, command_lines),
        (ERRORS, error_lines),
        (KEYS, key_lines),
        (COLUMNS, column_lines),
    ):
        if marker in markdown:
            markdown = markdown.replace(marker, "\n".join(lines()))
    return NOTEBOOK.sub(lambda found: "\n".join(notebook_lines(found[1])), markdown)


def notebook_lines(name: str) -> Iterator[str]:
    """Markdown lines of a notebook, whose heading is one of the second level."""
    content = json.loads((ROOT / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    for cell in content["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            yield from ("```python", text, "```", "")
        else:
            yield from (re.sub(r"(?m)^(#+) ", r"#\1 ", text), "")


def on_post_page(output: str, page: "Page", config: "MkDocsConfig") -> str:
    """Refuse a page that loads anything from another host.

    Raises:
        PluginError: The page has such an element; names the first.
    """
    from mkdocs.exceptions import PluginError

    for element in loaded_from_outside(output):
        raise PluginError(f"{page.file.src_uri} loads from outside: {element}")
    return output


def loaded_from_outside(html: str) -> list[str]:
    """Elements of a page that a browser would fetch from another host."""
    return [element for element in _LOADED.findall(html) if 'rel="canonical"' not in element]


def from_root(name: str) -> str:
    """Text of a page at the root, with links as they are inside the site."""
    if name == "CHANGELOG.md":
        text = runpy.run_path(str(ROOT / "changes" / "collect.py"))["with_fragments"]()
    else:
        text = (ROOT / name).read_text(encoding="utf-8")
    return text.replace("](docs/", "](")


def command_lines() -> Iterator[str]:
    """Markdown lines of every command with its arguments and options."""
    yield from _command("wsipipe", typer.main.get_command(app))


def _command(name: str, command: Any) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    yield from (f"## {name}", "", _text(command.help), "")
    if not inner or name == "wsipipe":
        yield from _parameters(name, command)
    if command.epilog:
        yield from ("```text", *command.epilog.replace("\b\n", "").splitlines(), "```", "")
    for verb, each in sorted(inner.items()):
        yield from _command(f"{name} {verb}", each)


def _parameters(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = [_name(each) if each.required else f"[{_name(each)}]" for each in arguments]
    yield from ("```text", " ".join([name, *words, "[OPTIONS]"]), "```", "")
    rows = [(f"`{_name(each)}`", each) for each in arguments]
    for each in command.params:
        if each.param_type_name == "option" and not each.hidden:
            rows.append((", ".join(f"`{option}`" for option in (*each.opts, *each.secondary_opts)), each))
    if rows:
        yield from ("| argument or option | meaning |", "|---|---|")
        yield from (f"| {names} | {_text(each.help)}{_default(each)} |" for names, each in rows)
        yield ""


def _name(argument: Any) -> str:
    return f"{argument.metavar or argument.name.upper()}{'...' if argument.nargs == -1 else ''}"


def _default(parameter: Any) -> str:
    default = parameter.default
    shown = isinstance(default, str | int | float) and not isinstance(default, bool) and default != ""
    return f" Default: `{default}`." if shown else ""


def _text(text: str | None) -> str:
    words = " ".join((text or "").split())
    return words.replace("|", "\\|").replace("<", "&lt;")


def error_lines() -> Iterator[str]:
    """Markdown lines of every error class and every exit code."""
    yield from ("| code | exit code | exception | what happened |", "|---|---|---|---|")
    for kind in _kinds(WsipipeError):
        summary = _text((kind.__doc__ or "").split("\n\n")[0])
        link = f"[`{kind.__name__}`](api/errors.md#{kind.__module__}.{kind.__name__})"
        yield f"| `{kind.code}` | {int(kind.exit_code)} | {link} | {summary} |"
    yield from ("", "| exit code | name |", "|---|---|")
    yield from (f"| {int(code)} | `{code.name}` |" for code in ExitCode)


def _kinds(kind: type[WsipipeError]) -> Iterator[type[WsipipeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


def key_lines() -> Iterator[str]:
    """Markdown lines of every section and key of a workflow."""
    texts = _attributes(Workflow)
    yield from ("| key | meaning | default |", "|---|---|---|")
    for name, field in Workflow.model_fields.items():
        if section_of(field.annotation) is None:
            yield f"| `{name}` | {texts[name]} | {_shown(field)} |"
    for name, field in Workflow.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            absent = "" if field.default is not None else " Without this section the stage is not run."
            yield from ("", f"## {name}", "", f"{texts[name]}{absent}", "")
            yield from _keys_of(section)


def _keys_of(section: type[BaseModel]) -> Iterator[str]:
    texts = _attributes(section)
    if section.model_fields:
        yield from ("| key | type | meaning | default |", "|---|---|---|---|")
    for name, field in section.model_fields.items():
        kind = _text(getattr(field.annotation, "__name__", "") or str(field.annotation))
        yield f"| `{name}` | {kind} | {texts[name]} | {_shown(field)} |"


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Texts of the attributes in the docstrings of a model and its bases."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        text = inspect.cleandoc(vars(kind).get("__doc__") or "")
        listed = text.partition("Attributes:")[2]
        for name, meaning in re.findall(r"(?ms)^    (\w+): (.*?)(?=^    \w|^\S|\Z)", listed):
            found[name] = re.sub(r"\b[Uu]m\b", "µm", _text(meaning)).replace("um2", "µm²")
    return found


def _shown(field: Any) -> str:
    default = field.default
    if default is PydanticUndefined:
        return "must be given"
    return "" if default is None or default == "" else f"`{default}`"


def column_lines() -> Iterator[str]:
    """Markdown lines of every column of the nuclei table."""
    always = [*published_schema(nuclei_schema())]
    yield from ("## nuclei.parquet", "", "| column | type | may be empty | meaning |", "|---|---|---|---|")
    yield from (_column(field) for field in always)
    for title, fields in (
        ("With weights that know types of nuclei", TYPE_FIELDS),
        ("With `measure.positivity`", POSITIVITY_FIELDS),
    ):
        yield from ("", f"{title}:", "", "| column | type | may be empty | meaning |", "|---|---|---|---|")
        yield from (_column(field, "[types and positivity](../types.md)") for field in fields)


def _column(field: Any, otherwise: str = "[results on disk](../outputs.md)") -> str:
    meaning = _meanings().get(field.name, otherwise)
    return f"| `{field.name}` | {field.type} | {'yes' if field.nullable else 'no'} | {meaning} |"


def _meanings() -> dict[str, str]:
    """Meaning of each column by the tables of the pages that explain them."""
    found: dict[str, str] = {}
    meaning = ""
    for page in EXPLAINED:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for names, unit, own in re.findall(r"(?m)^\| (`[\w`, ]+`) \|([^|]*)\| (.*) \|$", text):
            meaning = meaning if own == "the same" else own
            shown = f"{meaning} ({unit.strip()})" if unit.strip() else meaning
            found |= dict.fromkeys(re.findall(r"`(\w+)`", names), shown)
    return {name: re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text) for name, text in found.items()}
