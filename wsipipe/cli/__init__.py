"""What the user types: each verb parses, calls one function, prints, and returns an exit code."""

import io
import logging
import sys
import warnings

import typer

from wsipipe.cli import convert, evaluate, models, review, run, slides, store, train
from wsipipe.cli.app import app, complaints, console
from wsipipe.errors import ExitCode, WsipipeError
from wsipipe.version import __version__

__all__ = ["app", "convert", "evaluate", "main", "models", "review", "run", "slides", "store", "train"]


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(__version__)


def main() -> None:
    """Entry point: exit codes of ``errors.ExitCode``; bad input gets one paragraph, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    warnings.simplefilter("default", UserWarning)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except WsipipeError as error:
        complaints.print(f"{error.code}: {error}", style="red", soft_wrap=True)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except typer.TyperException as error:
        complaints.print(error.format_message(), soft_wrap=True)
        code = ExitCode.USAGE
    if code == ExitCode.INTERRUPTED:
        complaints.print("interrupted; finished shards are kept, the same command goes on from there")
    sys.exit(int(code or 0))
