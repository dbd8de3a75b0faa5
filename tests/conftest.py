"""Shared fixtures: real data where it is, tiny made data everywhere else."""

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run tests: more threads would wait for each other. Libraries read it once.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")

import numpy as np
import psutil
import pytest

from wsipipe.geometry import Region
from wsipipe.pipeline.cluster.client import SERVER_ENVIRONMENT, connect
from wsipipe.pipeline.cluster.process_server import start_server
from wsipipe.pipeline.execution.warm_up import shard_modules
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.planning.slide_facts import inspect_slide
from wsipipe.pipeline.run import Resources, run
from wsipipe.stages.classify import ClassifyParams
from wsipipe.stages.flow import workflow_cards
from wsipipe.stages.grid import lattice_px
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.segment import SegmentParams
from wsipipe.stages.tile import TileParams
from wsipipe.stages.workflow import Workflow
from wsipipe.store.result import Result
from wsipipe.synth.writer import make_slide
from wsipipe.tiling.collect import collect
from wsipipe.tiling.slide import open_slide

TESTS = Path(__file__).parent
LONG = (
    "integration/test_crashes.py",
    "integration/test_workers.py",
    "integration/test_scripts.py",
    "gui/test_review.py",
    "integration/test_other_systems.py",
    "integration/test_orientations.py",
    "integration/test_same_bytes.py",
    "unit/models/kernels/test_build.py",
    "unit/models/certificate/test_certify.py",
    "unit/test_notebooks.py",
    "integration/test_real_slides.py",
)
"""Files that take longest; of the files that begin last, a long one would leave the other processes idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first; all others keep their order."""
    places = {TESTS / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data (``WSIPIPE_DATA``, else ``../shared/data`` beside the checkout)."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("WSIPIPE_DATA", beside))
    if not (folder / "slides").is_dir():
        pytest.skip(f"real data absent: no folder {folder}/slides; set WSIPIPE_DATA to where it is")
    return folder


WriteDicom = Callable[..., Path]


def _element(tag: int, vr: str, value: str | bytes | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("<I" if vr == "UL" else "<H", value)
    text = value.encode() if isinstance(value, str) else value
    text += (b" " if vr in {"CS", "DS", "IS"} else b"\0") * (len(text) % 2)
    length = struct.pack("<xxI" if vr in {"OB", "SQ"} else "<H", len(text))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode() + length + text


def _sequence(tag: int, *elements: bytes) -> bytes:
    body = b"".join(elements)
    return _element(tag, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body)


@pytest.fixture(scope="session")
def write_dicom() -> WriteDicom:
    """Writes a whole-slide DICOM file of one uncompressed tile, 0.5 um/px, as OpenSlide reads it."""

    def write(
        path: Path, pixels: np.ndarray, series: str, instance: int = 1, flavour: str = "VOLUME"
    ) -> Path:
        height, width = pixels.shape[:2]
        sop_class, uid = "1.2.840.10008.5.1.4.1.1.77.1.6", f"{series}.{instance}"
        meta = [(0x00020001, "OB", b"\0\1"), (0x00020002, "UI", sop_class), (0x00020003, "UI", uid)]
        meta += [(0x00020010, "UI", "1.2.840.10008.1.2.1"), (0x00020012, "UI", "1.2.3.9")]
        head = [(0x00080008, "CS", f"ORIGINAL\\PRIMARY\\{flavour}\\NONE"), (0x00080016, "UI", sop_class)]
        head += [(0x00080018, "UI", uid), (0x00080060, "CS", "SM"), (0x0020000D, "UI", "1.2")]
        head += [(0x0020000E, "UI", series), (0x00200013, "IS", "1"), (0x00200052, "UI", "1.2.3.4")]
        head += [(0x00209311, "CS", "TILED_FULL"), (0x00280002, "US", 3), (0x00280004, "CS", "RGB")]
        head += [(0x00280006, "US", 0), (0x00280008, "IS", "1"), (0x00280010, "US", height)]
        head += [(0x00280011, "US", width), (0x00280100, "US", 8), (0x00280101, "US", 8)]
        head += [(0x00280102, "US", 7), (0x00280103, "US", 0), (0x00480006, "UL", width)]
        head += [(0x00480007, "UL", height)]
        spacing = _sequence(0x00289110, _element(0x00280030, "DS", "0.0005\\0.0005"))
        coded = b"".join(_element(*each) for each in meta)
        data = b"".join(_element(*each) for each in head) + _sequence(0x52009229, spacing)
        data += _element(0x7FE00010, "OB", pixels.tobytes())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" + _element(0x00020000, "UL", len(coded)) + coded + data)
        return path

    return write


@pytest.fixture(scope="session", autouse=True)
def _process_server() -> None:
    """Start the process that forks workers with all that any test's workers import."""
    start_server(("distributed.worker", *shard_modules(has_networks=True)), SERVER_ENVIRONMENT)


def worker_processes() -> list[psutil.Process]:
    """Return the worker processes of this process's clusters, including those that are starting."""
    found = []
    for process in psutil.Process().children(recursive=True):
        # One that is just dying cannot be asked.
        with suppress(psutil.NoSuchProcess):
            words = " ".join(process.cmdline())
            is_forked = "multiprocessing.forkserver" in words and process.ppid() != os.getpid()
            if "spawn_main" in words or is_forked:
                found.append(process)
    return found


@pytest.fixture(scope="session")
def workers() -> Callable[[], list[psutil.Process]]:
    """Finds the worker processes of this process's clusters."""
    return worker_processes


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

    from wsipipe.models.cards.card import ModelCard
    from wsipipe.models.networks.registry import build, save

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
        found = inspect_slide(
            collect([slide])[0], workflow.tile.mpp, lattice_px(workflow.tile.mpp, cards), "cpu"
        )
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
