"""Shared fixtures: real data where it is, tiny made data everywhere else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wsipipe.cluster import connect
from wsipipe.config import Workflow
from wsipipe.geometry import Region
from wsipipe.plan import Plan, lattice_px, workflow_cards
from wsipipe.results import Result
from wsipipe.stages.classify import ClassifyParams
from wsipipe.stages.instance_params import InstanceParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.tile import TileParams
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.collect import collect
from wsipipe.tiling.slide import open_slide
from wsipipe.worker import inspect
from wsipipe.workflow import Resources, run


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (``WSIPIPE_DATA``, else ``../shared/data`` beside the checkout)."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSIPIPE_DATA", beside))
    if not (folder / "slides").is_dir():
        pytest.skip(f"real data absent: no folder {folder}/slides; set WSIPIPE_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def scheduler() -> Iterator[str]:
    """Address of one local cluster of two CPU processes, shared by all tests that run workflows."""
    with connect(workers=2) as client:
        yield client.scheduler.address


@pytest.fixture(scope="session")
def small_slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic slide of 1,024 px at 0.25 um/px, its truth beside it."""
    path = tmp_path_factory.mktemp("slides") / "small.svs"
    make_slide(path, 1024, seed=3)
    return path


def _cards() -> list[tuple[str, dict, dict]]:
    """Architecture, arguments and the rest of the card of each."""
    common = {"sha256": "0" * 64, "data": ["none"], "licence": "none", "non_commercial": False}
    stain = {"mean": (0.5, 0.9, 0.5), "sd": (0.3, 0.5, 0.3)}
    nuclei = {"name": "tiny_nuclei", "mpp": 0.5, "activation": "sigmoid", "stain_reference": stain} | common
    tissue = {"name": "tiny_tissue", "mpp": 1.0, "activation": "softmax"} | common
    unet = {"widths": [4, 8], "kernel_sizes": [3, 3]}
    resnet = {"num_classes": 2, "width": 4, "kernel_sizes": [3, 3, 3, 3], "window": 3}
    return [
        ("gmr_unet", unet, nuclei | {"outputs": [{"name": "nucleus"}, {"name": "centre"}]}),
        ("gmr_resnet18", resnet, tissue | {"outputs": [{"name": "one"}, {"name": "two"}]}),
    ]


PlanFor = Callable[[Path, Workflow], Plan]


@pytest.fixture(scope="session")
def tiny_weights(small_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of ``tiny_nuclei.safetensors`` and ``tiny_tissue.safetensors``: quick and untrained."""
    import torch

    from wsipipe.models.architectures import build, save
    from wsipipe.models.zoo import ModelCard

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    with open_slide(small_slide) as slide:
        pixels = torch.from_numpy(slide.read(Region(0, 0, 256, 256), 0.5))
    patch = (pixels.permute(2, 0, 1)[None].float() - 255) / 64
    for architecture, arguments, card in _cards():
        network = build(architecture, arguments, "radial").train()
        with torch.no_grad():
            # Norms that know the slide, and a loud last layer: answers that differ from px to px.
            for _ in range(10):
                network(patch)
            network.head.weight.mul_(8 if architecture == "gmr_unet" else 1)
        save(network, ModelCard(architecture=architecture, arguments=arguments, **card), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_workflow(tiny_weights: Path) -> Workflow:
    """All stages, with tiny networks and small shards."""
    return Workflow(
        name="tiny",
        tile=TileParams(shard_px=256, chunk_px=128),
        segment=SegmentParams(weights=str(tiny_weights / "tiny_nuclei.safetensors"), precision="float32"),
        instances=InstanceParams(grow_um=2),
        classify=ClassifyParams(
            weights=str(tiny_weights / "tiny_tissue.safetensors"), precision="float32", shard_cells=8
        ),
    )


@pytest.fixture(scope="session")
def plan_for() -> PlanFor:
    """Plans a slide as a run does, without a cluster."""

    def plan(slide: Path, workflow: Workflow) -> Plan:
        cards = workflow_cards(workflow)
        found = inspect(collect([slide])[0], workflow.tile.mpp, lattice_px(workflow, cards), "cpu")
        return Plan(collect([slide])[0], found.facts, workflow, cards)

    return plan


SMALL_SHARDS = ("tile.shard_px=256", "tile.chunk_px=128")


@pytest.fixture(scope="session")
def tiled(small_slide: Path, scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """``tiling_only`` of the small slide, in shards of 256 px."""
    out, resources = tmp_path_factory.mktemp("tiled"), Resources(scheduler=scheduler)
    return run("tiling_only", small_slide, out, settings=SMALL_SHARDS, resources=resources).results()[0]


@pytest.fixture(scope="session")
def finished(
    small_slide: Path, tiny_workflow: Workflow, scheduler: str, tmp_path_factory: pytest.TempPathFactory
) -> Result:
    """All stages of the small slide, with tiny networks."""
    out, resources = tmp_path_factory.mktemp("finished"), Resources(scheduler=scheduler, device="cpu")
    return run(tiny_workflow, small_slide, out, resources=resources).results()[0]
