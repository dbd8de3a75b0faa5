from dataclasses import replace

import pytest

from wsipipe.errors import ConfigError
from wsipipe.tiling.collect import collect
from wsipipe.tiling.slide_list import read_manifest

HEAD = "sample_id,image_path,mask_path,spacing_at_level_0\n"


def written(tmp_path, text):
    (tmp_path / "a.svs").write_text("")
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    return tmp_path / "m.csv"


def test_the_last_two_columns_may_be_left_out(tmp_path):
    (row,) = read_manifest(written(tmp_path, "\ufeffimage_path,sample_id\na.svs,A\n"))
    assert (row.sample_id, row.path, row.mask_path, row.mpp) == ("A", tmp_path / "a.svs", None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "row 1.*columns must be"),
        ("sample_id,image\nA,a.svs\n", "row 1.*columns must be.*but are sample_id,image"),
        (HEAD, "no rows"),
        (HEAD + "A,a.svs,,0.5\nB,b.svs,,\n", "row 3.*image_path names .*b.svs, which does not exist"),
        (HEAD + "A,a.svs,m.png,\n", "row 2.*mask_path names .*m.png"),
        (HEAD + "A,,,\n", "row 2.*image_path is empty"),
        (HEAD + ",a.svs,,\n", "row 2.*sample_id is empty"),
        (HEAD + "A,a.svs,,half\n", "row 2.*spacing_at_level_0.*'half'"),
        (HEAD + "A,a.svs,,-0.5\n", "row 2.*spacing_at_level_0"),
        (HEAD + "A,a.svs,,nan\n", "row 2.*spacing_at_level_0"),
        (HEAD + "A,a.svs,,,more\n", "row 2.*cells"),
        (HEAD + "A,a.svs\n", "row 2.*cells"),
        (HEAD + '"A,a.svs,,\n', "cannot be read"),
    ],
)
def test_malformed_manifests_name_the_row(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        read_manifest(written(tmp_path, text))


def test_a_manifest_that_is_no_text(tmp_path):
    (tmp_path / "m.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=r"cannot be read.*UTF-8"):
        read_manifest(tmp_path / "m.csv")


def test_further_columns_are_kept_as_text(tmp_path):
    text = 'sample_id, image_path ,patient,Stain (um),,spacing_at_level_0,,\nA,a.svs, 007 ,"H, E",x,0.5,,\n'
    (row,) = read_manifest(written(tmp_path, text))
    assert row.extra == {"patient": "007", "Stain (um)": "H, E"}
    assert (row.path, row.mpp, row.mask_path) == (tmp_path / "a.svs", 0.5, None)
    (slide,) = collect([tmp_path / "m.csv"])
    assert slide.extra == row.extra
    assert collect([tmp_path / "a.svs"])[0].extra == {}
    assert hash(slide) == hash(replace(slide, extra={}))  # extra columns are no part of what is computed


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("sample_id,image_path,spacing_at_level0", "spacing_at_level0 looks like spacing_at_level_0"),
        ("sample_id,image_path,Mask_Path", "Mask_Path looks like mask_path"),
        ("sample_id,image_path,patient,patient", "several columns patient"),
        ("sample_id,image_path,sample_id ,x", "several columns sample_id"),
    ],
)
def test_columns_that_would_be_without_effect_are_refused(tmp_path, columns, said):
    cells = "A,a.svs" + ",0.5" * (columns.count(",") - 1)
    with pytest.raises(ConfigError, match=f"row 1: .*{said}"):
        read_manifest(written(tmp_path, f"{columns}\n{cells}\n"))


def test_a_path_that_cannot_be_is_the_row_s_fault(tmp_path):
    with pytest.raises(ConfigError, match=r"row 2: image_path names .*xxx.*, which does not exist"):
        read_manifest(written(tmp_path, f"{HEAD}A,{'x' * 400}.svs,,\n"))


def test_a_slide_given_by_a_part_of_it_and_as_a_whole_is_refused(tmp_path):
    (tmp_path / "v.vms").write_text("ImageFile=v.jpg\n")
    (tmp_path / "v.jpg").write_text("")
    with pytest.raises(ConfigError, match=r"v\.jpg in the manifest is part of the slide .*v\.vms"):
        collect([written(tmp_path, HEAD + "A,v.jpg,,0.5\nB,v.vms,,\n")])
