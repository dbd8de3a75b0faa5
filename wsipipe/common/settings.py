"""Keys of a YAML file and of ``--set`` -> a strict model, or an error that names the nearest key."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from wsipipe.errors import ConfigError

Keys = tuple[str, ...]
_LONGEST_VALUE = 80


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """Mapping of a YAML file.

    Args:
        path: The file.
        what: ``Workflow`` or ``Recipe``, for messages.

    Raises:
        ConfigError: It cannot be read, is not YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{what} {path} cannot be read: {error.strerror}. Check its permissions."
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{what} {path} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{what} {path} holds {_kind(content)}, not sections with keys. Name a YAML file like those in "
            f"workflows/."
        )
    return content


def apply_setting(content: dict[str, Any], setting: str, model: type[BaseModel]) -> str:
    """Put ``key=value`` or ``section.key=value`` into a mapping.

    Args:
        content: What the file holds; changed.
        setting: As typed after ``--set``; the value is YAML.
        model: Which keys there are.

    Returns:
        The key with its sections, joined by dots.

    Raises:
        ConfigError: It is not of that form, or there is no such key; names the nearest one and the others.
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
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            where = ".".join(sections[: depth + 1])
            raise ConfigError(f"--set {setting!r}: {where} is not a section, but {_kind(content)}.")
    content[last] = value
    return ".".join(path)


def validated[Model: BaseModel](
    model: type[Model], content: dict[str, Any], where: str, settings: Iterable[str] = (), strict: bool = True
) -> Model:
    """The model of a mapping.

    Args:
        model: Which model.
        content: Its values.
        where: The file, for messages.
        settings: Keys that came from ``--set`` and not from the file.
        strict: Take no text for a number.

    Raises:
        ConfigError: Keys are unknown or values wrong; names each of them, and where it came from.
    """
    try:
        return model.model_validate(content, strict=strict)
    except ValidationError as error:
        raise ConfigError(_explain(model, error, where, set(settings))) from error


def unknown_key(model: type[BaseModel], path: Keys) -> str:
    """Why a model has no such key, the nearest key and all others; empty if it has it."""
    section: type[BaseModel] | None = model
    for depth, part in enumerate(path):
        if section is None:
            # Free arguments, as of a network; its constructor checks them.
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
    """Dotted keys of this name in any section."""
    return [".".join(path) for path in _every_key(model) if path[-1] == name]


def _every_key(model: type[BaseModel], above: Keys = ()) -> Iterator[Keys]:
    for name, field in model.model_fields.items():
        yield (*above, name)
        section = section_of(field.annotation)
        if section is not None:
            yield from _every_key(section, (*above, name))


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation stands for, ``Section`` or ``Section | None``; None for a value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _is_free(model: type[BaseModel], path: Keys) -> bool:
    """Whether a key takes any mapping."""
    section: type[BaseModel] | None = model
    annotation: Any = None
    for part in path:
        assert section is not None  # noqa: S101
        annotation = section.model_fields[part].annotation
        section = section_of(annotation)
    return getattr(annotation, "__origin__", None) is dict


def _explain(model: type[BaseModel], error: ValidationError, where: str, settings: set[str]) -> str:
    """Every wrong key in words; those of ``--set`` first, for the file is right about them."""
    typed: list[str] = []
    written: list[str] = []
    for item in error.errors():
        path = tuple(str(part) for part in item["loc"])
        text = unknown_key(model, path) if item["type"] == "extra_forbidden" else _wrong(path, item)
        # A setting may be a whole section, and keys that do not go together are reported by section.
        above = {".".join(path[:depth]) for depth in range(1, len(path) + 1)}
        ours = above & settings or any(key.startswith(f"{'.'.join(path)}.") for key in settings)
        (typed if ours else written).append(text.removesuffix("."))
    lines = [f"--set {text}" for text in typed]
    lines += [f"{where} is not valid: {'; '.join(written)}"] if written else []
    return "; ".join(lines) + "."


def _wrong(path: Keys, item: Any) -> str:
    cause = item.get("ctx", {}).get("error")
    message = str(cause or item["msg"])
    found = "" if isinstance(item["input"], dict) else f" (found {_shortened(item['input'])})"
    return f"{'.'.join(path)}: {message}{found}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _form(model: type[BaseModel]) -> str:
    if "fit" in model.model_fields:
        return "section.key=value, for example fit.steps=500"
    return "stage.key=value, for example tile.mpp=0.25"
