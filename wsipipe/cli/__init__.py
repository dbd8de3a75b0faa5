"""What the user types: each verb parses, calls one function, prints, and returns an exit code."""

import errno
import logging
import os
import sys
import warnings
from typing import TextIO

import typer

from wsipipe.cli import evaluate, models, results, review, run, slides, train, versions
from wsipipe.cli.shared import app, console, stderr
from wsipipe.common.about import __version__
from wsipipe.errors import ExitCode, StorageError, WsipipeError

__all__ = [
    "app",
    "evaluate",
    "main",
    "models",
    "results",
    "review",
    "run",
    "slides",
    "train",
    "versions",
]

_NO_SUCH_PLACE = {
    errno.EEXIST,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
}


@app.command()
def version() -> None:
    """Prints the version."""
    console.print(__version__)


def main() -> None:
    """Entry point: exit codes of ``errors.ExitCode``; bad input gets one paragraph, never a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    warnings.simplefilter("default", UserWarning)
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        # A file's name may hold bytes that are no text, and a terminal may know few letters.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
    except WsipipeError as error:
        stderr.print(f"{error.code}: {error}", style="red", soft_wrap=True)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except typer.TyperException as error:
        # Where help was printed in place of a message, there is nothing to add.
        if text := error.format_message().rstrip("."):
            stderr.print(f"{text}{'' if text[-1] == '?' else '.'} See {_help_command()}.", soft_wrap=True)
        code = ExitCode.USAGE
    except BrokenPipeError:
        # Whoever read the output, as ``head`` does, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except OSError as error:
        code = _os_error(error)
    if code == ExitCode.INTERRUPTED:
        stderr.print("interrupted; finished shards are kept, the same command goes on from there")
    sys.exit(int(code or 0))


def _os_error(error: OSError) -> ExitCode:
    """Tell what the file system refused; a place that cannot be is a wrong name, not a fault of the disk."""
    about = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
    if error.errno in _NO_SUCH_PLACE:
        stderr.print(f"CONFIG: {about}. Name another path.", style="red", soft_wrap=True)
        return ExitCode.USAGE
    text = f"{about}. Check the disk and the permissions there, then run the same command again."
    stderr.print(f"{StorageError.code}: {text}", style="red", soft_wrap=True)
    return StorageError.exit_code


def _help_command() -> str:
    """The command that tells how the verb that was typed is used."""
    commands = vars(typer.main.get_command(app))["commands"]
    verbs = []
    for word in sys.argv[1:]:
        if word not in commands:
            break
        verbs.append(word)
        commands = getattr(commands[word], "commands", {})
    return " ".join(["wsipipe", *verbs, "--help"])


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as one line, without the place in the code that gave it."""
    stderr.print(f"WARNING {message}", soft_wrap=True)
