"""Sizes, regions and options of jobs as they are typed on the command line."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wsipipe.errors import ConfigError

if TYPE_CHECKING:
    from wsipipe.pipeline.cluster.slurm_options import SlurmOptions

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])(I?)B?\s*", re.IGNORECASE)


def budget_bytes(text: str | None) -> int | None:
    """Read a memory size, in bytes.

    ``8GB``, ``500 MB`` and ``8G`` count in powers of 1,000, ``8GiB`` in powers of 1,024.

    Raises:
        ConfigError: The text is not a size.
    """
    if text is None:
        return None
    found = _SIZE.fullmatch(text)
    if not found:
        raise ConfigError(f"--memory-budget {text!r}: give a number and a unit, such as 8GB, 8GiB or 1500M.")
    thousands = "KMGT".index(found[2].upper()) + 1
    return int(float(found[1]) * (1024 if found[3] else 1000) ** thousands)


def region_px(text: str | None) -> tuple[int, int, int, int] | None:
    """Read a region (y, x, height, width) in level-0 px.

    Raises:
        ConfigError: The text is not four whole numbers.
    """
    if text is None:
        return None
    try:
        y, x, height, width = (int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--region {text!r}: give four whole numbers y,x,height,width in level-0 px."
        ) from error
    return y, x, height, width


def slurm_options(cluster: str | None, texts: Sequence[str]) -> "SlurmOptions | None":
    """Read ``--cluster`` and ``--cluster-option``.

    Raises:
        ConfigError: The cluster is unknown, or an option is malformed or has no cluster.
    """
    if cluster is None and not texts:
        return None
    if cluster != "slurm":
        raise ConfigError(f"--cluster {cluster or 'is missing'}: give --cluster slurm, the only one.")
    from wsipipe.pipeline.cluster.slurm_options import SlurmOptions

    return SlurmOptions.parse(texts)
