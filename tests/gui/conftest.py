"""A virtual display and a small finished slide."""

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
        f"{reason}; napari is not tested. On Debian: apt-get install -y --no-install-recommends {PACKAGES}"
    )


@pytest.fixture(scope="session")
def display(tmp_path_factory):
    """A virtual screen; napari's settings are in a temporary folder."""
    pytest.importorskip("napari", reason="napari is absent: pip install 'wsipipe-gmr[review]'")
    if not shutil.which("Xvfb"):
        _skip("there is no Xvfb")
    _need_qt_libraries()
    numbers, written = os.pipe()
    command = ["Xvfb", "-displayfd", str(written), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[written], stderr=subprocess.DEVNULL)
    os.close(written)
    with os.fdopen(numbers) as numbers_read, pytest.MonkeyPatch.context() as patch:
        number = numbers_read.readline().strip()
        assert number, "Xvfb did not start"
        patch.setenv("DISPLAY", f":{number}")
        patch.setenv("QT_QPA_PLATFORM", "xcb")
        patch.setenv("NAPARI_CONFIG", str(tmp_path_factory.mktemp("napari") / "settings.yaml"))
        yield
    server.terminate()
    server.wait(10)


def _need_qt_libraries() -> None:
    """Skip if a library is missing, since Qt would end the process."""
    try:
        from PyQt6.QtCore import QLibraryInfo

        plugins = Path(QLibraryInfo.path(QLibraryInfo.LibraryPath.PluginsPath))
        for library in ("libGL.so.1", "libEGL.so.1", str(plugins / "platforms" / "libqxcb.so")):
            ctypes.CDLL(library)
    except (ImportError, OSError) as error:
        _skip(f"a library of Qt is missing ({error})")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Result:
    """A finished slide of 512 x 512 px at 0.5 µm/px with every kind of layer."""
    return make_sample(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def make_result():
    """Function that writes a result like ``finished``, given a folder and whether it has an image."""
    return make_sample
