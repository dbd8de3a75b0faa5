"""The verbs of review, typed: what is printed and what is left on the disk."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wsipipe.errors import ExitCode
from wsipipe.review import Session
from wsipipe.review.sample import make_sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_sample(tmp_path / "OUT").folder


def test_two_reviewers_from_status_to_export(typed: object, folder: Path, tmp_path: Path) -> None:
    code, out, _ = typed("review", "status", folder)
    assert (code, "not reviewed yet" in out) == (ExitCode.OK, True)
    for user, act in (("ann", "reject"), ("bob", "accept")):
        with Session.open(folder, user) as session:
            getattr(session, act)([5])
            session.relabel([9], "gland")
    code, out, _ = typed("review", "status", folder, "--json")
    assert json.loads(out) == [{"user": user, "acts": 2, "nuclei": 2} for user in ("ann", "bob")]
    code, out, _ = typed("review", "merge", folder, "ann", "bob", "--into", "both")
    assert code == ExitCode.OK
    assert "1 edits, 1 conflicts" in out
    assert "ann: reject 5; bob: accept 5" in out
    assert "kappa" in out
    code, out, _ = typed("review", "export", folder, "--user", "both")
    assert code == ExitCode.OK
    assert (folder / "reviews" / "both" / "nuclei_reviewed.parquet").is_file()
    code, out, _ = typed("verify", folder)
    assert code == ExitCode.OK
    edited = folder / "reviews" / "both" / "nuclei_reviewed.geojson.gz"
    code, out, _ = typed("review", "import", edited, folder, "--user", "eve", "--reviews", tmp_path / "mine")
    assert code == ExitCode.OK
    assert "unchanged" in out


def test_what_an_import_leaves_out_is_listed_by_cause(typed: object, folder: Path, tmp_path: Path) -> None:
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {}}
    ring = [[200, 200], [230, 200], [230, 230], [200, 230], [200, 200]]
    new = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": None}
    (tmp_path / "edited.json").write_text(json.dumps([point, new, point]))
    code, out, _ = typed("review", "import", tmp_path / "edited.json", folder, "--user", "ann")
    assert code == ExitCode.OK
    assert "edited.json: 1 draw, " in out
    assert out.splitlines()[1] == "  2 left out: Point without area"
    (tmp_path / "edited.json").write_text(json.dumps([point]))
    code, _, err = typed("review", "import", tmp_path / "edited.json", folder, "--user", "ann")
    assert code == ExitCode.USAGE
    assert "1 Point without area. Export annotations or detections" in err.replace("\n", " ")
    assert "Traceback" not in err


def test_a_wrong_name_is_one_paragraph(typed: object, folder: Path) -> None:
    for user in ("ann", "bob"):
        Session.open(folder, user).close()
    for wrong, said in ((("ann", "eve"), "no journal"), (("ann", "bob", "--into", "../both"), "letters")):
        code, _, err = typed("review", "merge", folder, *wrong)
        assert code != ExitCode.OK
        assert said in err
        assert "Traceback" not in err


def test_without_the_extra_view_says_the_install_line(typed: object, folder: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    code, _, err = typed("view", folder)
    assert code == ExitCode.USAGE
    assert "pip install 'wsipipe-gmr[review]'" in err


def test_everything_but_the_window_works_without_napari(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    code = f"""
import sys
for name in ("napari", "qtpy", "PyQt6", "vispy"):
    sys.modules[name] = None
from wsipipe.review import Session
from wsipipe.review.export import export_review
import wsipipe.review.geojson_import, wsipipe.review.merge, wsipipe.review.agreement
import wsipipe.review.gui.reader
with Session.open({str(copy)!r}, "ann") as session:
    session.reject([5])
    export_review(session)
print("well")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "well\n", done.stderr
