"""The application, its consoles, and the options shared by several commands."""

import json
import math
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

from wsipipe.common.about import RESEARCH_USE_NOTICE

ORDER = (
    *("run", "demo", "plan", "status", "retry", "view", "review", "export", "import", "compare", "verify"),
    *("clean", "info", "index", "cores", "workflow", "models", "certify", "train", "evaluate", "synth"),
    *("doctor", "version"),
)
"""Commands in the order in which people need them."""


class _OrderedCommands(TyperGroup):
    """The commands in the order of :data:`ORDER`; options of the program may stand anywhere."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse words of which the options of the program come first."""
        return super().parse_args(ctx, program_options_first(args))


def program_options_first(words: Sequence[str]) -> list[str]:
    """Move ``--debug`` and ``--log-level`` before the command; they may stand anywhere."""
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(words)
    for word in waiting:
        if word == "--":
            rest += [word, *waiting]
        elif word == "--log-level":
            first += [word, *islice(waiting, 1)]
        elif word == "--debug" or word.startswith("--log-level="):
            first.append(word)
        else:
            rest.append(word)
    return [*first, *rest]


app = typer.Typer(
    cls=_OrderedCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Help in boxes would import a parser of Markdown, and take twice as long.
    rich_markup_mode=None,
    help="Nuclei segmentation and tissue classification for whole-slide images, with results that do not "
    f"depend on slide orientation or tiling. {RESEARCH_USE_NOTICE}",
)
# Square brackets in file names and error messages are not markup.
console = Console(markup=False, highlight=False)
stderr = Console(stderr=True, markup=False, highlight=False)


def _named_folder(text: str) -> Path:
    """Return the path of a folder.

    An empty name, for example of an unset variable, would be the current folder.

    Raises:
        BadParameter: The name is empty, or names a file.
    """
    if not text:
        raise typer.BadParameter("the name is empty; name a folder.")
    if Path(text).exists() and not Path(text).is_dir():
        raise typer.BadParameter(f"{text} is a file; name a folder.")
    return Path(text)


Mpp = Annotated[
    float | None, typer.Option(min=0.05, max=20, help="um/px of level 0; overrides the slide's own value.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Out = Annotated[Path, typer.Option("--out", parser=_named_folder, help="Folder for the results.")]
Results = Annotated[
    Path, typer.Argument(metavar="OUT", parser=_named_folder, help="Results folder: the --out of a run.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Number of CPU processes; default one per core.")]
DeviceName = Annotated[str, typer.Option("--device", help="Device of the networks: cpu, cuda or auto.")]


def print_json(data: object) -> None:
    """Print data as JSON in ASCII, without colours."""
    typer.echo(json.dumps(_finite(data), indent=2, allow_nan=False))


def _finite(data: object) -> object:
    """Replace NaN and infinity, which JSON does not have, by null."""
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on a terminal, and plain lines elsewhere.

    Args:
        columns: Names of the columns; the last one may have long texts.
        rows: Texts of each row.
    """
    lines = [list(columns), *([_one_line(text) for text in row] for row in rows)]
    if console.is_terminal:
        table = Table(*(Column(name, overflow="fold") for name in columns))
        for line in lines[1:]:
            table.add_row(*line)
        console.print(table)
        return
    widths = [max(len(text) for text in column) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        console.print("  ".join([*padded[:-1], line[-1]]).rstrip(), soft_wrap=True)


def _one_line(text: str) -> str:
    return text.replace("\n", " ")
