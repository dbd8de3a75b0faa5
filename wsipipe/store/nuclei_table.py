"""Schema of the nuclei table and its transform to level 0."""

import pyarrow as pa

Affine = tuple[float, float, float]
"""(offset y, offset x, step): level-0 px = offset + step * px, in continuous px."""

STAINS = ("haematoxylin_od_mean", "eosin_od_mean")
"""Mean optical densities of dyes; that of eosin is null where DAB is measured instead."""
TEXTURE = ("grey_std", "grey_entropy", "grey_contrast", "grey_homogeneity", "grey_correlation")
"""Texture of the grey levels, see :mod:`wsipipe.stages.nuclei.texture`."""
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
    *(*STAINS, *TEXTURE),
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
"""Columns that are always measured in a shard.

Colours, densities and texture are null without an image, the tissue class where none was computed.
"""

TYPE_FIELDS = (pa.field("type", pa.string()), pa.field("type_probability", pa.float32()))
"""Columns of results whose weights know types of nuclei; null for nuclei that were drawn by hand."""

POSITIVITY_FIELDS = (
    pa.field("dab_od_mean", pa.float32()),
    pa.field("dab_class", pa.uint8()),
    pa.field("positive", pa.bool_()),
)
"""Columns of results with ``measure.positivity``; null without an image."""


def nuclei_schema(types: bool = False, positivity: bool = False) -> pa.Schema:
    """Return the columns that are measured in a shard.

    Args:
        types: Whether the nuclei have types.
        positivity: Whether DAB was measured.
    """
    more = [*(TYPE_FIELDS if types else ()), *(POSITIVITY_FIELDS if positivity else ())]
    return pa.schema([*SCHEMA][:-1] + more + [SCHEMA.field("polygon")])


def published_schema(measured: pa.Schema) -> pa.Schema:
    """Return the columns of ``nuclei.parquet``: those measured in a shard, and :data:`ADDED`."""
    return pa.schema([*list(measured)[:-1], *ADDED, measured.field("polygon")])


def class_column(names: list[str]) -> str:
    """Return the column with the classes of nuclei.

    It is that of types where there is one, else that of tissue classes.
    """
    return "type" if "type" in names else "tissue_class"
