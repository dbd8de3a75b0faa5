"""The examples for Snakemake and Nextflow use commands that exist, and run where these are installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer import TyperException
from typer.main import get_command

from wsipipe.cli import app

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
FILES = [EXAMPLES / "snakemake" / "Snakefile", EXAMPLES / "nextflow" / "wsipipe.nf"]


def command_lines(text: str) -> list[list[str]]:
    """Words after ``wsipipe`` of each command, with values in place of variables."""
    lines = re.findall(r"^\s*\"?wsipipe (run .*?)\"?$", text, re.MULTILINE)
    numbers = [re.sub(r"\{threads\}|\$\{task\.cpus\}", "4", line) for line in lines]
    return [re.sub(r"\$?\{[^}]*\}", "x", line).replace("'", "").split() for line in numbers]


def parse(words: list[str]) -> None:
    with get_command(app).commands[words[0]].make_context("wsipipe", words[1:]):
        pass


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_command_of_an_example_parses(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (words,) = command_lines(path.read_text())
    assert "--workers" in words
    parse(words)


def test_sister_a_wrong_command_is_seen() -> None:
    (words,) = command_lines('    "wsipipe run {W} {input:q} --outt {OUT:q} --workers {threads}"\n')
    with pytest.raises(TyperException):
        parse(words)


@pytest.fixture
def slides(small_slide: Path, tmp_path: Path) -> Path:
    """A folder with two slides, and a program ``wsipipe`` on the search path."""
    for name in ("a", "b"):
        (tmp_path / "slides").mkdir(exist_ok=True)
        shutil.copy(small_slide, tmp_path / "slides" / f"{name}.svs")
    return tmp_path / "slides"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "bin" / "wsipipe"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom wsipipe.cli import main\nmain()\n")
    program.chmod(0o755)
    root = str(EXAMPLES.parents[1])
    return os.environ | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": root}


@pytest.mark.skipif(
    shutil.which("snakemake") is None, reason="LOUD SKIP: the rule is NOT run: pip install snakemake"
)
def test_the_rule_runs(slides: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = ["snakemake", "--snakefile", FILES[0], "--cores", "2", "--directory", tmp_path, "--config"]
    settings = [f"slides={slides}", "workflow=tiling_only"]
    done = subprocess.run([*command, *settings], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "results" / "cohort.csv").read_text().splitlines()
    assert [row.partition("-")[0] for row in rows[1:]] == ["a", "b"]


@pytest.mark.skipif(
    shutil.which("nextflow") is None, reason="LOUD SKIP: the module is NOT run: see https://www.nextflow.io"
)
def test_the_module_runs(slides: Path, environment: dict[str, str], tmp_path: Path) -> None:
    command = ["nextflow", "run", EXAMPLES / "nextflow" / "main.nf", "--slides", f"{slides}/*.svs"]
    options = ["--out", tmp_path / "out", "--workflow", "tiling_only"]
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert len((tmp_path / "out" / "cohort.csv").read_text().splitlines()) == 3
