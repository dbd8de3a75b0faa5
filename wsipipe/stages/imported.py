"""Section ``imported``: nuclei of another program in place of those of a network.

The nuclei are prepared on the canvas before the run, see ``wsipipe import``. They are numbered, measured and
published as all others.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.stages.stage_params import StageContext
from wsipipe.store.encoding import NOT_COMPUTED, PROBABILITY_MAX
from wsipipe.store.tables import Table

GIVEN_LABELS, GIVEN_TYPES = "given_labels", "given_types"
"""Prepared arrays on the canvas: nuclei numbered from 1, and their types from 1; 0 for none."""
_COLOURS = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0]]
"""Colours of Okabe and Ito, which readers with any kind of colour vision tell apart."""
_ALL_SIZES = InstanceParams(min_area_um2=0, max_area_um2=1e12)


class ImportedParams(BaseModel):
    """Nuclei of another program, and where they were prepared.

    Attributes:
        source: Name of the file.
        sha256: SHA-256 of the file.
        count: Number of nuclei.
        types: Names of their classes; empty for none.
        options: Options of the import that affect the result.
        prepared: Folder of the prepared arrays, which is deleted after the import.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    sha256: str
    count: int = Field(ge=1)
    types: tuple[str, ...] = ()
    options: dict[str, float] = {}
    prepared: str = ""

    def causes(self) -> dict[str, object]:
        """Return the values that affect the result; the folder of the prepared arrays does not."""
        return self.model_dump(mode="json", exclude={"prepared"})


def imported_stages(params: ImportedParams, context: StageContext) -> list[Stage]:
    """Declare the stages that number, publish and measure the nuclei."""
    # These import scipy, shapely and pyarrow, which sections without nuclei do not need.
    from wsipipe.stages.nuclei.grow import GROWN, summed
    from wsipipe.stages.nuclei.number import NUMBERED, merge_instances
    from wsipipe.stages.nuclei.relabel import nuclei_stage
    from wsipipe.stages.nuclei.table import table_stage
    from wsipipe.stages.segment import TYPE_MAP

    grid, side, types = context.grid, context.shard_px, params.types
    reads = [Read(GIVEN_LABELS, 1), *([Read(GIVEN_TYPES, 1)] if types else [])]

    def kernel(shard: ShardInput) -> ShardOutput:
        labels = shard.read(GIVEN_LABELS).pixels
        numbers, local = np.unique(labels, return_inverse=True)
        if numbers[0] != 0:
            numbers, local = np.insert(numbers, 0, 0), local + 1
        certain = np.full(labels.shape, PROBABILITY_MAX, np.uint8)
        found, partial = summed(
            local.reshape(labels.shape).astype(np.uint32), certain, shard.core, numbers.astype(np.uint32)
        )
        arrays: dict[str, Array] = {GROWN: found}
        if types:
            arrays[TYPE_MAP] = _by_type(shard.read(GIVEN_TYPES).pixels, len(types))
        return ShardOutput(arrays, partial)

    def reduce(partials: dict[tuple[int, int], Table], _: Mapping[str, Table]) -> Table:
        return merge_instances(partials.values(), params.count, grid.mpp, _ALL_SIZES)

    writes = [Write(GROWN, "scratch", "uint32", 0)]
    writes += [Write(TYPE_MAP, "scratch", "uint8", NOT_COMPUTED, types)] if types else []
    legend = [{"name": name, "color": _COLOURS[number % len(_COLOURS)]} for number, name in enumerate(types)]
    return [
        Stage(NUMBERED, 1, side, tuple(reads), tuple(writes), kernel, reduce),
        nuclei_stage(1, side, legend),
        _without_probability(table_stage(grid, 1, side, None, types)),
    ]


def _by_type(values: Array, count: int) -> Array:
    """Return the probabilities (types, h, w) uint8 of types: all or nothing."""
    return np.stack(
        [np.where(values == number, PROBABILITY_MAX, 0) for number in range(1, count + 1)]
    ).astype(np.uint8)


def _without_probability(table: Stage) -> Stage:
    """Return the stage of the table without probabilities, since none were computed."""
    import pyarrow as pa

    def kernel(shard: ShardInput) -> ShardOutput:
        output = table.kernel(shard)
        rows = output.rows
        assert rows is not None  # noqa: S101
        place = rows.schema.get_field_index("probability")
        empty = pa.nulls(rows.num_rows, rows.schema.field(place).type)
        return replace(output, rows=rows.set_column(place, rows.schema.field(place), empty))

    return replace(table, kernel=kernel)
