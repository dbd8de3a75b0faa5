"""The verb that turns pickled weights into safetensors."""

from pathlib import Path
from typing import Annotated

import typer

from wsipipe.cli.models import models_app
from wsipipe.cli.shared import AsJson, console, print_json


@models_app.command("convert")
def convert_weights(
    source: Annotated[Path, typer.Argument(help="A .pt, .pth or .ckpt file that you trust.")],
    to: Annotated[Path, typer.Option("--to", dir_okay=False, help="The .safetensors file to write.")],
    as_json: AsJson = False,
) -> None:
    """Converts pickled weights once; nothing else of wsipipe ever reads a pickle."""
    from wsipipe.models.cards.unpickle import unpickle

    names = unpickle(source, to)
    if as_json:
        print_json({"path": str(to), "tensors": names})
        return
    console.print(f"{to}: {len(names)} tensors. Write its card beside it before it is used.", soft_wrap=True)
