"""The application that verbs join, its two consoles, and the options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wsipipe.notice import NOTICE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=f"Whole-slide pathology whose answer does not depend on which way the tissue lay. {NOTICE}",
)
# File names and error texts hold square brackets, which are no markup.
console = Console(markup=False, highlight=False)
complaints = Console(stderr=True, markup=False, highlight=False)

Mpp = Annotated[float | None, typer.Option(help="Um per px of level 0, over what the slide says.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of the results.")]
Workers = Annotated[int | None, typer.Option(min=1, help="CPU processes; default one a core.")]
DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")]
