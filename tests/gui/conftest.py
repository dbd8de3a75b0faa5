"""A virtual display of our own, and a small finished slide written by the store's own functions."""

import ctypes
import os
import shutil
import subprocess
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

# Mesa brings an LLVM of its own: Triton, which torch's optimisers import, crashes if it is loaded after it.
with suppress(ImportError):
    import_module("torch._dynamo")

from wsipipe.review.sample import make_sample
from wsipipe.store.result import Result

PACKAGES = (
    "xvfb libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 "
    "libdbus-1-3 libfontconfig1 libglib2.0-0"
)


def _skip(reason: str) -> None:
    pytest.skip(
        f"{reason}; napari is not looked at. On Debian: apt-get install -y --no-install-recommends {PACKAGES}"
    )


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """A screen that nobody sees, ended with the tests; napari's settings stay in a scratch folder."""
    pytest.importorskip("napari", reason="napari is absent: pip install 'wsipipe[review]'")
    if not shutil.which("Xvfb"):
        _skip("there is no Xvfb")
    _need_qt_libraries()
    numbers, tells = os.pipe()
    command = ["Xvfb", "-displayfd", str(tells), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[tells], stderr=subprocess.DEVNULL)
    os.close(tells)
    with os.fdopen(numbers) as told, pytest.MonkeyPatch.context() as patch:
        number = told.readline().strip()
        assert number, "Xvfb did not start"
        patch.setenv("DISPLAY", f":{number}")
        patch.setenv("QT_QPA_PLATFORM", "xcb")
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield
    server.terminate()
    server.wait(10)


def _need_qt_libraries() -> None:
    """Qt ends the whole process where one is missing, so they are tried first."""
    try:
        from PyQt6.QtCore import QLibraryInfo

        plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
        for library in ("libGL.so.1", "libEGL.so.1", str(plugins / "platforms" / "libqxcb.so")):
            ctypes.CDLL(library)
    except (ImportError, OSError) as error:
        _skip(f"a library of Qt is missing ({error})")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Result:
    """A finished slide of 512 x 512 px at 0.5 um/px with every kind of layer; two levels each."""
    return make_sample(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def make_result():
    """(work folder, image) -> a result like ``finished``, with or without image."""
    return make_sample
