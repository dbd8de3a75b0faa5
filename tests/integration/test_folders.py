"""A nested folder as found on a server: every slide once, every failure reported."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from wsipipe.errors import ExitCode
from wsipipe.pipeline.run import Resources, run
from wsipipe.tiling.collect import collect

pytestmark = pytest.mark.timeout(1200)
SMALL = ["tile.mpp=1", "tile.shard_px=256", "tile.chunk_px=128"]
GOOD = ["a.tif", "case-1/b.tif", "case-2/deep/er/one.dcm", "case-2/deep/er/two.dcm", "case-3", "d.zarr"]
BAD = ["case-4/m.mrxs", "case-5/gone.svs", "case-5/junk.svs", "case-5/long.vms", "case-5/x.dcm", "lost+found"]


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (128, 192, 3), dtype=np.uint8)


def write_tiff(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, pixels(), photometric="rgb", tile=(64, 64), resolution=(1e4, 1e4), resolutionunit="CENTIMETER"
    )


def write_zarr(path: Path) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.create_array("0", data=pixels().transpose(2, 0, 1), chunks=(3, 64, 64))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    transforms = [{"type": "scale", "scale": [1, 1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": transforms}]
    group.attrs.update({"ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}})


def write_text(path: Path, text: str = "junk") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def folder(tmp_path: Path, write_dicom: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Good, broken, MIRAX-like, DICOM and OME-Zarr slides, and a subfolder that cannot be listed."""
    root = tmp_path / "slides"
    for name in ("a.tif", "case-1/b.tif"):
        write_tiff(root / name)
    write_tiff(Path(os.fsdecode(os.fsencode(root) + b"/nu-\xff.tif")))
    write_zarr(root / "d.zarr")
    for number, name in enumerate(("case-2/deep/er/one", "case-2/deep/er/two", "case-3/three")):
        series = f"1.2.3.{number}"
        write_dicom(root / f"{name}.dcm", pixels(), series)
        write_dicom(root / f"{name}-label", pixels()[:16, :16].copy(), series, 2, "LABEL")
    for name in ("m.mrxs", "m/Slidedat.ini", "m/Data0000.dat", "m/preview.jpg", "readme.txt"):
        write_text(root / "case-4" / name)
    write_text(root / "case-5/junk.svs")
    write_text(root / "case-5/x.dcm")
    write_text(root / "case-5/long.vms", f"[Virtual]\nImageFile={'x' * 400}\n")
    (root / "case-5/gone.svs").symlink_to("nowhere.svs")
    (root / "case-5/again").symlink_to(root)
    (root / "lost+found").mkdir(mode=0)
    if os.access(root / "lost+found", os.R_OK):  # by root, whom permissions do not stop
        real = os.scandir

        def scandir(path: str | Path | int = ".") -> object:
            if not isinstance(path, int) and Path(path).name == "lost+found":
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
    return root


def test_each_slide_once_each_failure_reported_the_rest_done(folder: Path, scheduler: str) -> None:
    out = folder / "results"
    result = run("tiling_only", folder, out, settings=SMALL, resources=Resources(scheduler=scheduler))
    named = {os.fsencode(slide.path.relative_to(folder)).decode("latin-1"): slide for slide in result.slides}
    good, bad = [*GOOD, "nu-ÿ.tif"], [*BAD]
    assert sorted(named) == sorted(good + bad)
    assert len(result.slides) == len(named)
    assert {name: named[name].status for name in named} == dict.fromkeys(good, "done") | dict.fromkeys(
        bad, "failed"
    )
    assert {named[name].code for name in bad} == {"SLIDE_UNREADABLE"}
    for name in bad:
        assert Path(name).name in named[name].message
    assert result.exit_code == ExitCode.SOME_SLIDES_FAILED

    entries = json.loads((out / "run.json").read_text())["slides"]
    assert sorted(entry["path"] for entry in entries) == sorted(str(slide.path) for slide in result.slides)
    page = (out / "report.html").read_text()
    assert all(slide.slide_id in page for slide in result.slides)
    # The results that now lie among the slides are none.
    assert [slide.slide_id for slide in collect([folder])] == [slide.slide_id for slide in result.slides]
    assert [slide.slide_id for slide in collect([f"{folder}/**"])] == [
        slide.slide_id for slide in result.slides
    ]
