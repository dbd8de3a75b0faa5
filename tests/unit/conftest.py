"""What unit tests share."""

import logging
import sys

import pytest

from wsipipe import cli


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """Runs the command line in this process: exit code, standard output, standard error."""
    # The root logger of a test must not keep a stream that ends with it.
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)

    def type_(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["wsipipe", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return (left.value.code, *capsys.readouterr())

    return type_
