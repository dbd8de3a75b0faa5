"""Every command's help ends with examples that parse, and with exit codes."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import TyperException
from typer.main import get_command

from wsipipe.cli import app
from wsipipe.cli.examples import HELP_ENDS, HelpEnd, as_written
from wsipipe.cli.shared import program_options_first
from wsipipe.errors import ConfigError, ExitCode


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and object of the program, every group and every command."""
    yield name, command
    for verb, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {verb}".strip())


ALL = dict(commands(get_command(app)))


def parse(line: str) -> None:
    """Parse the words after ``wsipipe`` without running the command."""
    command, words = ALL[""], shlex.split(line)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not (hasattr(command, "commands") and words and words[0].isalpha()), "no such command"
    with command.make_context("wsipipe", words):
        pass


def test_the_text_is_exact() -> None:
    assert HelpEnd(("info a.svs", "info b.svs"), {2: "the slide cannot be read"}).text() == (
        "Examples:\n  wsipipe info a.svs\n  wsipipe info b.svs\n\n"
        "Exit codes:\n  0    done\n  2    the slide cannot be read\n"
        "  64   wrong option, name or file\n  130  interrupted"
    )


def test_every_command_has_examples_and_exit_codes() -> None:
    assert set(HELP_ENDS) == set(ALL)
    for name, command in ALL.items():
        assert command.epilog == as_written(HELP_ENDS[name].text()), name
        assert set(HELP_ENDS[name].codes) <= set(map(int, ExitCode)), name


@pytest.mark.parametrize("name", HELP_ENDS)
def test_every_example_parses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("edited.geojson").touch()
    assert HELP_ENDS[name].examples
    for example in HELP_ENDS[name].examples:
        assert example.startswith(name)
        assert len(f"  wsipipe {example}") <= 80, "a terminal of 80 columns would break it"
        parse(example)


@pytest.mark.parametrize(
    "line",
    ["run nuclei slide.svs", "run nuclei s.svs --out o --outt x", "demo --workers 0", "workflow chek a"],
)
def test_sister_a_wrong_example_is_seen(line: str) -> None:
    with pytest.raises((TyperException, AssertionError)):
        parse(line)


def test_the_help_shows_them_as_written(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, out, _ = typed("verify", "--help")
    assert code == ExitCode.OK
    shown = "\n".join(line.rstrip() for line in out.splitlines())
    assert "\n  Examples:\n    wsipipe verify results\n    wsipipe verify results/SLIDE\n" in shown
    assert "\n    1    files are damaged or missing\n" in shown


def test_no_line_of_the_list_of_commands_is_cut(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ((), ("models",), ("review",), ("workflow",)):
        _, out, _ = typed(*words, "--help")
        listed = out.partition("Commands:")[2].partition("Examples:")[0]
        assert "  " in listed
        assert "..." not in listed, words


def test_options_of_the_program_may_stand_anywhere() -> None:
    words = ["run", "nuclei", "--debug", "s.svs", "--log-level", "info", "--out", "o", "--", "--debug"]
    first = ["--debug", "--log-level", "info", "run", "nuclei", "s.svs", "--out", "o", "--", "--debug"]
    assert program_options_first(words) == first
    assert program_options_first(["a", "--log-level=info"]) == ["--log-level=info", "a"]
    assert program_options_first(["a", "--log-level"]) == ["--log-level", "a"]


def test_completion_offers_commands_and_options(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def offered(words: str, at: int) -> set[str]:
        for name, value in {
            "_WSIPIPE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(at),
        }.items():
            monkeypatch.setenv(name, value)
        code, out, _ = typed()
        assert code == 0
        return set(out.split())

    assert offered("wsipipe re", 1) == {"retry", "review"}
    assert "--max-failures" in offered("wsipipe run --ma", 2)
    assert offered("wsipipe workflow s", 2) == {"schema", "show"}


def test_the_script_of_completion_is_printed(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    code, out, _ = typed("--show-completion", "bash")
    assert code == 0
    assert "_WSIPIPE_COMPLETE=complete_bash" in out


@pytest.fixture
def _levels() -> Iterator[None]:
    """Restore the levels of the loggers."""
    import logging

    found = [(logger, logger.level) for logger in (logging.getLogger(), logging.getLogger("wsipipe"))]
    yield
    for logger, level in found:
        logger.setLevel(level)


@pytest.mark.usefixtures("_levels")
def test_debug_shows_the_traceback(typed: Any, tmp_path: Path) -> None:
    code, _, stderr = typed("workflow", "show", "nuklei", "--debug")
    assert code == ExitCode.USAGE
    assert stderr.startswith("Traceback (most recent call last):")
    assert "ConfigError: There is no workflow 'nuklei'" in stderr
    code, _, plain = typed("workflow", "show", "nuklei")
    assert code == ExitCode.USAGE
    assert plain.startswith("CONFIG: There is no workflow 'nuklei'")
    assert "Traceback" not in plain


@pytest.mark.usefixtures("_levels")
def test_the_log_level_is_that_of_wsipipe_and_at_least_warning_for_others(typed: Any) -> None:
    import logging

    for name, own, root in (("info", 20, 30), ("error", 40, 40), ("debug", 10, 30)):
        assert typed("--log-level", name, "version")[0] == 0
        assert (logging.getLogger("wsipipe").level, logging.getLogger().level) == (own, root)
    code, _, stderr = typed("--log-level", "loud", "version")
    assert code == ExitCode.USAGE
    assert "loud" in stderr


@pytest.mark.usefixtures("_levels")
@pytest.mark.parametrize(("level", "shown"), [("warning", 1), ("error", 0)])
def test_warnings_are_shown_from_their_level_on(
    typed: Any, monkeypatch: pytest.MonkeyPatch, level: str, shown: int
) -> None:
    import warnings

    def warn(name: str, settings: object) -> None:
        warnings.warn("something", UserWarning, stacklevel=1)
        raise ConfigError("the end")

    monkeypatch.setattr("wsipipe.stages.workflow.load_workflow", warn)
    with warnings.catch_warnings():
        _, _, stderr = typed("workflow", "check", "x", "--log-level", level)
    assert stderr.count("WARNING something") == shown
