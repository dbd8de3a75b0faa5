"""The fit loop: a stretch of time, cosine learning rate, bf16, a running mean of the weights, checkpoints."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from wsipipe.models.gmr import param_groups

log = logging.getLogger(__name__)
Batch = dict[str, torch.Tensor]
WARM_UP = 0.03


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """One run of the loop.

    Attributes:
        name: Of the checkpoint file.
        minutes: Time to train for, pauses between resumed runs not counted.
        batch: Samples a step.
        learning_rate: Highest; rises over the first 3 %, then falls to 0 as a cosine.
        weight_decay: On weights alone, not on ring widths or norms.
        ema_decay: Of the running mean of weights.
        report_minutes: Between calls of ``report``.
        seed: Of the samples drawn.
    """

    name: str
    minutes: float
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    ema_decay: float = 0.998
    report_minutes: float = 8.0
    save_minutes: float = 2.0
    seed: int = 0


@dataclass
class Progress:
    """How far a stretch is; all of it is in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    def effort(self, then: "Progress") -> str:
        """What this stretch and the one after it took, for the card."""
        minutes, cpu_minutes = (self.seconds + then.seconds) / 60, (self.cpu_seconds + then.cpu_seconds) / 60
        return f"{self.step + then.step} steps in {minutes:.0f} minutes ({cpu_minutes:.0f} core minutes)."


def schedule(done: float) -> float:
    """Share of the highest learning rate when ``done`` (0 to 1) of the time is over."""
    if done < WARM_UP:
        return max(done / WARM_UP, 0.01)
    return 0.5 * (1 + float(np.cos(np.pi * min((done - WARM_UP) / (1 - WARM_UP), 1))))


def track(mean: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running mean of weights and norms one step towards ``network``."""
    pairs = zip(mean.state_dict().values(), network.state_dict().values(), strict=True)
    for slow, fast in pairs:
        if slow.is_floating_point():
            slow.lerp_(fast, 1 - decay)
        else:
            slow.copy_(fast)


class Fit:
    """Trains ``network`` and keeps its running mean in ``mean``.

    Args:
        network: Trained in place.
        mean: A copy of it, which is what is measured and shipped.
        draw: Gives a batch of so many samples.
        loss: Of the network's scores and the batch.
        stretch: How long and how fast.
        out: Folder of the checkpoint.
        forward: How the network is called in training; the network itself if None.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: nn.Module,
        draw: Callable[[int, np.random.Generator], Batch],
        loss: Callable[[torch.Tensor, Batch], torch.Tensor],
        stretch: Stretch,
        out: Path,
        forward: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        self.network, self.mean, self.draw, self.loss, self.stretch = network, mean, draw, loss, stretch
        self.forward = forward or network
        self.file = out / f"{stretch.name}.ckpt"
        groups = param_groups(network, stretch.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=stretch.learning_rate)
        self.progress = Progress()
        if self.file.is_file():
            self.resume()

    def resume(self) -> None:
        """Go on from the checkpoint."""
        state = torch.load(self.file, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        log.info("%s: resumed at step %d", self.stretch.name, self.progress.step)

    def save(self) -> None:
        """Write the checkpoint; a kill leaves the old one or the new one."""
        state = {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)

    def step(self) -> float:
        """One batch; returns its loss."""
        progress, stretch = self.progress, self.stretch
        rate = stretch.learning_rate * schedule(progress.seconds / (60 * stretch.minutes))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        batch = self.draw(stretch.batch, np.random.default_rng([stretch.seed, progress.step]))
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.forward(batch["image"])
        loss = self.loss(scores, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        progress.step += 1
        track(self.mean, self.network, min(stretch.ema_decay, progress.step / (progress.step + 9)))
        return float(loss.detach())

    def run(self, report: Callable[[Progress], None]) -> Progress:
        """Train until the stretch's time is over; ``report`` is called now and then and at the end."""
        progress, stretch = self.progress, self.stretch
        last_save = last_report = progress.seconds
        while progress.seconds < 60 * stretch.minutes:
            clock, cpu = time.monotonic(), time.process_time()
            progress.losses = [*progress.losses[-99:], self.step()]
            progress.seconds += time.monotonic() - clock
            progress.cpu_seconds += time.process_time() - cpu
            if progress.step % 50 == 0:
                loss = float(np.mean(progress.losses))
                minutes = progress.seconds / 60
                log.info("%s: step %d, %.1f min, loss %.4f", stretch.name, progress.step, minutes, loss)
            if progress.seconds - last_save > 60 * stretch.save_minutes:
                self.save()
                last_save = progress.seconds
            if progress.seconds - last_report > 60 * stretch.report_minutes:
                report(progress)
                last_report = progress.seconds
        self.save()
        report(progress)
        return progress
