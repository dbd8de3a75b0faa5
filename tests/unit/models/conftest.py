"""The compiled kernel, or a loud skip where there is no compiler."""

import shutil

import pytest


@pytest.fixture(scope="session")
def compiled() -> None:
    if shutil.which("g++") is None:
        pytest.skip("LOUD SKIP: no g++ here, so the compiled ring kernel is NOT tested")
