"""Keys of a YAML file are found by line."""

from pathlib import Path

import pytest
import yaml

from wsipipe.common.yaml_lines import line_of, problem_of, repeated_keys

TEXT = "name: x\n\ntile:\n  mpp: 1\n  image:\n    deep: 2\nflow: {a: 1,\n  b: 2}\n"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("name",), 1),
        (("tile",), 3),
        (("tile", "mpp"), 4),
        (("tile", "image", "deep"), 6),
        (("tile", "absent"), 3),
        (("tile", "mpp", "0"), 4),
        (("flow", "b"), 8),
        (("absent",), None),
        ((), None),
    ],
)
def test_a_key_is_found_by_its_sections(tmp_path: Path, keys: tuple[str, ...], line: int | None) -> None:
    (tmp_path / "a.yaml").write_text(TEXT)
    assert line_of(tmp_path / "a.yaml", keys) == line


def test_repeated_keys_are_listed_by_section() -> None:
    assert repeated_keys(TEXT) == []
    assert repeated_keys("") == []
    assert repeated_keys("a: &a {b: *a}\nc: *a\n") == []
    text = "a: 1\nb:\n  a: 1\n  a: 2\na: 3\n"
    assert repeated_keys(text) == ["line 4: b.a is given twice", "line 5: a is given twice"]


def test_a_problem_is_one_line() -> None:
    for text, says in (("a: [\n", "line 2: "), ("a: b: c", "line 1: mapping values are not allowed here")):
        with pytest.raises(yaml.YAMLError) as caught:
            yaml.safe_load(text)
        assert problem_of(caught.value).startswith(says)
        assert "\n" not in problem_of(caught.value)
    assert problem_of(ValueError("two\nlines")) == "two lines"
