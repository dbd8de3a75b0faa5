"""What types and positivity of nuclei cost: processor seconds against a run without them.

``python benchmarks/nucleus_types.py`` prints ratios of the network with four types to that without, and of
the table with types and with positivity to that without, on one field of 1,024 px with about 1,300 nuclei.
Repeats are interleaved, and the least time of each counts.
"""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from wsipipe.common.colours import QUPATH_TYPES
from wsipipe.geometry import Region
from wsipipe.models.networks.registry import load
from wsipipe.models.predictor import Predictor
from wsipipe.stages.nuclei.positivity import MeasureParams
from wsipipe.stages.nuclei.table import measure
from wsipipe.stages.nuclei.types import TypeMaps
from wsipipe.store.tables import Table
from wsipipe.training.nucleus_types import type_outputs

SIDE_PX = 1024
REPEATS = 5
NAMES = tuple(QUPATH_TYPES)


def fastest(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the least processor seconds of each call, run in turn."""
    seconds = dict.fromkeys(calls, np.inf)
    for _ in range(repeats):
        for name, call in calls.items():
            began = time.process_time()
            call()
            seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


def networks() -> dict[str, Callable[[], object]]:
    """Return the passes of a network without types and with four."""
    network, card = load("nuclei_gmr_unet_0.5")
    typed = copy.deepcopy(network)
    typed.head = nn.Conv2d(typed.head.in_channels, 2 + len(NAMES), 1)
    outputs = (*card.outputs, *type_outputs(NAMES))
    typed_card = card.model_copy(update={"outputs": outputs, "types": NAMES})
    plain = Predictor(network, card, "cpu", "float32")
    more = Predictor(typed, typed_card, "cpu", "float32")
    patch = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    return {"network": lambda: plain(patch), "network, types": lambda: more(patch)}


def tables() -> dict[str, Callable[[], object]]:
    """Return the measurements of one field without and with types and positivity."""
    rng = np.random.default_rng(0)
    seeds = np.zeros((SIDE_PX, SIDE_PX), bool)
    seeds[14::28, 14::28] = True
    labels, _ = ndimage.label(ndimage.distance_transform_edt(~seeds) < 7)
    image = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    maps = TypeMaps(rng.integers(0, 251, (len(NAMES), SIDE_PX, SIDE_PX)).astype(np.uint8), NAMES)
    rows: Table = {"id": np.arange(1, labels.max() + 1, dtype=np.uint32)}
    rows["area"] = np.bincount(labels.ravel())[1:]
    rows["nucleus"] = rows["area"] * 200
    given = (labels.astype(np.uint32), rows, Region(0, 0, SIDE_PX, SIDE_PX), (0.0, 0.0, 1.0), 0.5, image)
    return {
        "table": lambda: measure(*given),
        "table, types": lambda: measure(*given, types=maps),
        "table, positivity": lambda: measure(*given, positivity=MeasureParams(positivity=True)),
    }


def main() -> None:
    """Print seconds and ratios."""
    torch.set_num_threads(1)
    for calls in (networks(), tables()):
        seconds = fastest(calls, REPEATS)
        first = next(iter(seconds.values()))
        for name, spent in seconds.items():
            print(f"{name}: {spent:.3f} s, {spent / first:.3f} times")


if __name__ == "__main__":
    main()
