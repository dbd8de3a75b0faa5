"""The command line: each command parses, calls one function and prints.

Commands return an exit code of ``errors.ExitCode``.
"""

import errno
import os
import sys

import typer

from wsipipe.cli import (
    compare,
    doctor,
    evaluate,
    export,
    import_nuclei,
    models,
    plan,
    results,
    review,
    run,
    slides,
    train,
    versions,
    workflow,
)
from wsipipe.cli.examples import add_examples
from wsipipe.cli.logs import print_traceback, start_logging
from wsipipe.cli.shared import app, console, stderr
from wsipipe.common.about import __version__
from wsipipe.common.distribution import refuse_clash
from wsipipe.errors import ExitCode, StorageError, WsipipeError

__all__ = [
    "app",
    "compare",
    "doctor",
    "evaluate",
    "export",
    "import_nuclei",
    "main",
    "models",
    "plan",
    "results",
    "review",
    "run",
    "slides",
    "train",
    "versions",
    "workflow",
]

_NO_SUCH_PATH = {
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
    """Print the version of wsipipe."""
    console.print(__version__)


add_examples(app)


def main() -> None:
    """Run the command line and exit.

    Exit codes are those of ``errors.ExitCode``. Wrong input gives one paragraph, and a traceback in its place
    only with ``--debug``.
    """
    start_logging()
    try:
        refuse_clash()
        code = app(standalone_mode=False, prog_name="wsipipe")
    except WsipipeError as error:
        if not print_traceback():
            stderr.print(f"{error.code}: {error}", style="red", soft_wrap=True)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except typer.TyperException as error:
        # Where help was printed instead of a message, there is nothing to add.
        if text := error.format_message().rstrip("."):
            stderr.print(f"{text}{'' if text[-1] == '?' else '.'} See {_help_command()}.", soft_wrap=True)
        code = ExitCode.USAGE
    except BrokenPipeError:
        # The reader of the output, such as ``head``, has closed it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.OK
    except OSError as error:
        print_traceback()
        code = _os_error(error)
    if code == ExitCode.INTERRUPTED:
        stderr.print("Interrupted. Finished shards are kept; run the same command again to resume.")
    sys.exit(int(code or 0))


def _os_error(error: OSError) -> ExitCode:
    """Print an error of the file system and return its exit code.

    A path that cannot exist is a usage error, not a fault of the disk.
    """
    about = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error)
    if error.errno in _NO_SUCH_PATH:
        stderr.print(f"CONFIG: {about}. Name another path.", style="red", soft_wrap=True)
        return ExitCode.USAGE
    text = f"{about}. Check the disk and the permissions there, then run the same command again."
    stderr.print(f"{StorageError.code}: {text}", style="red", soft_wrap=True)
    return StorageError.exit_code


def _help_command() -> str:
    """Return the command that shows the help for the given command."""
    commands = vars(typer.main.get_command(app))["commands"]
    given = []
    for word in sys.argv[1:]:
        if word not in commands:
            break
        given.append(word)
        commands = getattr(commands[word], "commands", {})
    return " ".join(["wsipipe", *given, "--help"])
