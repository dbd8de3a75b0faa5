"""Fit loop with checkpoints that resume exactly.

The learning rate follows a cosine, forward passes run in bfloat16, and a running mean of the weights is kept.
A step depends only on the weights, the optimiser and (seed, step), so a run that was killed and resumed from
its checkpoint ends with the same bits as an uninterrupted one.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from math import inf
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsipipe.errors import ConfigError, TrainingError
from wsipipe.training.device import autocast
from wsipipe.training.optimise import make_optimiser, rate_share, update_mean
from wsipipe.training.recipe import Schedule, Validation
from wsipipe.training.sampling.batches import Batch, as_tensors
from wsipipe.training.sampling.prefetch import Arrays, Sampler, prefetched
from wsipipe.training.training_log import NullTrainingReporter, Row, TrainingReporter, write_log

LOG_STEPS = 50
SAVE_SECONDS = 120.0
CPU = torch.device("cpu")
COUNTS = ("step", "seconds", "finished", "rows", "pending", "best_score", "best_step")
"""Values of a checkpoint other than tensors."""
Loss = Callable[[nn.Module, Batch], torch.Tensor]
Measure = Callable[[nn.Module], dict[str, float]]


class FitStatus(Enum):
    """Status at the end of :meth:`Fit.run`."""

    FINISHED = "finished"
    PAUSED = "paused"


@dataclass(frozen=True)
class Objective:
    """Training objective: batches, loss and validation scores.

    Attributes:
        sampler: Function that makes a batch from a seeded generator.
        loss: Loss of the network on a batch on its device.
        measure: Scores of the running mean on held-out data, among them ``score``; None without held-out
            data.
    """

    sampler: Sampler
    loss: Loss
    measure: Measure | None = None


class Fit:
    """Training of a network with a running mean of its weights.

    Args:
        network: Network, trained in place.
        mean: Copy of the network that holds the running mean; it is measured and shipped.
        objective: Batches, loss and validation scores.
        schedule: Number of steps and learning rate.
        validation: Steps of the validations and of early stopping.
        folder: Folder of checkpoint and log; training resumes from a checkpoint there.
        identity: Digest of recipe and data; a checkpoint of another one is refused.
        seed: Seed of the samples.
        device: Device of the network.
        workers: Processes that draw batches; 0 is one thread.
        reporter: Receiver of progress messages.

    Raises:
        ConfigError: The checkpoint belongs to another recipe or other data.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: nn.Module,
        objective: Objective,
        schedule: Schedule,
        validation: Validation,
        folder: Path,
        *,
        identity: str = "",
        seed: int = 0,
        device: torch.device = CPU,
        workers: int = 0,
        reporter: TrainingReporter | None = None,
    ) -> None:
        self.network, self.mean, self.objective = network, mean, objective
        self.schedule, self.validation = schedule, validation
        self.folder, self.identity, self.seed = folder, identity, seed
        self.device, self.workers, self.reporter = device, workers, reporter or NullTrainingReporter()
        self.optimiser = make_optimiser(network, schedule)
        self.step, self.seconds, self.finished = 0, 0.0, False
        self.rows: list[Row] = []
        self.last: Row = {}
        self.pending: list[float] = []
        self.best_score, self.best_step = -inf, 0
        self.best: dict[str, torch.Tensor] | None = None
        if self.file.is_file():
            self._resume()

    @property
    def file(self) -> Path:
        """Path of the checkpoint."""
        return self.folder / "checkpoint.pt"

    @property
    def kept_step(self) -> int:
        """Step whose weights ``mean`` holds at the end."""
        return self.step if self.best is None else self.best_step

    def run(self, deadline: float = inf) -> FitStatus:
        """Train until all steps are done or the deadline passes.

        Args:
            deadline: Value of ``time.monotonic()`` after which training pauses.

        Raises:
            TrainingError: The loss or its gradient is not finite; the batch is saved.
        """
        if self.finished:
            return FitStatus.FINISHED
        self.reporter.started(self.folder.name, self.step, self.schedule.steps)
        saved = time.monotonic()
        steps = range(self.step, self.schedule.steps)
        with closing(prefetched(self.objective.sampler, self.seed, steps, self.workers)) as batches:
            for arrays in batches:
                start = time.monotonic()
                self._train_step(arrays)
                stops = self._log_step(start)
                now = time.monotonic()
                if stops or now > deadline:
                    break
                if now - saved > SAVE_SECONDS:
                    self.save()
                    saved = now
        self.finished = self.step == self.schedule.steps or self._should_stop()
        if self.finished and self.best is not None:
            self.mean.load_state_dict(self.best)
        self.save()
        return FitStatus.FINISHED if self.finished else FitStatus.PAUSED

    def _train_step(self, arrays: Arrays) -> None:
        """Run one optimiser step and update the running mean."""
        schedule = self.schedule
        rate = schedule.learning_rate * rate_share(self.step / schedule.steps, schedule.warm_up)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(self.seed * 1_000_003 + self.step)
        self.network.train()
        batch = as_tensors(arrays, self.device)
        with autocast(self.device, schedule.precision):
            loss = self.objective.loss(self.network, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip_norm)
        value, gradient = torch.stack([loss.detach().float(), norm.float()]).tolist()
        if not np.isfinite([value, gradient]).all():
            self._raise_diverged(arrays, value, gradient)
        self.optimiser.step()
        self.step += 1
        update_mean(self.mean, self.network, min(schedule.ema_decay, self.step / (self.step + 9)))
        self.pending.append(value)
        self.last = {"loss": value, "learning_rate": rate, "gradient": gradient}

    def _log_step(self, start: float) -> bool:
        """Log the finished step and return whether training stops early."""
        every = self.validation.every
        last = self.step == self.schedule.steps
        measures = self.objective.measure is not None and (last or bool(every and self.step % every == 0))
        scores = self._measure() if measures else {}
        self.seconds += time.monotonic() - start
        self.reporter.stepped(self.step, self.last["loss"])
        if measures or last or self.step % LOG_STEPS == 0:
            place = {"step": self.step, "minutes": round(self.seconds / 60, 2)}
            self.rows.append(place | self.last | {"loss": float(np.mean(self.pending))} | scores)
            self.pending.clear()
        return measures and self._should_stop()

    def _measure(self) -> dict[str, float]:
        """Return scores of the running mean, and keep its best weights."""
        assert self.objective.measure is not None  # noqa: S101
        self.mean.eval()
        scores = self.objective.measure(self.mean)
        text = ", ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self.reporter.message(f"step {self.step}: {text}")
        if self.validation.early_stopping_steps and scores["score"] > self.best_score:
            self.best_score, self.best_step = scores["score"], self.step
            self.best = {name: tensor.clone() for name, tensor in self.mean.state_dict().items()}
        return scores

    def _should_stop(self) -> bool:
        """Return whether recent validations brought no better score."""
        limit = self.validation.early_stopping_steps
        return bool(limit and self.best is not None and self.step - self.best_step >= limit)

    def _raise_diverged(self, arrays: Arrays, loss: float, gradient: float) -> None:
        """Save the batch and raise an error that names it.

        Raises:
            TrainingError: Always.
        """
        path = self.folder / "bad_batch.npz"
        np.savez_compressed(path, allow_pickle=False, **arrays)
        names = "; ".join(arrays["name"].tolist()) if "name" in arrays else "unnamed"
        raise TrainingError(
            f"Training stopped at step {self.step}: the loss is {loss}, its gradient {gradient}. Inspect the "
            f"batch in {path} ({names}); lower fit.learning_rate, or set fit.precision=float32."
        )

    def save(self) -> None:
        """Write checkpoint and log.

        After a crash, either the old files or the new ones are complete.
        """
        state = {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "counts": {name: getattr(self, name) for name in COUNTS},
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)
        if self.rows:
            write_log(self.rows, self.folder)

    def _resume(self) -> None:
        state = torch.load(self.file, map_location="cpu", weights_only=True)
        if state["identity"] != self.identity:
            raise ConfigError(
                f"{self.file} cannot be resumed: it belongs to another recipe or other data. Choose another "
                "--out, or --fresh to delete it."
            )
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best = state["best"]
        for name, value in state["counts"].items():
            setattr(self, name, value)
