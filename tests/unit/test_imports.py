"""The core imports and runs headless: no napari, no Qt, and no torch until a network runs."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

HEAVY = ("napari", "qtpy", "PyQt6", "segmentation_models_pytorch", "torchvision", "skimage", "sklearn")
FACES = ("wsipipe", "wsipipe.models", "wsipipe.review")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["wsipipe", "wsipipe.pipeline.run", "wsipipe.cli", "wsipipe.pipeline.execution.shard_task"]
)
def test_core_imports_without_extras_and_torch(module: str) -> None:
    assert not loaded_by(f"import {module}") & {*HEAVY, "torch"}


def test_the_check_sees_what_is_loaded() -> None:
    assert "torch" in loaded_by("import wsipipe.models.predictor")


@pytest.mark.parametrize("module", FACES)
def test_a_face_loads_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import {module}") & {*HEAVY, "torch", "dask", "distributed", "zarr", "numpy"}


def test_versions_are_told_without_torch() -> None:
    told = loaded_by("from wsipipe.cli.versions import versions; versions()")
    assert not told & {*HEAVY, "torch", "distributed", "zarr", "openslide"}


def test_a_workflow_is_made_without_torch() -> None:
    assert not loaded_by("from wsipipe import Workflow; Workflow(name='a')") & {
        *HEAVY,
        "torch",
        "distributed",
    }


def test_public_face_is_small_and_whole() -> None:
    import wsipipe

    assert len(wsipipe.__all__) <= 10
    for name in wsipipe.__all__:
        assert getattr(wsipipe, name) is not None


@pytest.mark.parametrize("module", FACES)
def test_a_face_is_the_same_for_readers_checkers_and_use(module: str) -> None:
    face = import_module(module)
    assert set(face.__all__) == checked_names(Path(str(face.__file__)))
    assert set(face.__all__) <= set(dir(face))
    assert face.__all__ == sorted(face.__all__)
    for name in face.__all__:
        assert getattr(face, name) is not None
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'nonsense'"):
        _ = face.nonsense


def checked_names(path: Path) -> set[str]:
    """Names that a type checker sees: those imported under ``if TYPE_CHECKING``."""
    (block,) = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.If)]
    return {name.name for line in block.body if isinstance(line, ast.ImportFrom) for name in line.names}


def test_models_offer_every_ring_network() -> None:
    from wsipipe import models
    from wsipipe.models.networks.registry import GMR_NETWORKS

    assert {name: getattr(models, name) for name in GMR_NETWORKS} == GMR_NETWORKS


def test_the_documented_way_from_layers_to_a_certificate() -> None:
    import torch

    from wsipipe.models import GMRConv2d, certify, convert_to_gmr, gmr_unet

    layer = GMRConv2d(3, 4, 5).eval()
    image = torch.rand(1, 3, 12, 12)
    torch.testing.assert_close(layer(image.rot90(1, (2, 3))), layer(image).rot90(1, (2, 3)))
    assert certify(gmr_unet(widths=(4, 8), kernel_sizes=(3, 3)), degrees=()).passed
    plain = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU())
    assert isinstance(convert_to_gmr(plain, 3)[0], GMRConv2d)
