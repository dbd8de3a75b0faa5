"""A virtual display of our own, and a small finished slide written by the store's own functions."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe import manifest, ome
from wsipipe.geometry import Region
from wsipipe.notice import NOTICE
from wsipipe.publish import NOT_COMPUTED_CLASS, RGB_CHANNELS, TISSUE_CLASS
from wsipipe.quantise import NOT_COMPUTED, quantise
from wsipipe.results import Result, open_result
from wsipipe.stages.pyramid import mode_of_four, rgb_mean
from wsipipe.store import RESULT, ArraySpec, array_path, create_array, write_shards
from wsipipe.synth.slide import SyntheticSlide

PACKAGES = (
    "xvfb libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 "
    "libdbus-1-3 libfontconfig1 libglib2.0-0"
)
SIDE_PX, MPP, CLASS_DOWNSAMPLE = 512, 0.5, 32
CLASSES = (ome.LabelClass(0, "stroma", (230, 60, 200)), ome.LabelClass(1, "gland", (40, 90, 240)))


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
    return _make_result(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def make_result():
    """(work folder, image) -> a result like ``finished``, with or without image."""
    return _make_result


def _make_result(work: Path, image: bool = True) -> Result:
    """Nuclei are the synthetic slide's own; classes have a half each, the last row is not computed."""
    slide, whole = SyntheticSlide(3, SIDE_PX, MPP), Region(0, 0, SIDE_PX, SIDE_PX)
    nuclei = slide.nuclei(whole)
    classes = np.zeros((SIDE_PX // CLASS_DOWNSAMPLE,) * 2, np.uint8)
    classes[:, 8:], classes[-1] = 1, NOT_COMPUTED
    root = work / RESULT / "slide.zarr"
    zarr.create_group(root, attributes=_root_attributes(image))
    if image:
        rgb = slide.rgb(whole)
        _write(work, "image/0", np.moveaxis(rgb, 2, 0))
        _write(work, "image/1", rgb_mean(rgb))
    _write_labels(
        work,
        "tissue",
        slide.tissue(Region(0, 0, SIDE_PX // 16, SIDE_PX // 16), 16).astype(np.uint8),
        16,
        [TISSUE_CLASS, NOT_COMPUTED_CLASS],
    )
    _write_labels(work, "tissue_class", classes, CLASS_DOWNSAMPLE, [*CLASSES, NOT_COMPUTED_CLASS])
    _write_labels(work, "nuclei", nuclei, 1, [])
    _write_probability(work, "nucleus", quantise((nuclei > 0).astype(np.float32)), 1, ())
    shares = np.where(
        classes == NOT_COMPUTED, np.uint8(NOT_COMPUTED), quantise(np.stack([classes == 0, classes == 1]))
    )
    _write_probability(work, "tissue_class", shares, CLASS_DOWNSAMPLE, CLASSES)
    manifest.write(work, manifest.build("0" * 64, []))
    return open_result(work / RESULT)


def _root_attributes(image: bool) -> dict[str, object]:
    scales = ome.multiscale("image", 2, MPP, 1, channels=True, kind="mean")
    shown = ome.image_attributes("image", scales, RGB_CHANNELS) if image else {}
    return shown | {"wsipipe": {"slide_id": "synthetic-3", "notice": NOTICE}}


def _write(work: Path, name: str, pixels: np.ndarray) -> None:
    side = pixels.shape[-1]
    create_array(work, ArraySpec(name, pixels.shape, pixels.dtype.name, 0, side, min(side, 256)))
    write_shards(work, name, Region(0, 0, side, side), pixels, "low")


def _write_labels(work, name, pixels, downsample, classes) -> None:
    scales = ome.multiscale(name, 2, MPP, downsample, channels=False, kind="mode")
    folder = work / array_path(f"labels/{name}")
    zarr.create_group(folder, attributes=ome.label_attributes(scales, classes))
    _write(work, f"labels/{name}/0", pixels)
    _write(work, f"labels/{name}/1", mode_of_four(pixels))


def _write_probability(work, name, pixels, downsample, classes) -> None:
    scales = ome.multiscale(name, 1, MPP, downsample, channels=bool(classes), kind="none")
    folder = work / array_path(f"probabilities/{name}")
    zarr.create_group(folder, attributes=ome.image_attributes(name, scales, classes))
    _write(work, f"probabilities/{name}/0", pixels)
