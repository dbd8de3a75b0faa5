"""A recipe and folders of data -> weights and card, with one fold held out or of all data."""

import copy
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import write_json
from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.weights import find_weights, verified_card
from wsipipe.models.networks.registry import build, check_architecture, save
from wsipipe.models.predictor import Device
from wsipipe.models.ring_whitening import add_whitening, remove_whitening, ring_layers
from wsipipe.training.card import blank_card, fold_notes, left_out_notes, with_known, with_metrics
from wsipipe.training.device import pick_device
from wsipipe.training.fit import Fit, FitStatus, Objective
from wsipipe.training.folds import deal
from wsipipe.training.pretrained import inherit_licence, load_pretrained
from wsipipe.training.recipe import Recipe, Schedule
from wsipipe.training.tasks.nuclei import NucleiTask
from wsipipe.training.tasks.task import SampleList, TrainingTask
from wsipipe.training.tasks.tissue import TissueTask
from wsipipe.training.training_log import NullTrainingReporter, TrainingReporter

RESULT = "result.json"
NO_EFFECT = {"threads", "licence", "non_commercial", "description", "stain", "organ"}
"""Keys of a recipe that may change between the pieces of a run."""


@dataclass(frozen=True)
class TrainingResources:
    """What a training may use.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: Of torch, on a CPU.
        workers: Processes that draw samples; 0 is one thread.
        deadline: ``time.monotonic()`` after which a piece ends.
    """

    device: str = "auto"
    threads: int = 1
    workers: int = 0
    deadline: float = math.inf


def read_result(out: Path) -> dict[str, Any]:
    """What a finished training wrote; empty if it is not finished."""
    path = out / RESULT
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def task_of(recipe: Recipe, data: Sequence[Path]) -> TrainingTask:
    """The recipe's task, its samples read.

    Raises:
        ConfigError: The data are in an unknown layout, cannot be used, or lack a class.
    """
    return NucleiTask(recipe, data) if recipe.task == "nuclei" else TissueTask(recipe, data)


