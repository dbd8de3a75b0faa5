"""Schema of the nuclei table and its transform to level 0."""

import pyarrow as pa

Affine = tuple[float, float, float]
"""(offset y, offset x, step): level-0 px = offset + step * px, in continuous px."""

_FLOAT32 = (
    *(
        "area_um2",
        "perimeter_um",
        "major_axis_um",
        "minor_axis_um",
        "eccentricity",
        "solidity",
        "circularity",
    ),
    *("probability", "mean_red", "mean_green", "mean_blue"),
)

ADDED = (
    pa.field("nearest_nucleus_um", pa.float32()),
    pa.field("nuclei_within_25_um", pa.uint32(), nullable=False),
    pa.field("nuclei_within_50_um", pa.uint32(), nullable=False),
    pa.field("region", pa.string()),
)
"""Columns that need the nuclei of other shards, or the regions of interest of the slide.

The region is null outside all.
"""
SCHEMA = pa.schema(
    [pa.field("id", pa.uint32(), nullable=False)]
    + [pa.field(f"centroid_{axis}_{unit}", pa.float64()) for unit in ("um", "px0") for axis in "yx"]
    + [pa.field(name, pa.float32()) for name in _FLOAT32]
    + [pa.field("tissue_class", pa.string()), pa.field("polygon", pa.binary(), nullable=False)]
)
"""Columns that are measured in a shard.

Colours are null without an image, the tissue class where none was computed.
"""
PUBLISHED_SCHEMA = pa.schema([*list(SCHEMA)[:-1], *ADDED, SCHEMA.field("polygon")])
"""Columns of ``nuclei.parquet``."""
