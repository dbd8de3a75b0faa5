import pytest

from wsipipe.errors import ConfigError
from wsipipe.tiling.manifest import read_manifest

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
