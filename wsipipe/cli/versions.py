"""Options of the whole program: versions of wsipipe and its libraries, and log messages."""

import platform
from typing import Annotated, Literal

import typer

from wsipipe.cli.logs import set_log_level
from wsipipe.cli.shared import app, console
from wsipipe.common.about import __version__

_ABSENT = "not installed"


def versions() -> dict[str, str]:
    """Return versions by name, including native libraries, without importing torch."""
    from wsipipe.models.kernels.build import state

    return {
        "wsipipe": __version__,
        "python": platform.python_version(),
        "openslide": _openslide(),
        "tifffile": _of("tifffile"),
        "imagecodecs": _imagecodecs(),
        "zarr": _of("zarr"),
        "dask": _of("dask"),
        "torch": _of("torch"),
        "napari": _of("napari"),
        "ring kernel": state(),
    }


def _of(package: str) -> str:
    # It takes a tenth of the time of --help to import.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return _ABSENT


def _openslide() -> str:
    """Describe the OpenSlide version.

    It is that of the package openslide-bin; without it, the system's library is used.
    """
    library = _of("openslide-bin")
    shown = "of the system" if library == _ABSENT else library
    return f"{shown} (openslide-python {_of('openslide-python')})"


def _imagecodecs() -> str:
    """Describe the imagecodecs version and, if known, its TIFF library."""
    try:
        from imagecodecs import tiff_version

        return f"{_of('imagecodecs')} ({tiff_version()})"
    except (ImportError, OSError, RuntimeError):
        return _of("imagecodecs")


def _print(asked: bool) -> None:
    if asked:
        found = versions()
        width = max(map(len, found))
        for name, value in found.items():
            console.print(f"{name:{width}}  {value}", soft_wrap=True)
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print,
            help="Print all versions, native libraries included.",
        ),
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        typer.Option(help="Least level of log messages on the terminal; may stand behind the command."),
    ] = "warning",
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show tracebacks, and write them and every shard to the log of a run; may stand behind "
            "the command.",
        ),
    ] = False,
) -> None:
    set_log_level("debug" if debug else log_level)
