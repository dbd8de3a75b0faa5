"""Titles and licences of known data sets, for model cards."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownDataset:
    """Title and licence of one data set.

    Attributes:
        title: Name of the data set.
        licence: Licence as stated by its authors.
        non_commercial: Whether it forbids commercial use.
    """

    title: str
    licence: str
    non_commercial: bool


NON_COMMERCIAL = "CC BY-NC-SA 4.0"
DATASETS = {
    "monuseg": KnownDataset("MoNuSeg training set", NON_COMMERCIAL, True),
    "cryonuseg": KnownDataset("CryoNuSeg", NON_COMMERCIAL, True),
    "pannuke": KnownDataset("PanNuke", NON_COMMERCIAL, True),
    "lizard": KnownDataset("Lizard", NON_COMMERCIAL, True),
    "consep": KnownDataset(
        "CoNSeP", "terms not stated by its source; taken for non-commercial research", True
    ),
    "tnbc": KnownDataset(
        "TNBC, Institut Curie", "CC BY 4.0, as stated by its record (Zenodo 1175282); verify", False
    ),
    "nucls": KnownDataset("NuCLS", "CC0 1.0", False),
    "dsb2018": KnownDataset("Data Science Bowl 2018, stained fields", "CC0 1.0", False),
    "crc7": KnownDataset("CRC-VAL-HE-7K, a part", "CC BY 4.0", False),
    "nct_crc": KnownDataset("NCT-CRC-HE-100K and CRC-VAL-HE-7K", "CC BY 4.0", False),
    "kather2016": KnownDataset("Kather 2016, colorectal textures", "CC BY 4.0", False),
    "pcam": KnownDataset("PatchCamelyon", "CC0 1.0", False),
    "glas": KnownDataset("GlaS", "non-commercial research", True),
    "glass": KnownDataset("glass of slides and overview pictures", "CC0 1.0 and MIT", False),
}
_SHARED = (
    {"crc7", "nct_crc"},
    {"consep", "lizard"},
    {"glas", "lizard"},
    {"pannuke", "lizard"},
)
"""Data sets that share images."""
NOT_STATED = "not stated; that of the data it was trained on"


def licence_of(sources: Iterable[str]) -> tuple[str, bool]:
    """Return the strictest licence of the sources.

    Returns:
        The licence, and whether any source forbids commercial use.
    """
    named = sorted(set(sources))
    known = [DATASETS[source] for source in named if source in DATASETS]
    unknown = len(known) < len(named)
    forbids = any(about.non_commercial for about in known)
    licences = dict.fromkeys(about.licence for about in known if about.non_commercial or not forbids)
    stated = [licence for licence in licences if licence != "CC0 1.0"] or list(licences)
    return " and ".join([*stated, *([NOT_STATED] if unknown else [])]), forbids


def sharing(source: str) -> set[str]:
    """Return a source and those that share images with it."""
    return {source}.union(*(pair for pair in _SHARED if source in pair))


def describe_source(source: str, count: str) -> str:
    """Return one line of a card: name, number of samples, licence."""
    about = DATASETS.get(source)
    if about is None:
        return f"{source}: {count} (a folder of the user's)"
    warning = ", NON-COMMERCIAL" if about.non_commercial else ""
    return f"{about.title}: {count} ({about.licence}{warning})"
