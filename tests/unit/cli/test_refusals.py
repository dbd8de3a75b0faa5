"""What cannot work is refused before any work: one paragraph, the right exit code, and nothing written."""

import os
from pathlib import Path

import pytest

from wsipipe.errors import ExitCode, StorageError
from wsipipe.pipeline.maintenance import Leftover, clean, leftovers
from wsipipe.pipeline.planning.planner import make_planner
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.store.ledger import Ledger
from wsipipe.tiling.collect import collect


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("retry",),
        ("verify",),
        ("clean",),
        ("clean", "--yes"),
        ("review", "status"),
        ("review", "export"),
    ],
)
def test_a_path_without_results_is_a_wrong_name(
    typed: object, tmp_path: Path, words: tuple[str, ...]
) -> None:
    code, out, stderr = typed(*words, tmp_path / "nosuch")
    assert (code, out) == (ExitCode.USAGE, "")
    assert stderr.startswith("NO_RESULT: ")
    assert not (tmp_path / "nosuch").exists()


@pytest.mark.parametrize(
    ("out", "said"), [("file", "is a file; name a folder"), ("", "is empty"), ("file/sub", "Not a directory")]
)
def test_an_out_that_is_no_folder(
    typed: object, small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    code, _, stderr = typed("run", "tiling_only", small_slide, "--out", out)
    assert code == ExitCode.USAGE
    assert said in stderr
    assert "Traceback" not in stderr
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--part", "3/2"), "this is no part of a batch"),
        (("--cluster", "slurm"), "--cluster slurm needs --workers"),
        (("--cluster", "pbs"), "give --cluster slurm, the only one"),
        (("--cluster", "slurm", "--cluster-option", "cpus=0"), "--cluster-option 'cpus=0'"),
        (("--scheduler", "nonsense"), "tcp://HOST:PORT"),
        (("--scheduler", "http://127.0.0.1:1"), "tcp://HOST:PORT"),
        (("--scheduler", "8.8.8.8:8786"), "not encrypted"),
        (("--region", "1024,0,5,5"), "1024 px high and 1024 px wide"),
        (("--region", "0,5000,5,5"), "1024 px high and 1024 px wide"),
        (("--mpp", "-1"), "--mpp"),
        (("--mpp", "nan"), "--mpp"),
        (("--only", "x"), "--only"),
    ],
)
def test_a_run_that_cannot_be_leaves_nothing(
    typed: object, small_slide: Path, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    code, out, stderr = typed(
        "run", "tiling_only", small_slide, "--out", tmp_path / "out", "--json", *options
    )
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in stderr
    assert not (tmp_path / "out").exists()


def test_a_scheduler_that_does_not_answer_leaves_no_record(
    typed: object, small_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr("wsipipe.pipeline.cluster.client.Client", refused)
    run = ("run", "tiling_only", small_slide, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")
    code, _, stderr = typed(*run)
    assert code == ExitCode.USAGE
    assert "no Dask scheduler answers there (connection refused)" in stderr
    assert typed("status", tmp_path / "out")[0] == ExitCode.USAGE


def test_a_region_in_one_of_two_slides_is_for_the_run(small_slide: Path, tmp_path: Path) -> None:
    from wsipipe.errors import ConfigError
    from wsipipe.synth.writer import make_slide

    make_slide(tmp_path / "larger.svs", 1536, seed=1, truth=False)
    planner = make_planner("tiling_only", [], (1200, 0, 5, 5))
    small, larger = collect([small_slide, tmp_path / "larger.svs"])
    planner.check_region([small, larger])
    with pytest.raises(ConfigError, match=r"--region 1200,0,5,5 lies outside .*small\.svs"):
        planner.check_region([small])
    # Why a slide does not open, its own failure tells.
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    planner.check_region([small, *collect([tmp_path / "broken.svs"])])


@pytest.mark.parametrize(
    ("slide_mpp", "mpp", "coarsest", "says", "not_said"),
    [
        (8.0, 0.5, 0.5, "tiling_only ... --set tile.mpp=8.", "canvas"),
        (0.7, 0.25, 0.5, "--set tile.mpp=0.5.", "tiling_only"),
        (8.0, 0.5, None, "--set tile.mpp=8.", "weights"),
    ],
)
def test_a_coarse_slide_error_names_the_remedy(
    small_slide: Path, slide_mpp: float, mpp: float, coarsest: float | None, says: str, not_said: str
) -> None:
    from wsipipe.errors import MppError

    slide = collect([small_slide], mpp=slide_mpp)[0]
    with pytest.raises(MppError) as stderr:
        inspect_slide(slide, mpp, 64, "cpu", coarsest)
    assert says in str(stderr.value)
    assert "--mpp" in str(stderr.value)
    assert not_said not in str(stderr.value)
    # The remedy works.
    helps = float(says.rpartition("=")[2].rstrip("."))
    inspect_slide(slide, helps, 64, "cpu", coarsest)


def test_the_weights_named_work_where_the_remedy_leads() -> None:
    planner = make_planner("nuclei_and_tissue", ["tile.mpp=0.25"], None)
    assert planner.coarsest_mpp == 0.5
    make_planner("nuclei_and_tissue", [f"tile.mpp={planner.coarsest_mpp}"], None)
    assert make_planner("tiling_only", [], None).coarsest_mpp is None


@pytest.mark.parametrize("name", ["a#b", "a?b=c", "a%41", "é è", "a\nb", "file:x"])
def test_shards_are_counted_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    work = tmp_path / name / ".work" / "slide-00000000.0123456789abcdef"
    work.mkdir(parents=True)
    with Ledger(work) as ledger:
        ledger.record("tile", (0, 0), [])
    before = sorted(tmp_path.rglob("*"))
    (listed,) = leftovers(tmp_path / name)
    assert "1 shards done" in listed.what
    assert sorted(tmp_path.rglob("*")) == before


def test_what_could_not_be_deleted_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / ".work" / "a.b"
    stuck.mkdir(parents=True)

    def refuse(path: Path, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(stuck))

    monkeypatch.setattr(os, "rmdir", refuse)
    with pytest.raises(StorageError, match=r"a\.b could not be deleted \(Permission denied\)"):
        clean(tmp_path, [Leftover(stuck, "unfinished", 0)])


def test_an_unknown_code_is_not_nothing_to_retry(typed: object, tiled: object) -> None:
    code, _, stderr = typed("retry", tiled.folder.parent, "--only", "STORAGE")
    assert code == ExitCode.USAGE
    assert "STORAGE_FULL" in stderr
    assert typed("retry", tiled.folder.parent, "--only", "STORAGE_FULL")[:2] == (0, "nothing to retry\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run",), "Missing argument 'workflow'. See wsipipe run --help."),
        (("models", "nosuch"), "See wsipipe models --help."),
        (("infos",), "Did you mean 'info'? See wsipipe --help."),
        (("index", "{here}", "--to", "{here}"), "is a directory"),
        (("models", "convert", "{here}/no.pt", "--to", "{here}/x.safetensors"), "There is no file"),
        (("models", "convert", "{here}/no.pt", "--to", "{here}/x.pt"), "name a .safetensors file"),
        (("certify", "tissue_gmr_resnet18_1.0", "--json", "{here}/no/x.json"), "existing folder"),
        (("review", "import", "{here}/no.geojson", "{here}"), "no.geojson' does not exist"),
        (("review", "status", "{here}", "--reviews", "{here}/file"), "is a file"),
    ],
)
def test_wrong_words(typed: object, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "file").touch()
    code, _, stderr = typed(*(word.format(here=tmp_path) for word in words))
    assert code == ExitCode.USAGE
    assert said in stderr
    assert "Traceback" not in stderr


