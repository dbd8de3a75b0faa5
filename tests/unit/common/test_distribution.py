"""The distribution's name is one everywhere, and another project in the same folder is refused."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import wsipipe
from wsipipe import cli
from wsipipe.common import distribution
from wsipipe.common.about import __version__
from wsipipe.common.distribution import DISTRIBUTION, clashing_distribution, install_command, refuse_clash
from wsipipe.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PLACES = ("README.md", "CONTRIBUTING.md", "docs", "changes", "wsipipe", "tests", "packaging", ".github")
OTHER_NAME = re.compile(r"(?:pip|pipx|tool|add) install (?:-\S+ )*['\"]?wsipipe(?![\w-])")
"""An install line with the name of the other project on the index."""


def texts() -> dict[str, str]:
    """Text of each file that may have an install line, by path."""
    kinds = {".py", ".md", ".yml", ".yaml", ".toml", ""}
    files = [path for place in PLACES for path in [ROOT / place, *(ROOT / place).rglob("*")]]
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in files
        if path.is_file() and path.suffix in kinds and path != Path(__file__).resolve()
    }


def test_name_and_version_are_the_projects() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == __version__ == wsipipe.__version__


def test_install_lines_do_not_name_the_other_project() -> None:
    found = {path: OTHER_NAME.findall(text) for path, text in texts().items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("pip install 'wsipipe[review]'", True),
        ("uv tool install wsipipe", True),
        ("pip install 'wsipipe-gmr[review]'", False),
        ("pip install -q uv && uv run wsipipe demo", False),
    ],
)
def test_sister_the_other_name_is_seen(line: str, wrong: bool) -> None:
    assert bool(OTHER_NAME.search(line)) == wrong


def test_every_extra_named_in_an_error_exists() -> None:
    named = set()
    for path, text in texts().items():
        if path.startswith("wsipipe"):
            named |= set(re.findall(r"install_command\(['\"](\w+)", text))
    assert named == {"review", "train", "baselines", "slurm", "export", "onnx"}
    assert named <= set(PROJECT["optional-dependencies"])
    assert install_command("review") == "pip install 'wsipipe-gmr[review]'"


def test_another_project_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wsipipe_gmr-0.2.0.dist-info").mkdir()
    (tmp_path / "wsipipe").mkdir()
    assert clashing_distribution(tmp_path) is None
    refuse_clash(tmp_path)
    (tmp_path / "wsipipe-0.1.6.dist-info").mkdir()
    assert clashing_distribution(tmp_path) == "wsipipe 0.1.6"
    with pytest.raises(ConfigError, match=r"two projects.*pip uninstall wsipipe wsipipe-gmr"):
        refuse_clash(tmp_path)


def test_command_line_and_run_refuse_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def clash() -> None:
        raise ConfigError("two projects")

    monkeypatch.setattr(cli, "refuse_clash", clash)
    monkeypatch.setattr("sys.argv", ["wsipipe", "version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 64
    assert "CONFIG: two projects" in capsys.readouterr().err
    monkeypatch.setattr(distribution, "refuse_clash", clash)
    with pytest.raises(ConfigError, match="two projects"):
        _ = wsipipe.run
