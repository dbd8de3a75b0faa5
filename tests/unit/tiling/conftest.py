"""What tests of tiling share."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def compiled() -> None:
    """Skips where there is no compiler: the compiled check of JPEG data cannot be built."""
    if shutil.which("g++") is None:
        pytest.skip("LOUD SKIP: there is no g++; tiles decoded directly are NOT tested")


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """Functions that write slides, from ``made_slides.py`` beside this file."""
    spec = importlib.util.spec_from_file_location("made_slides", Path(__file__).with_name("made_slides.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
