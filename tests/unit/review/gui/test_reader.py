"""The napari plugin reads slides by their endings and its own results, nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import wsipipe.review
from wsipipe.review.gui import reader
from wsipipe.review.gui.reader import SLIDE_ENDINGS, get_reader
from wsipipe.store.result import Result

SLOW = ("torch", "napari", "zarr", "dask", "pyarrow", "numpy", "openslide", "tifffile")
OTHERS = (
    *("a", "a.png", "a.PNG", "a.jpg", "a.tif", "a.tiff"),
    *("a.ome.tif", "a.zarr", "a.npy", "a.csv", "a.dcm", "a.svs.png"),
)


def candidates(path: Path, patterns: list[str] | None = None) -> list[str]:
    """Readers that napari would offer for a path."""
    npe2 = pytest.importorskip("npe2", reason="npe2 is absent: pip install 'wsipipe-gmr[review]'")
    manifest = npe2.PluginManifest.from_file(Path(wsipipe.review.__file__).with_name("napari.yaml"))
    if patterns is not None:
        manifest.contributions.readers[0].filename_patterns = patterns
    manager = npe2.PluginManager()
    manager.register(manifest)
    return [one.command for one in manager.iter_compatible_readers([str(path)])]


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_left_to_other_readers(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert candidates(tmp_path / name) == []
    assert get_reader(str(tmp_path / name)) is None


def test_the_check_sees_a_reader_that_claims_everything(tmp_path: Path) -> None:
    assert candidates(tmp_path / "a.png", ["*.svs", "*"]) == ["wsipipe.get_reader"]


@pytest.mark.parametrize("ending", [*SLIDE_ENDINGS, ".SVS", ".Ndpi"])
def test_slides_are_claimed_by_their_endings(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.b{ending}"
    assert candidates(path) == ["wsipipe.get_reader"]
    assert get_reader(str(path)) is None
    path.write_bytes(b"")
    assert get_reader(str(path)) is reader.read_slide


def test_folders_are_claimed_where_they_are_results(pristine: Result) -> None:
    assert candidates(pristine.folder) == ["wsipipe.get_reader"]
    for path in (pristine.folder, pristine.store):
        assert get_reader(str(path)) is reader.read_result


@pytest.mark.parametrize(
    "about", ["", "{}", "[]", "3", '{"attributes": null}', '{"attributes": {"ome": {}}}', "[" * 100_000, None]
)
def test_other_folders_are_refused_without_an_error(tmp_path: Path, about: str | None) -> None:
    for store in (tmp_path / "other.zarr", tmp_path / "slide" / "slide.zarr"):
        store.mkdir(parents=True)
        if about is not None:
            (store / "zarr.json").write_text(about)
        assert get_reader(str(store)) is None
        assert get_reader(str(store.parent)) is None


def test_a_path_is_judged_without_slow_imports(pristine: Result, tmp_path: Path) -> None:
    code = f"""
import json, sys
from wsipipe.review.gui.reader import get_reader
found = [bool(get_reader(path)) for path in ({str(pristine.folder)!r}, {str(tmp_path)!r}, "a.png")]
print(json.dumps([found, [name for name in {SLOW!r} if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[True, False, False], []]
