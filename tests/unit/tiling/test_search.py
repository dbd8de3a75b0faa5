"""Folders are searched to any depth; insides of slides and results, links and hidden files are not slides."""

import errno
import os
from pathlib import Path

import pytest

from wsipipe.errors import ConfigError, SlideError
from wsipipe.store import manifest
from wsipipe.tiling import search as searching
from wsipipe.tiling.collect import collect, slide_id_of
from wsipipe.tiling.readers.dispatch import open_reader
from wsipipe.tiling.readers.files import fingerprint, slide_files
from wsipipe.tiling.search import search, search_glob


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    return folder


def under(folder, paths):
    return [path.relative_to(folder).as_posix() for path in paths]


@pytest.fixture
def unlistable(monkeypatch):
    """Makes folders of a name unlistable, also for root."""

    def make(name):
        def refusing(real):
            def call(path="."):
                if not isinstance(path, int) and os.path.basename(os.fspath(path)) == name:
                    raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
                return real(path)

            return call

        # tests/other_systems gives wsipipe a module os of its own.
        for module in {os, searching.os}:
            monkeypatch.setattr(module, "scandir", refusing(os.scandir))
            monkeypatch.setattr(module, "listdir", refusing(os.listdir))

    return make


def test_one_folder_a_slide_as_exports_are_laid(tmp_path):
    touch(tmp_path, "TCGA-1/a.svs", "TCGA-1/annotations.txt", "TCGA-2/x/y/z/b.ndpi", "TCGA-3/logs/c.txt")
    touch(tmp_path, "case/m.mrxs", "case/m/Slidedat.ini", "case/m/Data0000.dat", "case/m/picture.jpg")
    assert under(tmp_path, search(tmp_path)) == ["TCGA-1/a.svs", "TCGA-2/x/y/z/b.ndpi", "case/m.mrxs"]


def test_insides_of_slides_and_results_are_not_slides(tmp_path):
    touch(tmp_path, "a.ome.zarr/zarr.json", "a.ome.zarr/0/zarr.json", "a.ome.zarr/thumb.png")
    touch(tmp_path, "old.zarr/.zattrs", "old.zarr/0/.zarray", "bare/.zgroup", "bare/0/x.png")
    touch(tmp_path, f"out/s-1/{manifest.MANIFEST}", "out/s-1/overview.png", "out/s-1/slide.zarr/zarr.json")
    touch(tmp_path, "out/report.html", "out/.work/s-2.abc/x.png", "s.svs", "s.svs.truth.zarr/zarr.json")
    wanted = ["a.ome.zarr", "bare", "old.zarr", "s.svs"]
    assert under(tmp_path, search(tmp_path)) == wanted
    assert under(tmp_path, search_glob(f"{tmp_path}/**")) == wanted
    assert under(tmp_path, search_glob(f"{tmp_path}/**/*.png")) == []
    assert searching.RESULT_MANIFEST == manifest.MANIFEST


def test_sister_a_picture_in_a_common_folder_is_a_slide(tmp_path):
    touch(tmp_path, "out/s-1/field.png")
    assert under(tmp_path, search(tmp_path)) == ["out/s-1/field.png"]


def test_a_result_among_the_slides_is_passed_over_and_alone_is_refused(tmp_path):
    touch(tmp_path, "a.svs", f"s-1/{manifest.MANIFEST}", "s-1/overview.png")
    assert under(tmp_path, [s.path for s in collect([tmp_path / "a.svs", tmp_path / "s-1"])]) == ["a.svs"]
    with pytest.raises(ConfigError, match="s-1 is a result of wsipipe"):
        collect([tmp_path / "s-1"])


def test_photographs_of_the_glass_and_server_folders_are_not_slides(tmp_path):
    touch(
        tmp_path, "thumbnail.jpg", "a_label.png", "a-macro.JPG", "Overview.webp", "overviews.png", "label.tif"
    )
    touch(tmp_path, "#recycle/x.svs", "@eaDir/y.jpg", "__MACOSX/z.svs", ".snapshot/w.svs", "lost+found/v.svs")
    assert under(tmp_path, search(tmp_path)) == ["label.tif", "lost+found/v.svs", "overviews.png"]
    assert under(tmp_path, [slide.path for slide in collect([tmp_path / "thumbnail.jpg"])]) == [
        "thumbnail.jpg"
    ]


def test_links_lead_to_each_slide_once(tmp_path):
    touch(tmp_path, "b.svs", "real/c.svs", "far/d.svs")
    (tmp_path / "a.svs").symlink_to("b.svs")
    (tmp_path / "again").symlink_to("real")
    for name in ("one", "two"):
        (tmp_path / "real" / name).symlink_to(tmp_path)
    assert under(tmp_path, search(tmp_path)) == ["b.svs", "far/d.svs", "real/c.svs"]
    assert under(tmp_path, search_glob(f"{tmp_path}/**/*.svs")) == ["b.svs", "far/d.svs", "real/c.svs"]
    assert under(tmp_path, search_glob(f"{tmp_path}/again/../**/c.svs")) == ["again/../real/c.svs"]
    outside = tmp_path / "set"
    outside.mkdir()
    (outside / "linked").symlink_to(tmp_path / "far")
    assert under(tmp_path, search(outside)) == ["set/linked/d.svs"]


