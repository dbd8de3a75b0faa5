"""CoNSeP in one folder: 27 H&E fields of colon with four nucleus types.

The fields are at 0.275 µm/px.

Source: Graham et al., HoVer-Net, Medical Image Analysis 58 (2019), which states the scale and merges the
seven types of the annotators into these four: healthy and malignant epithelium become epithelial; fibroblast,
muscle and endothelium become spindle. The maps hold the merged numbers.
"""

from pathlib import Path

from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.plain import named, read_named
from wsipipe.training.samples import Field

MPP = 0.275
TYPES = {1: "other", 2: "inflammatory", 3: "epithelial", 4: "spindle"}


def fits(folder: Path) -> bool:
    """Return whether a folder has ``images/consep_*``, ``instances/``, ``types/``."""
    return named(folder, r"consep_.*") and (folder / "types").is_dir()


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read fields with types.

    Each is its own group, since patients are not known.
    """
    return read_named(folder, problems, "consep", mpp=MPP, types=TYPES)
