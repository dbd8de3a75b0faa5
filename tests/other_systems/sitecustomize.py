"""Hide from wsipipe what Linux has and other systems lack.

Python loads this file in every process whose ``PYTHONPATH`` holds its folder, workers included. Code of
wsipipe then finds none of the modules, names and paths of ``absent.py``; other packages, which have their own
code for other systems, find all. The unit tests under it:

    PYTHONPATH=tests/other_systems:. pytest tests/unit
"""

import builtins
import io
import os
import sys
from importlib import import_module
from types import ModuleType

from absent import MODULES, NAMES, PATHS

_CARRIERS = {"genericpath", "io", "os", "pathlib", "posixpath", "shutil", __name__}
"""Modules that open files for others."""


def _without(name: str) -> ModuleType:
    module, lean = import_module(name), ModuleType(name)
    lean.__dict__.update({key: each for key, each in vars(module).items() if key not in NAMES[name]})
    return lean


LEAN = {name: _without(name) for name in NAMES}
_import, _open, _stat = builtins.__import__, io.open, os.stat


def _is_ours(name: str) -> bool:
    return name == "wsipipe" or name.startswith("wsipipe.")


def _lean_import(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and _is_ours((globals or {}).get("__name__", "")):
        if name in MODULES:
            raise ImportError(f"No module named {name!r} on this system", name=name)
        if name in LEAN:
            return LEAN[name]
    return _import(name, globals, locals, fromlist, level)


def _asked_by_us() -> bool:
    frame = sys._getframe(1)
    while frame and frame.f_globals.get("__name__") in _CARRIERS:
        frame = frame.f_back
    return frame is not None and _is_ours(frame.f_globals.get("__name__", ""))


def _refuse(path) -> None:
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
    hidden = isinstance(text, str) and any(text == each or text.startswith(f"{each}/") for each in PATHS)
    if hidden and _asked_by_us():
        raise FileNotFoundError(2, "No such file or directory", text)


def _lean_open(file, *arguments, **named):
    _refuse(file)
    return _open(file, *arguments, **named)


def _lean_stat(path, *arguments, **named):
    _refuse(path)
    return _stat(path, *arguments, **named)


builtins.__import__ = _lean_import
builtins.open = io.open = _lean_open
os.stat = LEAN["os"].stat = _lean_stat
