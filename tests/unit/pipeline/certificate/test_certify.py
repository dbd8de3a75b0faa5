"""A certificate passes on what a run published, and fails where one pixel was changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wsipipe.errors import ConfigError, ModelError, StorageError
from wsipipe.geometry import Orientation, Region
from wsipipe.pipeline.certificate import opened
from wsipipe.pipeline.certificate.angles import measure_angles
from wsipipe.pipeline.certificate.certify import certify_slide
from wsipipe.pipeline.certificate.networks import Networks
from wsipipe.pipeline.certificate.record import (
    Exact,
    LayerCheck,
    SlideCertificate,
    is_current,
    read_certificate,
    reasons_of,
    write_certificate,
)
from wsipipe.pipeline.estimate.in_process import InProcessPool
from wsipipe.pipeline.maintenance import verify
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.pipeline.slide_run import Device, run_slide
from wsipipe.review.published import open_published
from wsipipe.review.queue import make_queue
from wsipipe.stages.workflow import Workflow
from wsipipe.store import manifest
from wsipipe.store.arrays import open_array
from wsipipe.synth.writer import make_slide

LAYERS = {"labels/nuclei/0", "probabilities/nucleus/0", "probabilities/centre/0"}
CLASSES = {"labels/tissue_class/0", "probabilities/tissue_class/0"}


BLOCK, SIDE = 256, 384
"""Side of blocks and of the canvas, px."""
BLOCKS = [(0, 0, 128, 128), (0, 128, 128, 256), (128, 0, 256, 128), (128, 128, 256, 256)]


@pytest.fixture(scope="module")
def published(
    tiny_workflow: Workflow,
    plan_for: Callable[[Path, Workflow], Plan],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """All stages of a slide of 768 px with tiny networks, computed in this process."""
    folder = tmp_path_factory.mktemp("certified")
    make_slide(folder / "slide.svs", 2 * SIDE, seed=3)
    plan = plan_for(folder / "slide.svs", tiny_workflow)
    run_slide(InProcessPool(), plan, folder, Device())
    return folder / plan.slide.slide_id


@pytest.fixture(scope="module")
def passed(published: Path) -> SlideCertificate:
    """The certificate of the result."""
    return certify_slide(published, sample=9, block_px=BLOCK)


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    """A copy of the result that a test may change."""
    return shutil.copytree(published, tmp_path / published.name)


def change(folder: Path, array: str, place: tuple[int, int], value: int) -> None:
    """Change one stored pixel."""
    opened = open_array(folder / "slide.zarr" / array, writable=True)
    assert opened[place] != value
    opened[place] = value


def republish(folder: Path) -> None:
    """Write the manifest as if the run had published the present files."""
    content = manifest.read(folder)
    for path in manifest.damaged(folder):
        file = folder / path
        content["files"][path] = {"bytes": file.stat().st_size, "sha256": manifest.sha256_of(file)}
    content["digest"] = manifest._digest(content)
    manifest.write_json(folder / manifest.MANIFEST, content)
    assert verify(folder) == []


def layers_of(found: SlideCertificate) -> dict[str, LayerCheck]:
    return {layer.name: layer for layer in found.layers}


def test_nothing_differs_in_what_a_run_published(passed: SlideCertificate) -> None:
    assert layers_of(passed).keys() >= LAYERS | CLASSES
    for layer in passed.layers:
        assert set(layer.differing_px) == set(Orientation.__members__)
        assert (layer.worst_px, layer.left_out_px, layer.exact) == (0, 0, "all")
    nucleus = layers_of(passed)["probabilities/nucleus/0"]
    assert nucleus.differing_px_by_side == {"128": 0}
    assert passed.passed
    assert passed.not_compared["labels/tissue/0"] == "computed from the slide itself"
    assert passed.pixels_from == "store"
    assert [tuple(vars(block).values()) for block in passed.blocks] == BLOCKS
    assert layers_of(passed)["labels/nuclei/0"].compared_px == nucleus.compared_px == SIDE**2


def test_it_is_valid_until_the_result_changes(copy: Path, passed: SlideCertificate) -> None:
    assert read_certificate(copy) is None
    path = write_certificate(copy, passed)
    assert path.name == "slide_certificate.json"
    assert verify(copy) == []
    assert read_certificate(copy) == passed
    assert is_current(copy, passed)
    change(copy, "labels/tissue/0", (0, 0), 7)
    republish(copy)
    assert not is_current(copy, passed)


def test_a_changed_certificate_is_refused(copy: Path, passed: SlideCertificate) -> None:
    path = write_certificate(copy, passed)
    content = json.loads(path.read_text())
    for change_, message in (
        ({"blocks_with_tissue": 99}, "digest is not that of the other fields"),
        ({"passed": False}, "verdict does not follow"),
        ({"note": ""}, "note"),
    ):
        path.write_text(json.dumps(content | change_))
        with pytest.raises(StorageError, match=message):
            read_certificate(copy)


def test_one_changed_pixel_of_each_array_fails(copy: Path) -> None:
    arrays = {name: open_array(copy / "slide.zarr" / name)[...] for name in (*LAYERS, *CLASSES)}
    labels = arrays["labels/nuclei/0"]
    ids, counts = np.unique(labels[labels > 0], return_counts=True)
    y, x = np.argwhere(labels == ids[counts.argmax()])[0]
    change(copy, "labels/nuclei/0", (y, x), int(ids[counts.argmin()]))
    for name in ("probabilities/centre/0", "labels/tissue_class/0"):
        # The first px: far below the threshold of seeds, so that the nuclei stay.
        y, x = np.argwhere(arrays[name] < 100)[0]
        change(copy, name, (y, x), int(arrays[name][y, x]) + 1)
    republish(copy)
    found = certify_slide(copy, sample=9, block_px=BLOCK)
    for name in ("labels/nuclei/0", "probabilities/centre/0", "labels/tissue_class/0"):
        layer = layers_of(found)[name]
        assert set(layer.differing_px.values()) == {1}
        assert set(layer.differing_px_by_side.values()) == {1}
    assert layers_of(found)["probabilities/nucleus/0"].worst_px == 0
    assert not found.passed
    assert "labels/nuclei/0: 1 of 147,456 px differ" in found.reasons


def test_files_that_the_manifest_does_not_have_are_refused(copy: Path) -> None:
    change(copy, "labels/tissue/0", (0, 0), 7)
    with pytest.raises(StorageError, match=r"since it was published: slide.zarr/labels/tissue/0/c/0/0\. A"):
        certify_slide(copy)


def test_other_weights_are_refused(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = opened.workflow_cards

    def other(workflow: Workflow) -> dict:
        cards = real(workflow)
        return cards | {"segment": cards["segment"].model_copy(update={"sha256": "1" * 64})}

    monkeypatch.setattr(opened, "workflow_cards", other)
    with pytest.raises(ModelError, match="not those of the run: their SHA-256 is 111111111111"):
        certify_slide(published)


def test_angles_give_the_review_queue_its_places(copy: Path) -> None:
    with pytest.raises(ConfigError, match="no queue 'orientation'"):
        make_queue(open_published(copy), "orientation", 5)
    with opened.opened(copy) as slide:
        found = measure_angles(slide, [Region(0, 0, SIDE, SIDE)], Networks(slide))
        # Again: the array is replaced.
        assert measure_angles(slide, [Region(0, 0, SIDE, SIDE)], Networks(slide)) == found
    assert 0 < found.mean < 0.5
    assert verify(copy) == []
    result = open_published(copy)
    stored = result.result.arrays.probabilities["disagreement"][...]
    assert ((stored <= 250) == (result.result.arrays.labels["tissue"][0][...] == 1)).all()
    items = {item.region: item.why for item in make_queue(result, "orientation", 5)}
    known = np.where(stored <= 250, stored, 0)[:16, :16]
    assert items[Region(0, 0, 256, 256)] == f"orientations differ by {known.mean() / 250:.3f}"


@pytest.mark.parametrize(
    ("exact", "differing", "by_side", "is_failure"),
    [
        ("all", {"R0": 0, "R90": 3}, {"512": 0}, True),
        ("all", {"R0": 0, "R90": 0}, {"512": 2}, True),
        ("shards", {"R0": 0, "R90": 3}, {"512": 0}, False),
        ("shards", {"R0": 0, "R90": 3}, {"512": 1}, True),
        ("none", {"R0": 1, "R90": 3}, {"512": 1}, False),
    ],
)
def test_a_layer_fails_where_its_network_must_be_exact(
    exact: Exact, differing: dict[str, int], by_side: dict[str, int], is_failure: bool
) -> None:
    layer = LayerCheck(
        name="a", compared_px=60, differing_px=differing, differing_px_by_side=by_side, exact=exact
    )
    assert bool(reasons_of([layer])) == is_failure
    assert layer.worst_share == max(differing["R90"], by_side["512"]) / 60


def test_without_pixels_nothing_passes() -> None:
    assert reasons_of([]) == ["no pixel was compared"]
