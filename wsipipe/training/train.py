"""Training of one network from a recipe and folders of data.

One fold is held out, or the network is trained on all data. The result is weights and a card.
"""

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from wsipipe.common.about import __version__
from wsipipe.common.atomic_files import write_json
from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.models.networks.registry import build, check_architecture, save
from wsipipe.models.predictor import Device
from wsipipe.models.ring_whitening import add_whitening, remove_whitening, ring_layers
from wsipipe.training.card import blank_card, training_notes, with_known, with_metrics
from wsipipe.training.datasets.annotated_slides import DataSource
from wsipipe.training.device import pick_device
from wsipipe.training.fit import Fit, FitStatus, Objective
from wsipipe.training.folds import split_samples
from wsipipe.training.pretrained import inherit_licence, load_pretrained
from wsipipe.training.recipe import Recipe, Schedule
from wsipipe.training.result_files import RESULT, read_result, training_identity
from wsipipe.training.start_overlap import start_caution
from wsipipe.training.tasks.nuclei import NucleiTask
from wsipipe.training.tasks.task import SampleList, TrainingTask
from wsipipe.training.tasks.tissue import TissueTask
from wsipipe.training.training_log import NullTrainingReporter, TrainingReporter


@dataclass(frozen=True)
class TrainingResources:
    """Resources of a training.

    Attributes:
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: Threads of torch, on a CPU.
        workers: Processes that draw samples; 0 is one thread.
        deadline: Value of ``time.monotonic()`` after which training pauses.
    """

    device: str = "auto"
    threads: int = 1
    workers: int = 0
    deadline: float = math.inf


def task_of(recipe: Recipe, data: Sequence[DataSource]) -> TrainingTask:
    """Return the recipe's task with its samples.

    Raises:
        ConfigError: The data have an unknown layout, cannot be used, or lack a class.
    """
    return NucleiTask(recipe, data) if recipe.task == "nuclei" else TissueTask(recipe, data)


class Training:
    """Training of one recipe on data that are read once.

    Args:
        recipe: Recipe of the network.
        data: Folders with training data.
        resources: Device, threads, workers and deadline.
        reporter: Receiver of progress messages.

    Raises:
        DeviceError: CUDA is requested but absent.
        ConfigError: Data or recipe are wrong; found before training starts.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: Sequence[DataSource],
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

    def fold(self, out: Path, fold: int | None, folds: int, steps: int | None = None) -> FitStatus:
        """Train without one fold and measure on it.

        If ``fold`` is None, the network is trained on all data. Weights, card, log, curves, checkpoint and
        ``result.json`` are written to ``out``.

        Args:
            out: Folder of the results; an unfinished training there is resumed.
            fold: Held-out fold.
            folds: Number of folds.
            steps: Number of steps that replaces the recipe's.
        """
        train_samples, held_out = self.split(fold, folds)
        schedule = self.recipe.fit.model_copy(update={"steps": steps or self.recipe.fit.steps})
        identity = training_identity(self.recipe, schedule, self.task.stain_reference, train_samples)
        if read_result(out).get("identity") == identity:
            return FitStatus.FINISHED
        out.mkdir(parents=True, exist_ok=True)
        card = blank_card(self.recipe, self.task, train_samples)
        if self.recipe.network.start:
            card = inherit_licence(card, self.recipe.network.start)
        if caution := start_caution(self.recipe, held_out):
            self.reporter.message(caution)
        fit = self._fit(out, card, (train_samples, held_out), schedule, identity)
        self._write_record(out, fold, folds, held_out)
        # Calibration takes minutes, so a call whose time is over leaves it to the next one.
        if fit.run(self.resources.deadline) is FitStatus.PAUSED or time.monotonic() > self.resources.deadline:
            return FitStatus.PAUSED
        done = f"{fit.kept_step} steps in {fit.seconds / 60:.0f} minutes on {self.device.type}."
        notes = training_notes(self.recipe.validation, done, fold, folds, held_out)
        card = card.model_copy(update={"notes": f"{notes} {caution}".strip()})
        if held_out:
            self.reporter.message("choosing thresholds on the held-out samples")
            predictions = self.task.predict(fit.mean.eval(), card, held_out, self.where)
            card = self.task.calibrate(card, predictions)
            card = with_metrics(card, self.task.score(card, predictions))
        network = remove_whitening(fit.mean.cpu())
        card = with_known(card, self.task.known_features(network, card, train_samples, "cpu"), out)
        card = self.save(network, card, out)
        write_json(out / RESULT, {"identity": identity, "steps": fit.kept_step, "metrics": card.metrics})
        return FitStatus.FINISHED

    def _fit(
        self,
        out: Path,
        card: ModelCard,
        parts: tuple[SampleList, SampleList],
        schedule: Schedule,
        identity: str,
    ) -> Fit:
        """Return the fit loop on the training samples, measured on the held-out ones."""
        train_samples, held_out = parts
        torch.manual_seed(self.recipe.seed)
        network = self._build()

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
        """Write weights and card.

        Tissue networks are large, so their matrices are stored as float16.
        """
        return save(network, card, out, half=self.recipe.task == "tissue")

    def split(self, fold: int | None, folds: int) -> tuple[SampleList, SampleList]:
        """Split the samples into training and held-out samples.

        Raises:
            ConfigError: There is no such fold, or there are fewer groups than folds.
        """
        return split_samples(self.task, self.recipe.validation, fold, folds)

    def _build(self) -> nn.Module:
        """Build the network on its device, with pretrained weights if any.

        Raises:
            ConfigError: The sample side does not fit the network's lattice.
        """
        given = self.recipe.network
        network = build(given.architecture, given.arguments | self.task.arguments, given.mode)
        side = self.recipe.samples.side_px
        if side % network.lattice_px:
            raise ConfigError(
                f"samples.side_px {side} is not a multiple of {network.lattice_px}, the lattice of "
                f"{given.architecture}. Use {-(-side // network.lattice_px) * network.lattice_px}."
            )
        for layer in ring_layers(network):
            layer.log_sigma.requires_grad_(given.train_widths)
        if given.start:
            network = load_pretrained(network, given.start, given.mode)
        network = add_whitening(network, draw=not given.start) if given.whiten else network
        return network.to(device=self.device, memory_format=torch.channels_last)

    def _write_record(self, out: Path, fold: int | None, folds: int, held_out: SampleList) -> None:
        """Write ``run.json``: versions, recipe, fold and held-out samples."""
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
    data: Sequence[DataSource],
    out: Path,
    fold: int | None = 0,
    resources: TrainingResources = TrainingResources(),
    reporter: TrainingReporter | None = None,
) -> FitStatus:
    """Train one network into ``out``, or resume its training.

    Weights, card, log, curves and checkpoint are written.

    Args:
        recipe: Recipe of the network.
        data: Folders with training data.
        out: Folder of the results.
        fold: Held-out fold of ``validation.folds``; None to train on all data.
        resources: Device, threads, workers and deadline.
        reporter: Receiver of progress messages.

    Returns:
        ``PAUSED`` if the deadline came first; the same call resumes.
    """
    return Training(recipe, data, resources, reporter).fold(out, fold, recipe.validation.folds)
