"""The application that verbs join, what they print with, and the options that several verbs share."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from wsipipe.common.about import RESEARCH_USE_NOTICE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Nuclei segmentation and tissue classification for whole-slide images, with results that do not "
    f"depend on slide orientation or tiling. {RESEARCH_USE_NOTICE}",
)
# File names and error texts hold square brackets, which are no markup.
console = Console(markup=False, highlight=False)
stderr = Console(stderr=True, markup=False, highlight=False)


def _named_folder(text: str) -> Path:
    """A folder as typed; an empty name, as of a variable that is not set, would be the present folder.

    Raises:
        BadParameter: It is empty, or a file.
    """
    if not text:
        raise typer.BadParameter("the name is empty; name a folder.")
    if Path(text).exists() and not Path(text).is_dir():
        raise typer.BadParameter(f"{text} is a file; name a folder.")
    return Path(text)


Mpp = Annotated[
    float | None, typer.Option(min=0.05, max=20, help="Um per px of level 0, over what the slide says.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Out = Annotated[Path, typer.Option("--out", parser=_named_folder, help="Folder of the results.")]
Results = Annotated[
    Path, typer.Argument(metavar="OUT", parser=_named_folder, help="Folder that was given to --out.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU processes; default one a core.")]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")]


def print_json(data: Any) -> None:
    """Print data as JSON in ASCII, whatever the terminal, its colours and the letters of file names."""
    typer.echo(json.dumps(_finite(data), indent=2, allow_nan=False))


def _finite(data: Any) -> Any:
    """The same data with null for numbers that JSON does not know: NaN and infinity."""
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table on a terminal, and elsewhere plain lines with whole words.

    Args:
        columns: Their names; the last one may hold long texts.
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
