"""Generate the pages of the site that follow from the code: commands, errors, contributing, changelog."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from wsipipe.cli import app
from wsipipe.errors import ExitCode, WsipipeError

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
FROM_ROOT = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
COMMANDS, ERRORS = "<!-- generated: commands -->", "<!-- generated: errors -->"
NOTEBOOK = re.compile(r"<!-- generated: notebook (\w+) -->")


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages whose source is at the root of the repository."""
    from mkdocs.structure.files import File

    for name, source in FROM_ROOT.items():
        files.append(File.generated(config, name, content=from_root(source)))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Replace the markers of generated text."""
    for marker, lines in ((COMMANDS, command_lines), (ERRORS, error_lines)):
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
        yield from ("```text", *command.epilog.splitlines(), "```", "")
    for verb, each in sorted(inner.items()):
        yield from _command(f"{name} {verb}", each)


def _parameters(name: str, command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = [_name(each) if each.required else f"[{_name(each)}]" for each in arguments]
    yield from ("```text", " ".join([name, *words, "[OPTIONS]"]), "```", "")
    rows = [(f"`{_text(_name(each))}`", each) for each in arguments]
    for each in command.params:
        if each.param_type_name == "option" and not each.hidden:
            rows.append((", ".join(f"`{option}`" for option in (*each.opts, *each.secondary_opts)), each))
    if rows:
        yield from ("| | |", "|---|---|")
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
