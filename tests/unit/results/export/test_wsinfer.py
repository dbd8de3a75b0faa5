"""The cells of the class map, as WSInfer writes the patches of its models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wsipipe.errors import NoResultError
from wsipipe.results.export import wsinfer
from wsipipe.results.export.source import ExportSource
from wsipipe.review.published import PublishedSlide
from wsipipe.store.result import Result


def table_of(folder: Path) -> pd.DataFrame:
    (path,) = (folder / wsinfer.TABLES).iterdir()
    assert path.name == "synthetic-3.csv"
    return pd.read_csv(path)


def test_every_computed_cell_is_a_row(
    source: ExportSource, pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wsinfer, "_BAND_ROWS", 3)
    # 16 x 16 cells of 32 px of 0.5 um, 2 px of level 0 each; the last row was not computed.
    assert wsinfer.write(source, tmp_path / "out") == 15 * 16
    found = table_of(tmp_path / "out")
    assert list(found) == ["minx", "miny", "width", "height", "prob_stroma", "prob_gland"]
    assert (found.width == 64).all()
    assert (found.height == 64).all()
    assert found.minx.tolist() == [64 * column for _ in range(15) for column in range(16)]
    assert found.miny.tolist() == [64 * row for row in range(15) for _ in range(16)]
    stored = np.asarray(pristine.arrays.probabilities["tissue_class"][...])[:, :15].reshape(2, -1)
    np.testing.assert_array_equal(found[["prob_stroma", "prob_gland"]].to_numpy().T, stored / 250)


def test_cells_of_uneven_scale_tile_the_slide(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PublishedSlide, "affine", (7.25, 3.5, 1.9841))
    wsinfer.write(source, tmp_path / "out")
    found = table_of(tmp_path / "out")
    row = found[found.miny == found.miny.min()]
    assert (row.minx + row.width).tolist()[:-1] == row.minx.tolist()[1:]
    assert row.minx.iloc[0] == 4
    assert row.minx.iloc[15] == round(3.5 + 15 * 32 * 1.9841)
    assert sorted(set(row.width)) == [63, 64]


def test_metadata_have_the_keys_of_wsinfer(source: ExportSource, tmp_path: Path) -> None:
    wsinfer.write(source, tmp_path / "out")
    found = json.loads((tmp_path / "out" / wsinfer.METADATA).read_text())
    assert set(found["model"]) >= {"config", "huggingface_location", "path"}
    config = found["model"]["config"]
    assert (config["class_names"], config["num_classes"]) == (["stroma", "gland"], 2)
    # The side of a cell in um.
    assert config["patch_size_pixels"] * config["spacing_um_px"] == 16
    assert "version" in found["runtime"]


def test_without_classes_nothing_is_written(
    source: ExportSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(source.result.arrays), "probabilities", {})
    with pytest.raises(NoResultError, match="holds no tissue classes"):
        wsinfer.write(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
