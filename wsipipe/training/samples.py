"""What every data set is read into: fields with nuclei labels, and tiles with one class each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Field:
    """One image with its nuclei.

    Attributes:
        name: File stem.
        source: Name of the data set's layout, as ``monuseg``.
        group: What must not be split between training and validation: organ, patient or slide.
        image: (H, W, 3) uint8.
        labels: (H, W) int32 instance ids, 0 background; 0 and 1 where instances are not known.
        has_instances: False where touching nuclei are merged.
        mpp: Um per px, exact or guessed from the nuclei.
        types: Type of each nucleus, that of id 1 first; empty where types are not known.
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
    """One image of one tissue class.

    Attributes:
        name: File stem.
        source: Name of the data set's layout, as ``crc``.
        group: What must not be split between training and validation: patient or slide; the file's own name
            where nothing is known.
        image: (H, W, 3) uint8.
        class_name: Of the data set, as ``TUM``.
        mpp: Um per px.
    """

    name: str
    source: str
    group: str
    image: Rgb
    class_name: str
    mpp: float
