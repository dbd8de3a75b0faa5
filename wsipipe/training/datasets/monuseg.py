"""MoNuSeg and Kumar: TCGA fields at 0.25 µm/px.

The organ follows from the name of the case.
"""

from pathlib import Path

from wsipipe.training.datasets.files import check_sizes, images_in, read_labels, read_rgb
from wsipipe.training.datasets.layout import Problems
from wsipipe.training.samples import Field

MPP = 0.25
ORGANS = {
    "breast": ("A7", "AR", "E2"),
    "kidney": ("B0", "HE"),
    "liver": ("18", "21", "38", "49", "50"),
    "prostate": ("G9", "CH"),
    "bladder": ("DK", "G2"),
    "colon": ("AY", "NH"),
    "stomach": ("KB", "RD"),
}
ORGAN_OF_SITE = {site: organ for organ, sites in ORGANS.items() for site in sites}


def organ_of(name: str) -> str:
    """Return the organ of a TCGA case.

    For example ``kidney`` for ``TCGA-B0-5698-01Z-00-DX1``; the name itself if unknown.
    """
    parts = name.split("-")
    site = parts[1] if parts[0] == "TCGA" and len(parts) > 1 else ""
    return ORGAN_OF_SITE.get(site, name)


def fits(folder: Path) -> bool:
    """Return whether a folder has images with foreground masks and instances.

    ``foreground/`` has a mask for each field, ``instances/`` for some.
    """
    return all((folder / part).is_dir() for part in ("images", "foreground", "instances"))


def read(folder: Path, problems: Problems) -> list[Field]:
    """Read fields with instances where known, else with foreground only."""
    fields = []
    for path in images_in(folder / "images"):
        with problems.at(path):
            instances = folder / "instances" / f"{path.stem}.png"
            known = instances.is_file()
            labels = read_labels(instances if known else folder / "foreground" / f"{path.stem}.png")
            image = read_rgb(path)
            check_sizes(image, labels)
            fields.append(
                Field(
                    name=path.stem,
                    source="monuseg",
                    group=organ_of(path.stem),
                    image=image,
                    labels=labels if known else (labels > 0).astype(labels.dtype),
                    has_instances=known,
                    mpp=MPP,
                )
            )
    return fields
