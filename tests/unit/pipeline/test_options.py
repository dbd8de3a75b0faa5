"""How many slides may fail."""

import pytest

from wsipipe.errors import ConfigError
from wsipipe.pipeline.options import RunPolicy


@pytest.mark.parametrize(("text", "most"), [(None, None), ("3", 3), ("0", 0), ("10%", 2), ("100%", 25)])
def test_counts_and_percentages(text: str | None, most: int | None) -> None:
    assert RunPolicy(max_failures=text).most_failures(25) == most


@pytest.mark.parametrize("text", ["", "-1", "x", "10%%", "101%", "1.5"])
def test_what_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-failures"):
        RunPolicy(max_failures=text).most_failures(25)
