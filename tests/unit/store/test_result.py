"""A finished slide opens as arrays and a table; a hole in it is an error."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from wsipipe.errors import StorageError
from wsipipe.store.result import Result, open_result


@pytest.fixture
def copied(finished: Result, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.folder, tmp_path / "slide"))


def test_all_that_was_computed_is_there(finished: Result) -> None:
    assert [level.shape for level in finished.image] == [(3, 512, 512), (3, 256, 256)]
    shapes = {name: levels[0].shape for name, levels in finished.labels.items()}
    assert shapes == {"nuclei": (512, 512), "tissue": (32, 32), "tissue_class": (16, 16)}
    maps = {name: array.shape for name, array in finished.probabilities.items()}
    assert maps == {"nucleus": (512, 512), "centre": (512, 512), "tissue_class": (2, 16, 16)}
    assert finished.attributes["slide_mpp_source"] == "vendor"


def test_ids_rows_and_features_are_one(finished: Result) -> None:
    ids = np.unique(finished.labels["nuclei"][0][...])
    table = finished.nuclei()
    assert len(table) > 10
    np.testing.assert_array_equal(ids, np.arange(len(table) + 1))
    np.testing.assert_array_equal(table["id"], ids[1:])


def test_scales_are_in_um(finished: Result) -> None:
    assert finished.scale_um() == (0.5, 0.5, 0.0, 0.0)
    assert finished.scale_um("labels/tissue") == (8.0, 8.0, 3.75, 3.75)


def test_the_store_opens_by_its_own_name(finished: Result) -> None:
    assert open_result(finished.store).folder == finished.folder


def test_a_missing_shard_is_no_background(copied: Path) -> None:
    (copied / "slide.zarr/labels/nuclei/0/c/0/1").unlink()
    nuclei = open_result(copied).labels["nuclei"][0]
    assert nuclei[:256, :256].shape == (256, 256)
    with pytest.raises(Exception, match=r"[Cc]hunk|shard"):
        nuclei[...]
    assert (zarr.open_array(copied / "slide.zarr/labels/nuclei/0", mode="r")[:256, 256:] == 0).all()
    assert open_result(copied).damaged() == ["slide.zarr/labels/nuclei/0/c/0/1"]


def test_what_was_never_finished_does_not_open(copied: Path) -> None:
    (copied / "slide.zarr/manifest.json").unlink()
    with pytest.raises(StorageError, match="not a finished result"):
        open_result(copied)


def test_a_workflow_without_nuclei_has_no_table(tiled: Result) -> None:
    with pytest.raises(StorageError, match="no nuclei"):
        tiled.nuclei()
    assert tiled.damaged() == []
