"""TNBC of the Institut Curie in one folder.

The H&E fields of breast are at 0.25 µm/px and grouped by patient.

Source: Naylor et al., IEEE Transactions on Medical Imaging 38 (2019); Zenodo record 1175282.
"""

from pathlib import Path

from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.plain import named, read_named
from wsipipe.training.samples import Field

MPP = 0.25


def fits(folder: Path) -> bool:
    """Return whether a folder has ``images/tnbc_PATIENT_FIELD``, ``instances/``."""
    return named(folder, r"tnbc_\d+_\d+")


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read fields, grouped by the patient in the index."""
    return read_named(folder, problems, "tnbc", mpp=MPP)
