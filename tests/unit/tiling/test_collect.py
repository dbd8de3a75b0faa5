import re
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError
from wsipipe.tiling.collect import collect, slide_id_of


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def names(slides):
    return [slide.path.name for slide in slides]


def test_a_file_is_taken_whatever_its_suffix(tmp_path):
    touch(tmp_path, "scan.xyz")
    (slide,) = collect([tmp_path / "scan.xyz"], mpp=0.5)
    assert (slide.mpp, slide.mask_path, slide.sample_id) == (0.5, None, "scan.xyz")


def test_a_folder_gives_its_known_files_by_path_to_any_depth(tmp_path):
    touch(tmp_path, "b.SVS", "a.ome.tif", "notes.txt", ".hidden.svs", "._b.svs", "deep/c.svs")
    assert names(collect([tmp_path])) == ["a.ome.tif", "b.SVS", "c.svs"]


def test_folders_that_are_one_slide(tmp_path):
    touch(
        tmp_path,
        "case/1.dcm",
        "case/2.dcm",
        "case/readme.txt",
        "image.ome.zarr/zarr.json",
        "old.zarr/.zgroup",
    )
    assert names(collect([tmp_path])) == ["case", "image.ome.zarr", "old.zarr"]
    assert [s.sample_id for s in collect([tmp_path])] == ["case", "image", "old"]
    assert names(collect([tmp_path / "case"])) == ["case"]


def test_companions_are_no_slides_of_their_own(tmp_path):
    touch(tmp_path, "m.mrxs", "m/Slidedat.ini", "m/Data0.dat", "v(0,0).jpg", "photo.jpg")
    (tmp_path / "v.vms").write_text("ImageFile=v(0,0).jpg\n")
    assert names(collect([tmp_path])) == ["m.mrxs", "photo.jpg", "v.vms"]


def test_globs(tmp_path):
    touch(tmp_path, "x/a.svs", "x/y/b.svs", "x/y/c.txt")
    assert names(collect([f"{tmp_path}/x/*"])) == ["a.svs"]
    assert names(collect([f"{tmp_path}/**/*.svs"])) == ["a.svs", "b.svs"]
    with pytest.raises(ConfigError, match=r"the glob .*\.ndpi holds no slides"):
        collect([f"{tmp_path}/*.ndpi"])


def test_a_file_whose_name_looks_like_a_glob(tmp_path):
    touch(tmp_path, "a[1].svs")
    assert names(collect([tmp_path / "a[1].svs"])) == ["a[1].svs"]


@pytest.mark.parametrize(
    "name", ["Name, First (1970).svs", "../../etc/passwd", "ü ß.ndpi", "...", "-rf", "a" * 300 + ".svs"]
)
def test_ids_are_safe_names(name):
    slide_id = slide_id_of(Path("/slides") / name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*-[0-9a-f]{8}", slide_id)
    assert len(slide_id) <= 80


def test_ids_tell_apart_files_of_one_name_and_follow_the_path(tmp_path, monkeypatch):
    touch(tmp_path, "a/s.svs", "b/s.svs")
    one, other = collect([tmp_path / "a", tmp_path / "b"])
    assert one.slide_id != other.slide_id
    monkeypatch.chdir(tmp_path)
    assert collect(["a/s.svs"])[0].slide_id == one.slide_id


def test_what_cannot_be_is_refused(tmp_path):
    touch(tmp_path, "a.svs", "empty/readme.txt")
    with pytest.raises(ConfigError, match="no slides were given"):
        collect([])
    with pytest.raises(ConfigError, match=r"no file or folder .*b\.svs"):
        collect([tmp_path / "b.svs"])
    with pytest.raises(ConfigError, match=r"empty holds no slides; .*\.ndpi"):
        collect([tmp_path / "empty"])
    with pytest.raises(ConfigError, match="given 2 times"):
        collect([tmp_path / "a.svs", tmp_path])


def test_a_manifest_and_the_option_that_overrules_it(tmp_path):
    touch(tmp_path, "slides/a.svs", "slides/b.svs", "masks/a.png")
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "sample_id,image_path,mask_path,spacing_at_level_0\n"
        f"A,slides/a.svs,masks/a.png,0.25\nB,{tmp_path}/slides/b.svs,,\n"
    )
    a, b = collect([manifest])
    assert (a.sample_id, a.mpp, a.mask_path) == ("A", 0.25, tmp_path / "masks/a.png")
    assert (b.sample_id, b.mpp, b.mask_path) == ("B", None, None)
    assert a.slide_id == slide_id_of(tmp_path / "slides/a.svs")
    assert [slide.mpp for slide in collect([manifest], mpp=0.5)] == [0.5, 0.5]


def test_real_folders(data_dir):
    assert names(collect([data_dir / "slides/dicom"])) == ["CMU-1-Small-Region"]
    assert "CMU-1-Small-Region.svs" in names(collect([data_dir / "slides"]))
    assert "boxes_0.dcm" in names(collect([data_dir / "slides/broken"]))
