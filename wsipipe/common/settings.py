"""YAML files and ``--set`` options, validated against a strict model.

Errors name the nearest key. Workflows (of ``stages``) and recipes (of ``training``) are both read here, so
the module belongs to neither package.
"""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from wsipipe.common.yaml_lines import line_of, problem_of, repeated_keys
from wsipipe.errors import ConfigError

Keys = tuple[str, ...]
_LONGEST_VALUE = 80


def read_mapping(path: Path, what: str) -> dict[str, object]:
    """Read the mapping of a YAML file.

    Args:
        path: Path of the file.
        what: ``Workflow`` or ``Recipe``, for messages.

    Raises:
        ConfigError: The file cannot be read, is not YAML, has no mapping, or gives a key twice; names the
            line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(
            f"{what} {path} cannot be read: {error.strerror}. Check its permissions."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{what} {path} is not YAML: {problem_of(error)}. Correct that line.") from error
    if repeated := repeated_keys(text):
        raise ConfigError(f"{what} {path} is not valid: {'; '.join(repeated)}. Remove all but one.")
    if not isinstance(content, dict):
        raise ConfigError(
            f"{what} {path}: expected sections with keys, but found {_kind(content)}. Name a YAML file like "
            f"those in workflows/."
        )
    return content


def apply_setting(content: dict[str, object], setting: str, model: type[BaseModel]) -> str:
    """Set ``key=value`` or ``section.key=value`` in a mapping.

    Args:
        content: Mapping of the file; changed.
        setting: Text given to ``--set``; its value is YAML.
        model: Model that defines the keys.

    Returns:
        The key with its sections, joined by dots.

    Raises:
        ConfigError: The text has another form, or the key is unknown; names the nearest key and all others.
    """
    key, equals, text = setting.partition("=")
    *sections, last = (part.strip() for part in key.split("."))
    path = (*sections, last)
    if not equals or not all(path):
        raise ConfigError(f"--set {setting!r}: write {_form(model)}, with one --set for each key.")
    problem = unknown_key(model, path)
    if problem:
        raise ConfigError(f"--set {setting}: {problem}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting!r}: {text!r} is not a YAML value: {error}") from error
    for depth, section in enumerate(sections):
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            where = ".".join(sections[: depth + 1])
            raise ConfigError(f"--set {setting!r}: {where} is not a section but {_kind(inner)}.")
        content = inner
    content[last] = value
    return ".".join(path)


def validated[Model: BaseModel](
    model: type[Model],
    content: dict[str, object],
    where: str,
    settings: Iterable[str] = (),
    strict: bool = True,
    file: Path | None = None,
) -> Model:
    """Validate a mapping against a model.

    Args:
        model: Type of the model.
        content: Values of the model.
        where: File, for messages.
        settings: Keys that were given with ``--set`` and not in the file.
        strict: Whether text is refused where a number is expected.
        file: YAML file with the values, whose lines are named.

    Raises:
        ConfigError: Keys are unknown or values wrong; names each of them, and where it came from.
    """
    try:
        return model.model_validate(content, strict=strict)
    except ValidationError as error:
        raise ConfigError(_explain(model, error, where, set(settings), file)) from error


def unknown_key(model: type[BaseModel], path: Keys) -> str:
    """Explain that a model lacks a key; empty if it has the key.

    The text names the nearest key and all others.
    """
    section: type[BaseModel] | None = model
    for depth, part in enumerate(path):
        if section is None:
            # Free arguments, such as those of a network, are checked by its constructor.
            return "" if _is_free(model, path[:depth]) else f"{'.'.join(path[:depth])} is not a section."
        if part not in section.model_fields:
            return _unknown(model, section, path[: depth + 1], path)
        section = section_of(section.model_fields[part].annotation)
    return ""


def _unknown(model: type[BaseModel], section: type[BaseModel], path: Keys, asked: Keys) -> str:
    *parents, part = path
    known = list(section.model_fields)
    near = difflib.get_close_matches(part, known, n=1)
    hints = [".".join((*parents, *near))] if near else _elsewhere(model, asked[-1])
    guess = f"Did you mean {' or '.join(hints)}? " if hints else ""
    place = f"the section {'.'.join(parents)}" if parents else "the top level"
    return f"{'.'.join(path)} is unknown. {guess}Keys of {place}: {', '.join(known)}."


def _elsewhere(model: type[BaseModel], name: str) -> list[str]:
    """List the dotted keys of this name in any section."""
    return [".".join(path) for path in _every_key(model) if path[-1] == name]


def _every_key(model: type[BaseModel], above: Keys = ()) -> Iterator[Keys]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        section = section_of(field.annotation)
        if section is not None:
            yield from _every_key(section, (*above, name))


def section_of(annotation: object) -> type[BaseModel] | None:
    """Return the model of a section, ``Section`` or ``Section | None``; None for a value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_free(model: type[BaseModel], path: Keys) -> bool:
    """Return whether a key takes any mapping."""
    section: type[BaseModel] | None = model
    annotation: object = None
    for part in path:
        assert section is not None  # noqa: S101
        annotation = section.model_fields[part].annotation
        section = section_of(annotation)
    return getattr(annotation, "__origin__", None) is dict


def _explain(
    model: type[BaseModel], error: ValidationError, where: str, settings: set[str], file: Path | None
) -> str:
    """Describe every wrong key, those of ``--set`` first."""
    typed: list[str] = []
    written: list[str] = []
    for item in error.errors():
        path = tuple(str(part) for part in item["loc"])
        text = unknown_key(model, path) if item["type"] == "extra_forbidden" else _wrong(path, item)
        # A setting may be a whole section, and conflicting keys are reported by section.
        above = {".".join(path[:depth]) for depth in range(1, len(path) + 1)}
        ours = above & settings or any(key.startswith(f"{'.'.join(path)}.") for key in settings)
        line = line_of(file, path) if file and not ours else None
        (typed if ours else written).append(f"line {line}: " * (line is not None) + text.removesuffix("."))
    lines = [f"--set {text}" for text in typed]
    lines += [f"{where} is not valid: {'; '.join(written)}"] if written else []
    return "; ".join(lines) + "."


def _wrong(path: Keys, item: ErrorDetails) -> str:
    cause = item.get("ctx", {}).get("error")
    message = str(cause or item["msg"])
    found = "" if isinstance(item["input"], dict) else f" (found {_shortened(item['input'])})"
    return f"{'.'.join(path)}: {message}{found}"


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _kind(value: object) -> str:
    return "nothing" if value is None else type(value).__name__


def _form(model: type[BaseModel]) -> str:
    if "fit" in model.model_fields:
        return "section.key=value, for example fit.steps=500"
    return "stage.key=value, for example tile.mpp=0.25"
