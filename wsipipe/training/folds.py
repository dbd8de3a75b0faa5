"""Which samples are held out together: groups (organs, patients, slides) dealt out to folds."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError

ALWAYS_LEARNT = -1


def deal(groups: Sequence[str], counts: npt.NDArray[np.floating], folds: int) -> npt.NDArray[np.int64]:
    """Fold (n,) of each sample, such that a group is never split and each count is spread evenly.

    The heaviest group is dealt first, each to the fold that has the least of what it brings. The same
    samples are always dealt alike.

    Args:
        groups: Group of each sample.
        counts: (n, kinds) what each sample brings, as one column a class.
        folds: At least 2.

    Raises:
        ConfigError: There are fewer groups than folds.
    """
    names, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    if len(names) < folds:
        raise ConfigError(
            f"{folds} folds were asked for, but the data have {len(names)} groups "
            f"({', '.join(names[:8])}), and a group is never split. Lower validation.folds to at most "
            f"{len(names)}, or give more groups."
        )
    brought = np.zeros((len(names), counts.shape[1]))
    np.add.at(brought, member, counts)
    shares = brought / np.maximum(brought.sum(0), 1e-9)
    held = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(names), np.int64)
    for group in np.argsort(-shares.sum(1), kind="stable"):
        after = held + shares[group]
        cost = (after**2).sum(1) - (held**2).sum(1)
        fold_of[group] = int(np.argmin(cost.round(12)))
        held[fold_of[group]] += shares[group]
    return fold_of[member]
