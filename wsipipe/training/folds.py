"""Training and held-out samples; groups are never split."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import Validation
from wsipipe.training.tasks.task import SampleList, TrainingTask


def deal(groups: Sequence[str], counts: npt.NDArray[np.floating], folds: int) -> npt.NDArray[np.int64]:
    """Assign each sample to a fold without splitting groups.

    Each count is spread evenly: the heaviest group is assigned first, each to the fold that has the least of
    its counts. The result is deterministic.

    Args:
        groups: Group of each sample.
        counts: (n, kinds) counts of each sample, for example one column per class.
        folds: Number of folds, at least 2.

    Returns:
        Fold (n,) of each sample.

    Raises:
        ConfigError: There are fewer groups than folds.
    """
    names, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    if len(names) < folds:
        raise ConfigError(
            f"{folds} folds are too many: the data have {len(names)} groups ({', '.join(names[:8])}), and a "
            f"group is never split. Lower validation.folds to at most {len(names)}, or give more groups."
        )
    totals = np.zeros((len(names), counts.shape[1]))
    np.add.at(totals, member, counts)
    shares = totals / np.maximum(totals.sum(0), 1e-9)
    held = np.zeros((folds, counts.shape[1]))
    fold_of = np.empty(len(names), np.int64)
    for group in np.argsort(-shares.sum(1), kind="stable"):
        after = held + shares[group]
        cost = (after**2).sum(1) - (held**2).sum(1)
        fold_of[group] = int(np.argmin(cost.round(12)))
        held[fold_of[group]] += shares[group]
    return fold_of[member]


def split_samples(
    task: TrainingTask, validation: Validation, fold: int | None, folds: int
) -> tuple[SampleList, SampleList]:
    """Split the samples of a task into training and held-out samples.

    Args:
        task: Task with all samples.
        validation: Groups, sources and left-out sources.
        fold: Held-out fold; None to hold out nothing.
        folds: Number of folds.

    Raises:
        ConfigError: There is no such fold, or there are fewer groups than folds.
    """
    if validation.leave_out and fold is not None:
        return _without_sources(task, validation.leave_out)
    if fold is None:
        return list(task.samples), []
    if not 0 <= fold < folds:
        raise ConfigError(f"There is no fold {fold} of {folds}. Choose one from 0 to {folds - 1}.")
    pairs = list(zip(task.samples, _fold_of(task, validation, folds), strict=True))
    held_out = [one for one, of in pairs if of == fold]
    task.check(held_out)
    return [one for one, of in pairs if of != fold], held_out


def _fold_of(task: TrainingTask, validation: Validation, folds: int) -> npt.NDArray[np.int64]:
    """Return the fold (n,) of each sample; -1 for those never held out.

    Raises:
        ConfigError: ``validation.sources`` names no source of the data.
    """
    sources, samples = validation.sources, task.samples
    held = [index for index, one in enumerate(samples) if not sources or one.source in sources]
    if not held:
        raise ConfigError(
            f"validation.sources {sources} names no source of the data, which has "
            f"{', '.join(sorted({one.source for one in samples}))}. Correct it, or empty it for all."
        )
    groups = [getattr(samples[index], validation.group) for index in held]
    fold_of = np.full(len(samples), -1)
    fold_of[held] = deal(groups, task.counts()[held], folds)
    return fold_of


def _without_sources(task: TrainingTask, names: list[str]) -> tuple[SampleList, SampleList]:
    """Split off the samples of the named sources.

    Returns:
        Samples of all other sources, and those of the named ones.

    Raises:
        ConfigError: A name is not a source of the data, or no training sample is left.
    """
    known = {one.source for one in task.samples}
    unknown = sorted(set(names) - known)
    if unknown or known <= set(names):
        why = f"{', '.join(unknown)} is not in the data" if unknown else "no training data would be left"
        raise ConfigError(f"--leave-out: {why}. The sources of the data are {', '.join(sorted(known))}.")
    held_out = [one for one in task.samples if one.source in names]
    task.check(held_out)
    return [one for one in task.samples if one.source not in names], held_out