def test_journals_that_may_not_be_read_are_not_none(
    typed: object, tiled: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / tiled.folder.name).mkdir()

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("wsipipe.cli.review.os.listdir", refuse)
    code, out, stderr = typed("review", "status", tiled.folder, "--reviews", tmp_path)
    assert (code, out) == (ExitCode.RETRY_LATER, "")
    assert "Permission denied" in stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotADirectoryError(20, "Not a directory", "x"), ExitCode.USAGE),
        (PermissionError(13, "Permission denied", "x"), ExitCode.RETRY_LATER),
        (OSError("no number"), ExitCode.RETRY_LATER),
    ],
)
def test_what_the_file_system_refuses_is_one_paragraph(
    typed: object, monkeypatch: pytest.MonkeyPatch, error: OSError, code: ExitCode
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("wsipipe.tiling.slide.open_slide", refuse)
    found, _, stderr = typed("info", "x.svs")
    assert found == code
    assert len(stderr.splitlines()) == 1
    assert "Traceback" not in stderr


def test_a_name_that_is_no_text_can_be_printed(typed: object) -> None:
    code, _, stderr = typed("info", "/nowhere/\udce4.svs")
    assert code == ExitCode.SOME_SLIDES_FAILED
    assert r"\udce4.svs" in stderr


def test_python_warnings_are_one_line(typed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_: object) -> None:
        import warnings

        warnings.warn("um per px guessed", UserWarning, stacklevel=1)
        raise FileNotFoundError(2, "No such file", "x")

    monkeypatch.setattr("wsipipe.tiling.slide.open_slide", warn)
    assert typed("info", "x.svs")[2].splitlines()[0] == "WARNING um per px guessed"
