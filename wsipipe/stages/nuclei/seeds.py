"""One shard of nucleus and centre maps in; where nuclei start, and what joins them to the neighbours, out.

No halo: components are labelled inside the shard, and :mod:`wsipipe.stages.nuclei.join` joins them over
the faces.
"""

import numpy as np
from scipy import ndimage

from wsipipe.geometry import Array
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.store.encoding import PROBABILITY_MAX
from wsipipe.store.tables import Table


def find_seeds(nucleus: Array, centre: Array, params: InstanceParams) -> tuple[Array, Table]:
    """Stored maps (H, W) uint8 -> local labels (H, W) uint32, and the shard's table.

    Local labels are 0 for background, 1..s for the s seed components, and s + 1..s + f for the rest of
    the f foreground components; so ``labels > 0`` is the foreground, and one table maps labels to nuclei.

    Args:
        nucleus: Nucleus probability times 250; values above 250 are not computed.
        centre: Centre probability times 250, on the same pixels.
        params: Thresholds.

    Returns:
        The labels, and a table: ``area``, ``nucleus``, ``centre`` (int64 sums by label), ``foreground``
        (the label of the foreground component that holds each label; itself if it is one), and the
        labels of the outermost pixels ``top``, ``bottom``, ``left``, ``right``.
    """
    foreground = _from_level(nucleus, params.nucleus_level)
    seed = foreground & _from_level(centre, params.centre_level)
    seed_labels, seed_count = ndimage.label(seed)
    foreground_labels, foreground_count = ndimage.label(foreground)
    holder = np.arange(1 + seed_count + foreground_count)
    holder[seed_labels[seed]] = foreground_labels[seed] + seed_count
    labels = np.where(foreground, foreground_labels + seed_count, 0)
    labels = np.where(seed, seed_labels, labels).astype(np.uint32)
    inside = labels[foreground]
    partial = {
        "area": np.bincount(inside, minlength=holder.size),
        "nucleus": _sums(inside, nucleus[foreground], holder.size),
        "centre": _sums(inside, centre[foreground], holder.size),
        "foreground": holder,
    }
    return labels, partial | _outermost(labels)


def _from_level(stored: Array, level: int) -> Array:
    return (stored >= level) & (stored <= PROBABILITY_MAX)


def _sums(labels: Array, values: Array, count: int) -> Array:
    # bincount adds in float64: exact, as a shard's sum stays far below 2**53
    return np.bincount(labels, weights=values, minlength=count).astype(np.int64)


def _outermost(labels: Array) -> Table:
    faces = {"top": labels[0], "bottom": labels[-1], "left": labels[:, 0], "right": labels[:, -1]}
    return {name: face.copy() for name, face in faces.items()}
