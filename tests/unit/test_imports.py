"""The core imports and runs headless: no napari, no Qt, and no torch until a network runs."""

import subprocess
import sys

import pytest

HEAVY = ("napari", "qtpy", "PyQt6", "albumentations")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["wsipipe", "wsipipe.workflow", "wsipipe.cli", "wsipipe.worker"])
def test_core_imports_without_extras_and_torch(module: str) -> None:
    assert not loaded_by(f"import {module}") & {*HEAVY, "torch"}


def test_the_check_sees_what_is_loaded() -> None:
    assert "torch" in loaded_by("import wsipipe.models.predictor")


def test_public_face_is_small_and_whole() -> None:
    import wsipipe

    assert len(wsipipe.__all__) < 10
    for name in wsipipe.__all__:
        assert getattr(wsipipe, name) is not None
