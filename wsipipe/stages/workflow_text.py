"""A workflow as commented YAML, and the JSON Schema of workflows.

Both take the texts of the keys from the docstrings of the models.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel

from wsipipe.common.settings import section_of
from wsipipe.stages.workflow import Workflow, workflow_model

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ENTRY = re.compile(r"^ {4}(\w+): +(.*)$")
_WIDTH = 96


def key_texts(model: type[BaseModel]) -> dict[str, str]:
    """Return what each key of a section means.

    The texts are those under ``Attributes`` in the docstrings of the class and its bases.
    """
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if issubclass(kind, BaseModel) and kind is not BaseModel and kind.__doc__:
            found |= _attributes(inspect.cleandoc(kind.__doc__))
    return {name: text for name, text in found.items() if name in model.model_fields}


def _attributes(docstring: str) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in docstring.partition("Attributes:\n")[2].splitlines():
        if line and not line.startswith(" "):
            break
        if found := _ENTRY.match(line):
            lines = entries.setdefault(found[1], [])
            lines.append(found[2])
        elif line:
            lines.append(line.strip())
    return {name: _plain(" ".join(lines)) for name, lines in entries.items()}


def _plain(text: str) -> str:
    """Return a text without the marks of code and references of docstrings."""
    return re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")


def as_yaml(workflow: Workflow) -> str:
    """Return a workflow as YAML with every value, and a comment for every key.

    Loading the text gives an equal workflow.
    """
    model = type(workflow)
    values, texts = shown_values(workflow), key_texts(model)
    lines: list[str] = []
    for name, value in values.items():
        section = section_of(model.model_fields[name].annotation)
        if value is None:
            continue
        if section is None:
            lines += _entry(name, value, "", "")
            continue
        lines += ["", *_comment(texts.get(name, ""), ""), f"{name}:"]
        inner = key_texts(section)
        lines += [line for key in value for line in _entry(key, value[key], inner.get(key, ""), "  ")]
        if left_out := [key for key in section.model_fields if key not in value]:
            lines += _comment(f"Follow from the weights of each slide: {', '.join(left_out)}.", "  ")
    # Only the command ``import`` sets that section.
    absent = [name for name, value in values.items() if value is None and name != "imported"]
    if absent:
        lines += ["", *_comment(f"Sections that this workflow does not have: {', '.join(absent)}.", "")]
    return "\n".join(lines) + "\n"


def shown_values(workflow: Workflow) -> dict[str, Any]:
    """Return every value of a workflow as JSON.

    Where weights are chosen for each slide, values are left out that follow from the weights.
    """
    values = workflow.model_dump(mode="json")
    if workflow.segment is not None and workflow.segment.is_auto:
        if workflow.instances is not None:
            values["instances"] = workflow.instances.model_dump(mode="json", exclude_unset=True)
        if "mpp" not in workflow.tile.model_fields_set:
            del values["tile"]["mpp"]
    return values


def _entry(key: str, value: object, text: str, indent: str) -> Iterator[str]:
    yield from _comment(text, indent)
    # Lists on one line; the mark of the end of a document follows single values.
    dumped = yaml.safe_dump(value, allow_unicode=True, default_flow_style=True, width=10_000)
    yield f"{indent}{key}: {dumped.removesuffix('...' + chr(10)).rstrip()}"


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, _WIDTH)]


def as_schema() -> dict[str, Any]:
    """Return the JSON Schema of workflow files, with the sections of installed packages."""
    model = workflow_model()
    schema = model.model_json_schema()
    kinds = {kind.__name__: kind for kind in _sections(model)}
    _describe(schema, model)
    for name, definition in schema.get("$defs", {}).items():
        if name in kinds:
            _describe(definition, kinds[name])
    for entry in schema["properties"].values():
        # ``segment:`` with nothing below it is a section with its defaults.
        if "$ref" in entry:
            entry["anyOf"] = [{"$ref": entry.pop("$ref")}, {"type": "null"}]
    return {"$schema": SCHEMA_DIALECT, **schema}


def _sections(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for field in model.model_fields.values():
        section = section_of(field.annotation)
        if section is not None:
            yield section
            yield from _sections(section)


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Put the texts of the keys into the schema of a section."""
    definition["description"] = inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    texts = key_texts(model)
    for name, entry in definition.get("properties", {}).items():
        entry.pop("title", None)
        if name in texts:
            entry["description"] = texts[name]
