"""A small finished result, made without a cluster."""

import shutil
from pathlib import Path

import pytest

from wsipipe.results.export.source import ExportSource, open_source
from wsipipe.review.sample import make_sample
from wsipipe.store.result import Result, open_result


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A result that tests do not change."""
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="session")
def without_image(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A result of a run with ``--image none``, which tests do not change."""
    return make_sample(tmp_path_factory.mktemp("without_image"), image=False)


@pytest.fixture
def slide(pristine: Result, tmp_path: Path) -> Result:
    """A result for one test."""
    return open_result(shutil.copytree(pristine.folder, tmp_path / "OUT" / "slide"))


@pytest.fixture(scope="session")
def source(pristine: Result) -> ExportSource:
    """The result, opened for exports, all nuclei."""
    return open_source(pristine.folder)
