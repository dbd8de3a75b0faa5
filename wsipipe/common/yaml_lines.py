"""Lines of the keys of a YAML file, for messages."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml


def problem_of(error: Exception) -> str:
    """Return why a text is not YAML, with its line, as one line."""
    mark = getattr(error, "problem_mark", None)
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return " ".join(str(error).split())
    return f"line {mark.line + 1}: {error.problem}"


def repeated_keys(text: str) -> list[str]:
    """List keys that are given twice in one mapping; YAML takes the last."""
    return [f"line {line}: {key} is given twice" for key, line in _repeated(_compose(text), "", set())]


def line_of(path: Path, keys: Sequence[str]) -> int | None:
    """Return the line of a key, or of the nearest section above it.

    Args:
        path: Path of a YAML file.
        keys: Names of the sections and of the key.

    Returns:
        Number of the line, from 1; None if the file has not even the first section.
    """
    node, line = _compose(path.read_text(encoding="utf-8")), None
    for key in keys:
        found = [(name, value) for name, value in _pairs(node) if name.value == key]
        if not found:
            break
        name, node = found[-1]
        line = name.start_mark.line + 1
    return line


def _compose(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Yield the keys that are texts or numbers, with their values."""
    if isinstance(node, yaml.MappingNode):
        yield from ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))


def _repeated(node: yaml.Node | None, above: str, visited: set[int]) -> Iterator[tuple[str, int]]:
    # An alias may name a mapping that contains it.
    if id(node) in visited:
        return
    visited.add(id(node))
    seen: set[str] = set()
    for key, value in _pairs(node):
        name = f"{above}{key.value}"
        if name in seen:
            yield name, key.start_mark.line + 1
        seen.add(name)
        yield from _repeated(value, f"{name}.", visited)