class Training:
    """One recipe on one set of data, read once.

    Args:
        recipe: Of the network.
        data: Folders.
        resources: What may be used.
        reporter: Is told how it goes.

    Raises:
        DeviceError: CUDA was asked for and is absent.
        ConfigError: Data or recipe are wrong; before anything is trained.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Sequence[Path],
        resources: TrainingResources,
        reporter: TrainingReporter | None = None,
    ) -> None:
        check_architecture(recipe.network.architecture)
        self.device = pick_device(resources.device)
        self.where: Device = "cuda" if self.device.type == "cuda" else "cpu"
        self.recipe, self.resources, self.reporter = recipe, resources, reporter or NullTrainingReporter()
        torch.set_num_threads(resources.threads)
        self.task = task_of(recipe, data)
        for source, count in self.task.describe(self.task.samples).items():
            self.reporter.message(f"{source}: {count}")

    def fold_of(self, folds: int) -> npt.NDArray[np.int64]:
        """Fold (n,) of each sample; -1 for those always trained on."""
        how, samples = self.recipe.validation, self.task.samples
        held = [index for index, one in enumerate(samples) if not how.sources or one.source in how.sources]
        if not held:
            raise ConfigError(
                f"validation.sources {how.sources} names no source of the data, which are "
                f"{', '.join(sorted({one.source for one in samples}))}. Correct it, or empty it for all."
            )
        groups = [getattr(samples[index], how.group) for index in held]
        fold_of = np.full(len(samples), -1)
        fold_of[held] = deal(groups, self.task.counts()[held], folds)
        return fold_of

    def fold(self, out: Path, fold: int | None, folds: int, steps: int | None = None) -> FitStatus:
        """Learn without one fold and measure on it, or learn on all data if ``fold`` is None.

        Writes weights, card, log, curves, checkpoint and ``result.json`` into ``out``.

        Args:
            out: Folder of the results; a training there that was not finished is gone on with.
            fold: What is held out.
            folds: Of so many.
            steps: In place of the recipe's.
        """
        train_samples, held_out = self.split(fold, folds)
        schedule = self.recipe.fit.model_copy(update={"steps": steps or self.recipe.fit.steps})
        identity = self._identity(train_samples, schedule)
        if read_result(out).get("identity") == identity:
            return FitStatus.FINISHED
        out.mkdir(parents=True, exist_ok=True)
        card = blank_card(self.recipe, self.task, train_samples)
        if self.recipe.network.start:
            card = inherit_licence(card, self.recipe.network.start)
        fit = self._fit(out, card, (train_samples, held_out), schedule, identity)
        self._record(out, fold, folds, held_out)
        # What follows the last step takes minutes, so a piece that is over leaves it to the next one.
        if fit.run(self.resources.deadline) is FitStatus.PAUSED or time.monotonic() > self.resources.deadline:
            return FitStatus.PAUSED
        done = f"{fit.kept_step} steps in {fit.seconds / 60:.0f} minutes on {self.device.type}."
        card = card.model_copy(update={"notes": self._notes(done, fold, folds, held_out)})
        if held_out:
            self.reporter.message("choosing thresholds on what was held out")
            predictions = self.task.predict(fit.mean.eval(), card, held_out, self.where)
            card = self.task.calibrate(card, predictions)
            card = with_metrics(card, self.task.score(card, predictions))
        network = remove_whitening(fit.mean.cpu())
        card = with_known(card, self.task.known_features(network, card, train_samples, "cpu"), out)
        card = self.save(network, card, out)
        write_json(out / RESULT, {"identity": identity, "steps": fit.kept_step, "metrics": card.metrics})
        return FitStatus.FINISHED

    def _notes(self, done: str, fold: int | None, folds: int, held_out: SampleList) -> str:
        left_out = self.recipe.validation.leave_out
        if left_out and held_out:
            return left_out_notes(done, left_out)
        groups = {getattr(one, self.recipe.validation.group) for one in held_out}
        return fold_notes(done, fold, folds, groups)

    def _fit(
        self,
        out: Path,
        card: ModelCard,
        parts: tuple[SampleList, SampleList],
        schedule: Schedule,
        identity: str,
    ) -> Fit:
        """The fit loop over what is to be learnt, which measures itself on what is held out."""
        train_samples, held_out = parts
        torch.manual_seed(self.recipe.seed)
        network = self._built()

        def measure(mean: nn.Module) -> dict[str, float]:
            return self.task.measure(mean, card, held_out, self.where)

        objective = Objective(self.task.sampler(train_samples), self.task.loss, measure if held_out else None)
        return Fit(
            network,
            copy.deepcopy(network),
            objective,
            schedule,
            self.recipe.validation,
            out,
            identity=identity,
            seed=self.recipe.seed,
            device=self.device,
            workers=self.resources.workers,
            reporter=self.reporter,
        )

    def save(self, network: nn.Module, card: ModelCard, out: Path) -> ModelCard:
        """Write weights and card; tissue networks are large, so their matrices are stored as float16."""
        return save(network, card, out, half=self.recipe.task == "tissue")

    def split(self, fold: int | None, folds: int) -> tuple[SampleList, SampleList]:
        """Samples to learn from, and those held out.

        Raises:
            ConfigError: There is no such fold, or groups are fewer than folds.
        """
        if self.recipe.validation.leave_out and fold is not None:
            return self._without_sources(self.recipe.validation.leave_out)
        if fold is None:
            return list(self.task.samples), []
        if not 0 <= fold < folds:
            raise ConfigError(f"Fold {fold} was asked for, of {folds}; the first is 0, the last {folds - 1}.")
        fold_of = self.fold_of(folds)
        pairs = list(zip(self.task.samples, fold_of, strict=True))
        held_out = [one for one, of in pairs if of == fold]
        self.task.check(held_out)
        return [one for one, of in pairs if of != fold], held_out

    def _without_sources(self, names: list[str]) -> tuple[SampleList, SampleList]:
        """Samples of all other sources, and those of the named ones.

        Raises:
            ConfigError: A name is no source of the data, or nothing is left to learn from.
        """
        samples = self.task.samples
        known = {one.source for one in samples}
        unknown = sorted(set(names) - known)
        if unknown or known <= set(names):
            why = (
                f"{', '.join(unknown)} is not among the data" if unknown else "nothing is left to learn from"
            )
            raise ConfigError(f"--leave-out: {why}. The sources of the data are {', '.join(sorted(known))}.")
        held_out = [one for one in samples if one.source in names]
        self.task.check(held_out)
        return [one for one in samples if one.source not in names], held_out

    def _built(self) -> nn.Module:
        given = self.recipe.network
        network = build(given.architecture, given.arguments | self.task.arguments, given.mode)
        side = self.recipe.samples.side_px
        if side % network.lattice_px:
            raise ConfigError(
                f"samples.side_px {side} is no multiple of {network.lattice_px}, the lattice of "
                f"{given.architecture}. Use {-(-side // network.lattice_px) * network.lattice_px}."
            )
        for layer in ring_layers(network):
            layer.log_sigma.requires_grad_(given.train_widths)
        if given.start:
            network = load_pretrained(network, given.start, given.mode)
        network = add_whitening(network, draw=not given.start) if given.whiten else network
        return network.to(device=self.device, memory_format=torch.channels_last)

    def _identity(self, train_samples: SampleList, schedule: Schedule) -> str:
        """Digest of all that decides what is trained."""
        recipe = self.recipe.model_dump(exclude=NO_EFFECT) | {"fit": schedule.model_dump()}
        stain = self.task.stain_reference
        recipe |= {"stain": stain.model_dump()} if stain else {}
        start = self.recipe.network.start
        recipe |= {"start": verified_card(find_weights(start)).sha256} if start else {}
        names = [[one.source, one.name, *one.image.shape, one.mpp] for one in train_samples]
        return hashlib.sha256(json.dumps([recipe, names], sort_keys=True).encode()).hexdigest()

    def _record(self, out: Path, fold: int | None, folds: int, held_out: SampleList) -> None:
        write_json(
            out / "run.json",
            {
                "wsipipe": __version__,
                "torch": torch.__version__,
                "device": self.device.type,
                "threads": self.resources.threads,
                "recipe": self.recipe.model_dump(),
                "seed": self.recipe.seed,
                "fold": fold,
                "folds": folds,
                "held_out": [f"{one.source}/{one.name}" for one in held_out],
            },
        )


def train(
    recipe: Recipe,
    data: Sequence[Path],
    out: Path,
    fold: int | None = 0,
    resources: TrainingResources = TrainingResources(),
    reporter: TrainingReporter | None = None,
) -> FitStatus:
    """Train one network into ``out``: weights, card, log, curves, checkpoint; or go on from its checkpoint.

    Args:
        recipe: Of the network.
        data: Folders with training data.
        out: Folder of the results.
        fold: What is held out, of ``validation.folds``; None to learn from everything.
        resources: What may be used.
        reporter: Is told how it goes.

    Returns:
        ``PAUSED`` if the deadline came first: the same call goes on from there.
    """
    return Training(recipe, data, resources, reporter).fold(out, fold, recipe.validation.folds)
