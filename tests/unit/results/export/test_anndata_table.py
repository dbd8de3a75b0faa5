"""AnnData holds the measures of the table, as its own reader reads them."""

from pathlib import Path

import numpy as np
import pytest

from wsipipe.results.export import anndata_table, source
from wsipipe.results.export.source import ExportOptions, ExportSource, open_source
from wsipipe.store.result import Result

anndata = pytest.importorskip(
    "anndata", reason="LOUD SKIP: the extra anndata is not installed, so its export is NOT tested"
)
# Of anndata itself, with pandas 3.
pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")


def test_every_nucleus_is_an_observation(
    pristine: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "_BATCH_ROWS", 10)
    nuclei = pristine.nuclei
    assert anndata_table.write(open_source(pristine.folder), tmp_path / "n.h5ad") == len(nuclei)
    found = anndata.read_h5ad(tmp_path / "n.h5ad")
    assert found.obs["nucleus_id"].tolist() == nuclei.id.tolist()
    assert found.obs_names.tolist() == [str(one) for one in nuclei.id]
    names = found.var_names.tolist()
    assert {"area_um2", "probability", "mean_red"} <= set(names)
    np.testing.assert_array_equal(found.X, nuclei[names].to_numpy(np.float32))
    np.testing.assert_array_equal(found.obsm["spatial"], nuclei[["centroid_x_px0", "centroid_y_px0"]])
    np.testing.assert_array_equal(found.obsm["spatial_um"], nuclei[["centroid_x_um", "centroid_y_um"]])
    known = nuclei.tissue_class.notna().to_numpy()
    assert found.obs["tissue_class"][known].tolist() == nuclei.tissue_class[known].tolist()
    assert found.obs["tissue_class"].isna().tolist() == (~known).tolist()
    assert found.uns["wsipipe"]["level0_um_per_px"] == 0.25


def test_an_empty_selection_is_written(pristine: Result, tmp_path: Path) -> None:
    none = ExportSource(pristine, ExportOptions(min_probability=1.1))
    assert anndata_table.write(none, tmp_path / "n.h5ad") == 0
    assert anndata.read_h5ad(tmp_path / "n.h5ad").shape[0] == 0
