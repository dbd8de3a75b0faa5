"""What the user types, what is printed, and what the shell gets back."""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from typer.main import get_command

from wsipipe import cli
from wsipipe.cli.shared import ORDER
from wsipipe.errors import ExitCode


def test_a_good_and_a_broken_slide(typed: object, small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken [red].svs"
    broken.write_bytes(b"nothing")
    arguments = [
        "run",
        "tiling_only",
        small_slide,
        broken,
        "--out",
        tmp_path / "out",
        "--scheduler",
        scheduler,
    ]
    code, out, _ = typed(*arguments, "--set", "tile.mpp=2", "--image", "jpeg:80")
    assert code == ExitCode.SOME_SLIDES_FAILED
    assert "1 of 2 failed" in out
    # Off a terminal a failure is one line, whole.
    (line,) = [line for line in out.splitlines() if line.startswith("broken [red].svs ")]
    assert line.split()[2] == "SLIDE_UNREADABLE"
    assert line.endswith("copy it again if it was cut short.")
    assert "SLIDE_UNREADABLE" in out
    assert "[red]" in out
    assert (tmp_path / "out" / "report.html").is_file()
    code, out, _ = typed(*arguments[:3], *arguments[4:], "--set", "tile.mpp=2", "--image", "jpeg:80")
    assert code == ExitCode.OK
    assert "kept, finished before" in out


def test_a_dry_run_prints_plans(typed: object, small_slide: Path, scheduler: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed, _ = typed(
        "run", "tiling_only", small_slide, "--out", out, "--dry-run", "--scheduler", scheduler
    )
    assert code == ExitCode.OK
    plan = json.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    assert plan["shards"] == {"tissue": 1, "tile": 1}
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "tile.mppp=1"], "tile.mppp"),
        (["--set", "segment.weights=/nowhere.safetensors"], "segment.weights"),
        (["--region", "1,2,3"], "--region '1,2,3'"),
        (["--workers", "0"], "--workers"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_options_are_named(
    typed: object, small_slide: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    code, _, stderr = typed("run", "nuclei", small_slide, "--out", tmp_path / "out", *arguments)
    assert code == ExitCode.USAGE
    assert says in stderr
    assert not (tmp_path / "out").exists()


def test_info_as_json(typed: object, small_slide: Path) -> None:
    code, out, _ = typed("info", small_slide, "--json")
    facts = json.loads(out)
    assert code == ExitCode.OK
    assert (facts["mpp"], facts["mpp_source"]) == (0.25, "vendor")
    assert facts["levels"][0] == {"level": 0, "height": 1024, "width": 1024, "mpp": 0.25, "downsample": 1.0}


def test_info_in_words(typed: object, small_slide: Path) -> None:
    code, out, _ = typed("info", small_slide, "--mpp", "0.5")
    assert code == ExitCode.OK
    assert "0.5000 um/px (option)" in out


def test_info_of_no_slide(typed: object, tmp_path: Path) -> None:
    (tmp_path / "x.svs").write_bytes(b"nothing")
    code, _, stderr = typed("info", tmp_path / "x.svs")
    assert code == ExitCode.SOME_SLIDES_FAILED
    assert stderr.startswith("SLIDE_UNREADABLE: ")
    assert "Traceback" not in stderr


def test_verify_names_the_damaged_file(typed: object, tiled: object, tmp_path: Path) -> None:
    import shutil

    folder = shutil.copytree(tiled.folder, tmp_path / "slide")
    assert typed("verify", folder)[0] == ExitCode.OK
    (folder / "overview.png").write_bytes(b"other")
    code, out, _ = typed("verify", folder)
    assert code == ExitCode.FAILED
    assert "damaged or missing: slide/overview.png" in out


def test_synth_makes_a_slide_with_its_truth(typed: object, tmp_path: Path) -> None:
    code, out, _ = typed("synth", tmp_path / "s.svs", "--size", "256", "--seed", "1")
    assert code == ExitCode.OK
    assert "truth in" in out
    assert (tmp_path / "s.svs.truth.zarr").is_dir()


def test_models_are_listed(typed: object) -> None:
    code, out, _ = typed("models", "--json")
    assert code == ExitCode.OK
    assert all({"name", "licence", "mpp"} <= set(card) for card in json.loads(out))


def test_versions_name_the_native_parts(
    typed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WSIPIPE_CACHE", str(tmp_path))
    code, out, stderr = typed("--version")
    assert (code, stderr) == (ExitCode.OK, "")
    found = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in out.splitlines()}
    assert found["wsipipe"] == version("wsipipe-gmr")
    assert found["torch"] == version("torch")
    assert found["openslide"].startswith(version("openslide-bin"))
    assert "libtiff" in found["imagecodecs"]
    assert found["ring kernel"].startswith("not compiled")


def test_versions_name_what_is_absent(typed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    code, out, _ = typed("--version")
    assert code == ExitCode.OK
    assert "openslide    of the system (openslide-python not installed)" in out
    assert "imagecodecs  not installed" in out
    assert "ring kernel  not compiled: no compiler 'no-such-compiler' on the search path" in out


def test_help_lists_the_commands_as_people_need_them(typed: object) -> None:
    _, out, _ = typed("--help")
    places = [out.index(f"\n  {name} ") for name in ORDER]
    assert places == sorted(places)
    assert set(get_command(cli.app).commands) == set(ORDER)


@pytest.mark.parametrize("verb", [[], ["version"], ["--help"]])
def test_words_for_those_who_look_around(typed: object, verb: list[str]) -> None:
    code, out, stderr = typed(*verb)
    assert code == (ExitCode.OK if verb else ExitCode.USAGE)
    assert out + stderr


def test_an_interrupt_says_that_nothing_is_lost(
    typed: object, small_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wsipipe.tiling.slide.open_slide", pressed)
    code, _, stderr = typed("info", small_slide)
    assert code == ExitCode.INTERRUPTED
    assert "run the same command again to resume" in stderr


def test_the_shell_gets_the_code(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from wsipipe.cli import main; main()",
        "info",
        str(tmp_path / "none.svs"),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == ExitCode.SOME_SLIDES_FAILED
    assert done.stderr.startswith("SLIDE_UNREADABLE: ")
    assert done.stdout == ""


def test_a_second_run_on_one_out_exits_75_and_names_the_first(
    typed: object, small_slide: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from wsipipe.common.file_lock import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'out'): print(flush=True); sys.stdin.read()"
    )
    lock = tmp_path / "out" / ".work" / "run.lock"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, lock], **pipes) as first:
        first.stdout.readline()
        left, _, stderr = typed("run", "tiling_only", small_slide, "--out", tmp_path / "out")
        first.stdin.close()
    assert left == ExitCode.RETRY_LATER
    assert f"LOCKED: {tmp_path / 'out'} is in use by process {first.pid} on " in stderr
    assert " since 20" in stderr


def test_verbs_on_out(typed: object, tiled: object, tmp_path: Path) -> None:
    import shutil

    out = shutil.copytree(tiled.folder.parent, tmp_path / "out")
    code, printed, _ = typed("status", out, "--json")
    assert code == ExitCode.OK
    assert [slide["status"] for slide in json.loads(printed)["slides"]] == ["done"]
    assert typed("status", out)[0] == ExitCode.OK
    assert typed("verify", out)[0] == ExitCode.OK
    assert typed("retry", out)[1] == "nothing to retry\n"
    assert typed("clean", out)[1] == "nothing to clean\n"
    (out / ".work" / "gone-00000000.0123456789abcdef").mkdir()
    assert "give --yes" in typed("clean", out)[1]
    assert "deleted" in typed("clean", out, "--yes")[1]
    shutil.rmtree(out / tiled.folder.name)
    code, printed, _ = typed("status", out, "--json")
    assert (code, json.loads(printed)["slides"][0]["status"]) == (ExitCode.SOME_SLIDES_FAILED, "missing")


def test_index_writes_checksums(typed: object, small_slide: Path, tmp_path: Path) -> None:
    assert typed("index", small_slide, "--to", tmp_path / "SHA256SUMS")[0] == ExitCode.OK
    assert (tmp_path / "SHA256SUMS").read_text().endswith(f"{small_slide.name}\n")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (None, None),
        ("8GB", 8 * 10**9),
        ("1.5 gb", 15 * 10**8),
        ("500MB", 5 * 10**8),
        ("8G", 8 * 10**9),
        ("8GiB", 8 * 2**30),
        ("512M", 512 * 10**6),
        ("1.5TiB", 3 * 2**39),
        ("700000 KiB", 700_000 * 1024),
        ("2 gi", 2 * 2**30),
    ],
)
def test_sizes_of_a_budget(text: str | None, size: int | None) -> None:
    assert cli.run.budget_bytes(text) == size


@pytest.mark.parametrize("text", ["much", "8", "GB", "-8GB", "8GBB", "8 i", "1e3GB"])
def test_no_size_is_refused(typed: object, small_slide: Path, tmp_path: Path, text: str) -> None:
    arguments = ["run", "tiling_only", small_slide, "--out", tmp_path, f"--memory-budget={text}"]
    code, _, stderr = typed(*arguments)
    assert (code, f"--memory-budget {text!r}" in stderr) == (ExitCode.USAGE, True)
