"""Options that several commands share, as fields of dataclasses."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def grouped[Outcome](function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Make a command of a function whose parameters may be dataclasses of options.

    The command has the fields of each dataclass in its place, and the function receives the dataclass.

    Args:
        function: Function of a command, for ``app.command``.
    """
    parameters = inspect.signature(function).parameters
    hints = get_type_hints(function, include_extras=True)
    groups = {name: hints[name] for name in parameters if is_dataclass(hints[name])}

    @wraps(function)
    def command(**values: object) -> Outcome:
        for name, group in groups.items():
            values[name] = group(**{each.name: values.pop(each.name) for each in fields(group)})
        return function(**values)

    flat = [
        each
        for name, parameter in parameters.items()
        for each in (_options(groups[name]) if name in groups else [_keyword(parameter, hints[name])])
    ]
    vars(command)["__signature__"] = inspect.Signature(flat)
    command.__annotations__ = {each.name: each.annotation for each in flat}
    return command


def _keyword(parameter: inspect.Parameter, hint: object) -> inspect.Parameter:
    """Return it as a keyword, since these may have defaults in any order."""
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)


def _options(group: type) -> Iterator[inspect.Parameter]:
    """Yield a parameter for each field."""
    hints = get_type_hints(group, include_extras=True)
    for each in fields(group):
        yield inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=_default(each), annotation=hints[each.name]
        )


def _default(each: "Field[Any]") -> object:
    return inspect.Parameter.empty if each.default is MISSING else each.default
