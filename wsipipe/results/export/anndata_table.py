"""Write the measures of nuclei as an AnnData file."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from wsipipe.results.export.source import ExportSource

_POSITIONS = [f"centroid_{axis}_{unit}" for unit in ("px0", "um") for axis in "xy"]


def write(source: ExportSource, path: Path) -> int:
    """Write one observation per nucleus; see :func:`measures_of`.

    Args:
        source: Result to write.
        path: File to write, HDF5.

    Returns:
        Number of nuclei.
    """
    found = measures_of(source)
    found.write_h5ad(path, compression="gzip")
    return int(found.n_obs)


def measures_of(source: ExportSource) -> Any:
    """Return the measures of nuclei as AnnData, one observation per nucleus.

    ``X`` has the measures as float32, ``obs`` id and class, ``obsm["spatial"]`` the centroids (x, y) in
    level-0 px and ``obsm["spatial_um"]`` those in um. Unknown measures are NaN.

    Args:
        source: Result to read.
    """
    import anndata

    schema = source.nuclei_schema()
    measures = [field.name for field in schema if pa.types.is_float32(field.type)]
    columns = ["id", *_POSITIONS, *measures, *(["tissue_class"] if "tissue_class" in schema.names else [])]
    tables = list(source.nuclei(columns))
    kept = pa.schema([schema.field(name) for name in columns]).remove_metadata()
    table = pa.concat_tables([each.cast(kept) for each in tables]) if tables else kept.empty_table()
    frame = table.to_pandas()
    observed = pd.DataFrame({"nucleus_id": frame["id"].to_numpy()}, index=frame["id"].astype(str).to_numpy())
    if "tissue_class" in frame:
        observed["tissue_class"] = pd.Categorical(frame["tissue_class"].to_numpy(dtype=object))
    spatial = frame[_POSITIONS].to_numpy(np.float64)
    return anndata.AnnData(
        frame[measures].to_numpy(np.float32),
        obs=observed,
        var=pd.DataFrame(index=measures),
        obsm={"spatial": spatial[:, :2], "spatial_um": spatial[:, 2:]},
        uns={"wsipipe": _about(source)},
    )


def _about(source: ExportSource) -> dict[str, object]:
    slide = source.slide
    about = {"slide_id": slide.slide_id, "plan": slide.plan, "notice": source.result.attributes["notice"]}
    return about | {"level0_um_per_px": slide.mpp / slide.affine[2]}
