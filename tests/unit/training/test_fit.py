"""The fit loop: it learns, and a resumed stretch goes on where it was."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wsipipe.models.gmr import GMRConv2d
from wsipipe.training.fit import Fit, Progress, Stretch, schedule, track


def task(out: Path, minutes: float = 0.02, name: str = "test") -> Fit:
    """Learn to blur, with a ring kernel."""
    torch.manual_seed(0)
    network = GMRConv2d(1, 1, 3)

    def draw(size: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        image = torch.from_numpy(rng.normal(size=(size, 1, 16, 16)).astype(np.float32))
        return {"image": image, "target": nn.functional.avg_pool2d(image, 3, 1, 1)}

    def loss(scores: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return (scores.float() - batch["target"]).square().mean()

    stretch = Stretch(name=name, minutes=minutes, batch=4, learning_rate=0.05)
    return Fit(network, copy.deepcopy(network), draw, loss, stretch, out)


def test_it_learns_and_reports_at_the_end(tmp_path: Path) -> None:
    fit = task(tmp_path)
    reports: list[int] = []
    first = fit.step()
    done = fit.run(lambda progress: reports.append(progress.step))
    assert reports == [done.step]
    assert done.losses[-1] < 0.2 * first


def test_a_resumed_stretch_goes_on_where_it_was(tmp_path: Path) -> None:
    fit = task(tmp_path)
    for _ in range(3):
        fit.step()
    fit.save()
    again = task(tmp_path)
    assert again.progress == fit.progress
    assert [again.step() for _ in range(2)] == [fit.step() for _ in range(2)]
    assert torch.equal(again.mean.weight, fit.mean.weight)


def test_a_finished_stretch_is_not_trained_again(tmp_path: Path) -> None:
    task(tmp_path).run(lambda progress: None)
    again = task(tmp_path)
    weight = again.network.weight.clone()
    again.run(lambda progress: None)
    assert torch.equal(again.network.weight, weight)


def test_the_rate_rises_then_falls_to_zero() -> None:
    assert schedule(0) == pytest.approx(0.01)
    assert schedule(0.03) == pytest.approx(1)
    assert schedule(1) == pytest.approx(0)
    assert schedule(2) == pytest.approx(0)


def test_the_running_mean_follows() -> None:
    slow, fast = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    nn.init.constant_(fast.weight, 3)
    fast.num_batches_tracked += 4
    track(slow, fast, 0.5)
    assert slow.weight.tolist() == [2]
    assert int(slow.num_batches_tracked) == 4


def test_effort_is_told_in_words() -> None:
    assert Progress(2, 60, 30).effort(Progress(1, 60, 30)) == "3 steps in 2 minutes (1 core minutes)."
