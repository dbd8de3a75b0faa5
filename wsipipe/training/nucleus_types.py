"""Types of nuclei in training: meanings and colours of their names.

CoNSeP has the four types of :data:`wsipipe.common.colours.QUPATH_TYPES` under the same names. NuCLS (10
fields here, breast) has ``tumour``, which is epithelial in carcinoma of the breast, and ``non_tumour``, which
may be anything else: these nuclei are found, but no type is learned from them. Types of other sources count
where a network has one of the same name.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.common.colours import QUPATH_TYPES, further
from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import Output
from wsipipe.training.samples import Field

RESERVED = {"nucleus", "centre", "detection"}
MEANINGS = {"nucls": {"tumour": "epithelial", "non_tumour": ""}}
"""Type by the name in the data set, by source; an empty name is unknown."""
MEANING_TEXTS = {
    "epithelial": "epithelium, benign and malignant",
    "inflammatory": "lymphocyte, plasma cell, granulocyte, macrophage",
    "spindle": "fibroblast, muscle, endothelium",
    "other": "mitotic, necrotic, or of no other type",
}


def type_outputs(names: Sequence[str]) -> tuple[Output, ...]:
    """Return the outputs of a network with these types, with QuPath's usual colours.

    Raises:
        ConfigError: The names are not two or more, each once, or are those of other outputs.
    """
    if names and len({*names} - RESERVED) < max(2, len(names)):
        raise ConfigError(
            f"samples.types {', '.join(names)} cannot be learned. Give two or more names, each once, none of "
            f"them {', '.join(sorted(RESERVED))}."
        )
    return tuple(
        Output(
            name=name,
            description=f"type: {MEANING_TEXTS.get(name, name)}",
            color=QUPATH_TYPES.get(name, further(place)),
        )
        for place, name in enumerate(names)
    )


def type_codes(field: Field, names: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return the type of each label of a field.

    Args:
        field: Field, with types or without.
        names: Types of the network.

    Returns:
        (labels + 1,) uint8 by label: 0 unknown, else 1 + the place in ``names``.
    """
    codes = np.zeros(int(field.labels.max(initial=0)) + 1, np.uint8)
    meanings = MEANINGS.get(field.source, {})
    for label, own in enumerate(field.types, start=1):
        name = meanings.get(own, own)
        if name in names and label < len(codes):
            codes[label] = 1 + list(names).index(name)
    return codes