def test_globs_match_as_the_shell_does(tmp_path):
    touch(tmp_path, "a/1/x.svs", "a/2/y.svs", "b/1/z.svs", "a/w.svs", "a/deep/1/v.svs", "a/.h/u.svs")
    assert under(tmp_path, search_glob(f"{tmp_path}/a/*/*.svs")) == ["a/1/x.svs", "a/2/y.svs"]
    assert under(tmp_path, search_glob(f"{tmp_path}/**/1/*.svs")) == [
        "a/1/x.svs",
        "a/deep/1/v.svs",
        "b/1/z.svs",
    ]
    assert under(tmp_path, search_glob(f"{tmp_path}/[ab]/?/**")) == ["a/1/x.svs", "a/2/y.svs", "b/1/z.svs"]
    assert under(tmp_path, search_glob(f"{tmp_path}/a/*")) == ["a/w.svs"]
    assert search_glob(f"{tmp_path}/none/*.svs") == []


def test_a_folder_that_cannot_be_listed_fails_alone(tmp_path, unlistable):
    touch(tmp_path, "a.svs", "lost+found/x", "z/b.svs")
    unlistable("lost+found")
    wanted = ["a.svs", "lost+found", "z/b.svs"]
    for given in (tmp_path, f"{tmp_path}/**", f"{tmp_path}/**/*.svs"):
        assert under(tmp_path, [slide.path for slide in collect([given])]) == wanted
    assert under(tmp_path, search_glob(f"{tmp_path}/z*/*.svs")) == ["z/b.svs"]
    with pytest.raises(SlideError, match=r"lost\+found as a slide: the folder cannot be listed \(Permission"):
        open_reader(tmp_path / "lost+found")


def test_permissions_are_told(tmp_path):
    touch(tmp_path, "a.svs", "b.dcm", "c.vms", "d.svs", "e/f.svs", "g.zarr/zarr.json")
    (tmp_path / "good.svs").write_text("")
    closed = [tmp_path / name for name in ("b.dcm", "c.vms", "d.svs", "e", "g.zarr")]
    for path in closed:
        path.chmod(0)
    if os.access(closed[0], os.R_OK):
        pytest.skip("LOUD SKIP: root reads everything; closed files are NOT tested")
    try:
        found = search(tmp_path)
        for path in closed:
            assert path in found
            with pytest.raises(SlideError, match="Permission denied"):
                open_reader(path)
    finally:
        for path in closed:
            path.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("long.vms", b"[Virtual]\nImageFile=" + b"x" * 400 + b"\n"),
        ("nul.vms", b"ImageFile=a\0b\n" + bytes(range(256))),
        ("up.vms", b"ImageFile=../../outside\nImageFile=/etc/passwd\nImageFile=.\n"),
        ("huge.vmu", b"ImageFile=" + b"y" * (3 << 20)),
        ("x.mrxs", b""),
        ("x.dcm", b""),
        ("x.svs", b"x"),
    ],
)
def test_garbage_of_known_names_fails_alone(tmp_path, name, content):
    touch(tmp_path, "good.svs")
    (tmp_path / name).write_bytes(content)
    assert under(tmp_path, [slide.path for slide in collect([tmp_path])]) == sorted(["good.svs", name])
    assert slide_files(tmp_path / name) == [tmp_path / name]
    fingerprint(tmp_path / name)
    with pytest.raises(SlideError, match=name):
        open_reader(tmp_path / name)


def test_what_is_no_file_fails_alone(tmp_path):
    touch(tmp_path, "a.svs", "dir.svs/b.svs")
    (tmp_path / "gone.svs").symlink_to("nowhere.svs")
    (tmp_path / "loop.svs").symlink_to("loop.svs")
    (tmp_path / "lost.zarr").mkdir()
    os.mkfifo(tmp_path / "pipe.svs")
    os.mkfifo(tmp_path / "pipe.dcm")
    wanted = ["a.svs", "dir.svs/b.svs", "gone.svs", "loop.svs", "lost.zarr", "pipe.dcm", "pipe.svs"]
    assert under(tmp_path, [slide.path for slide in collect([tmp_path])]) == wanted
    told = {
        "gone.svs": "a link to what does not exist",
        "loop.svs": "Too many levels",
        "lost.zarr": "neither zarr.json nor .zgroup",
        "pipe.svs": "neither a file nor a folder",
    }
    for name, text in told.items():
        with pytest.raises(SlideError, match=text):
            open_reader(tmp_path / name)


def test_parts_of_slides_named_by_a_shell_are_not_slides(tmp_path):
    touch(tmp_path, "m.mrxs", "m/Slidedat.ini", "v(0,0).jpg")
    (tmp_path / "v.vms").write_text("ImageFile=v(0,0).jpg\n")
    everything = sorted(tmp_path.iterdir())
    assert under(tmp_path, [slide.path for slide in collect(everything)]) == ["m.mrxs", "v.vms"]
    with pytest.raises(ConfigError, match=r"m is part of the slide .*m\.mrxs; name that file"):
        collect([tmp_path / "m"])
    assert collect([tmp_path / "v(0,0).jpg"])[0].path.name == "v(0,0).jpg"


def test_names_that_are_not_utf8(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/nu-\xff\xe9.svs"))
    path.write_bytes(b"x")
    (slide,) = collect([tmp_path])
    assert (slide.path, slide.sample_id) == (path, r"nu-\xff\xe9")
    assert slide.slide_id == slide_id_of(path)
    assert slide.slide_id.isascii()
    assert len(fingerprint(path)) == 64
