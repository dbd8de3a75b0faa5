"""TNBC of the Institut Curie as one folder: H&E fields of breast at 0.25 um/px, grouped by patient.

Source: Naylor et al., IEEE Transactions on Medical Imaging 38 (2019); Zenodo record 1175282.
"""

from pathlib import Path

from wsipipe.training.datasets.layout import Problems
from wsipipe.training.datasets.plain import named, read_named
from wsipipe.training.samples import Field

MPP = 0.25


def fits(folder: Path) -> bool:
    """``images/tnbc_PATIENT_FIELD`` and ``instances/``."""
    return named(folder, r"tnbc_\d+_\d+")


def read(folder: Path, problems: Problems) -> list[Field]:
    """Fields grouped by the patient that the index gives."""
    return read_named(folder, problems, "tnbc", mpp=MPP)
