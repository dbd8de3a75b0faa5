"""The page that adds a slide reader is followed as it stands: its files are written, registered and used."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.errors import ConfigError, SlideError
from wsipipe.geometry import Region
from wsipipe.tiling.collect import collect
from wsipipe.tiling.readers.plugins import GROUP, added_formats
from wsipipe.tiling.slide import open_slide

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "slide_reader.md"
HEIGHT, WIDTH, SIDE = 700, 900, 256


def files_of(page: str) -> dict[str, str]:
    """Text of each file that a page gives, by name."""
    return dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of imports, in which packages can be installed for one test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    added_formats.cache_clear()
    yield folder
    added_formats.cache_clear()
    sys.modules.pop("png_tiles", None)


def install(site: Path, files: dict[str, str]) -> None:
    """Do what an installer does with a package: copy its modules, and write its entry points."""
    project = tomllib.loads(files["pyproject.toml"])["project"]
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"][GROUP].items())
    metadata = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    for name in files.keys() - {"pyproject.toml"}:
        (site / name).write_text(files[name])


def project(name: str, target: str) -> str:
    """The ``pyproject.toml`` of a package with one reader."""
    return f'[project]\nname = "{name}"\nversion = "1"\n[project.entry-points."{GROUP}"]\n{name} = "{target}"'


@pytest.fixture
def tiles(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A folder of PNG tiles, as the page describes it, and its pixels."""
    folder = tmp_path / "slides" / "tiles"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    (index,) = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (folder / "tiles.json").write_text(index)
    for row in range(-(-HEIGHT // SIDE)):
        for column in range(-(-WIDTH // SIDE)):
            part = pixels[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            Image.fromarray(part).save(folder / f"{row}_{column}.png")
    return folder, pixels


def test_the_reader_of_the_page_reads_every_pixel(site: Path, tiles: tuple[Path, np.ndarray]) -> None:
    install(site, files_of(PAGE.read_text()))
    folder, pixels = tiles
    with open_slide(folder) as slide:
        assert (slide.vendor, slide.mpp, slide.mpp_source) == ("png-tiles", 0.5, "vendor")
        assert np.array_equal(slide.read(Region(0, 0, HEIGHT, WIDTH), 0.5), pixels)
        assert np.array_equal(slide.read(Region(250, 500, 20, 30), 0.5), pixels[250:270, 500:530])
        (folder / "1_1.png").write_bytes(b"")
        with pytest.raises(SlideError, match="at level 0, y 250, x 500"):
            slide.read(Region(250, 500, 20, 30), 0.5)
        assert np.array_equal(slide.read(Region(0, 0, 20, 30), 0.5), pixels[:20, :30])


def test_the_folder_is_one_slide_of_a_run(site: Path, tiles: tuple[Path, np.ndarray]) -> None:
    install(site, files_of(PAGE.read_text()))
    folder, _ = tiles
    for given in (folder, folder.parent, folder.parent / "*"):
        assert [slide.path for slide in collect([given])] == [folder]


def test_the_example_of_use_runs(
    site: Path, tiles: tuple[Path, np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    page = PAGE.read_text()
    install(site, files_of(page))
    folder, pixels = tiles
    names: dict[str, np.ndarray] = {}
    with chdir(folder.parent.parent):
        exec(re.findall(r"\n```python\n(.*?)```", page, re.DOTALL)[-1], names)
    assert capsys.readouterr().out == "png-tiles 0.5 vendor\n"
    assert np.array_equal(names["pixels"], pixels[200:300, 200:300])


def test_another_process_finds_the_reader(site: Path, tiles: tuple[Path, np.ndarray]) -> None:
    install(site, files_of(PAGE.read_text()))
    code = f"from wsipipe import open_slide; print(open_slide({str(tiles[0])!r}).vendor)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])},
    )
    assert found.stdout == "png-tiles\n"


def test_sister_without_the_entry_point_the_tiles_are_single_images(
    site: Path, tiles: tuple[Path, np.ndarray]
) -> None:
    folder, _ = tiles
    with pytest.raises(SlideError, match=r"neither an OME-Zarr nor a folder of \.dcm files"):
        open_slide(folder)
    assert len(collect([folder])) == len(list(folder.glob("*.png")))


@pytest.mark.parametrize(
    ("target", "cause"), [("absent:FORMAT", "No module named"), ("pathlib:Path", "is no SlideFormat")]
)
def test_a_reader_that_does_not_load_is_named(site: Path, tmp_path: Path, target: str, cause: str) -> None:
    install(site, {"pyproject.toml": project("broken", target)})
    with pytest.raises(ConfigError, match=rf"slide reader broken.*{cause}.*uninstall"):
        open_slide(tmp_path)


def test_a_reader_that_cannot_look_leaves_the_path_to_others(site: Path, tmp_path: Path) -> None:
    files = {
        "denied.py": (
            "from wsipipe.tiling.readers.plugins import SlideFormat\n"
            "def fits(path): raise PermissionError(path)\n"
            "FORMAT = SlideFormat('denied', fits, None)\n"
        ),
        "pyproject.toml": project("denied", "denied:FORMAT"),
    }
    install(site, files)
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    with open_slide(tmp_path / "one.png", mpp=0.5) as slide:
        assert slide.vendor == "png"
    sys.modules.pop("denied")
