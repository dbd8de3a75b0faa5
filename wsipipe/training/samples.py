"""Samples: fields with nuclei labels, and tissue tiles.

Every data set is read into one of the two.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """Image with the labels of its nuclei.

    Attributes:
        name: File stem.
        source: Name of the data set's layout, for example ``monuseg``.
        group: Organ, patient or slide that must not be split between training and validation.
        image: (H, W, 3) uint8.
        labels: (H, W) int32 instance ids, 0 background; 0 and 1 where instances are not known.
        has_instances: False where touching nuclei are merged.
        mpp: Resolution in µm/px, exact or estimated from the nuclei.
        types: Type of each nucleus, starting with id 1; empty where types are not known.
    """

    name: str
    source: str
    group: str
    image: Rgb
    labels: Labels
    has_instances: bool
    mpp: float
    types: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Tile:
    """Image of one tissue class.

    Attributes:
        name: File stem.
        source: Name of the data set's layout, for example ``crc``.
        group: Patient or slide that must not be split between training and validation; the file's own name
            where neither is known.
        image: (H, W, 3) uint8.
        class_name: Class in the data set, for example ``TUM``.
        mpp: Resolution in µm/px.
    """

    name: str
    source: str
    group: str
    image: Rgb
    class_name: str
    mpp: float
