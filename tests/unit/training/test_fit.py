"""Fit loop: learning, early stopping, refused NaN; a killed run ends with the same bits."""

import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from wsipipe.errors import ConfigError, TrainingError
from wsipipe.training.fit import Fit, FitStatus
from wsipipe.training.recipe import Validation

BLUR = '''
"""Learns to blur with a ring kernel; dropout and BatchNorm are there to be resumed, too."""
import copy, sys
from pathlib import Path
import numpy as np, torch
from torch import nn
from wsipipe.models.gmr import GMRConv2d
from wsipipe.training import fit as module
from wsipipe.training.recipe import Schedule, Validation

def draw(rng):
    images = rng.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    return {"image": images, "name": np.array(["a", "b", "c", "d"])}

def loss(network, batch):
    wanted = nn.functional.avg_pool2d(batch["image"], 3, 1, 1)
    return (network(batch["image"]).float() - wanted).square().mean()

def make(out, steps=40, validation=None, measure=None, loss=loss, save_seconds=1e9, **more):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module.SAVE_SECONDS = save_seconds
    network = nn.Sequential(GMRConv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.1), nn.Conv2d(4, 3, 1))
    network = network.to(memory_format=torch.channels_last)
    schedule = Schedule(steps=steps, learning_rate=0.05, **more)
    parts = (network, copy.deepcopy(network), module.Objective(draw, loss, measure), schedule)
    return module.Fit(*parts, validation or Validation(every=0), out, identity="blur", seed=3)

if __name__ == "__main__":
    make(Path(sys.argv[1]), save_seconds=0.0).run()
'''


@pytest.fixture(scope="module")
def blur(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    path = tmp_path_factory.mktemp("script") / "blur.py"
    path.write_text(BLUR)
    return SimpleNamespace(path=path, **runpy.run_path(str(path)))


@pytest.fixture(scope="module")
def whole(blur: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """A run that nobody interrupted."""
    fit = blur.make(tmp_path_factory.mktemp("whole"))
    assert fit.run() is FitStatus.FINISHED
    return fit


def same_bits(one: Fit, other: Fit) -> bool:
    """Whether weights, running mean, optimiser and the log's losses are the same."""
    pairs = [
        (one.network.state_dict(), other.network.state_dict()),
        (one.mean.state_dict(), other.mean.state_dict()),
    ]
    states = [fit.optimiser.state_dict()["state"] for fit in (one, other)]
    pairs += [(states[0][key], states[1][key]) for key in states[0]]
    equal = all(torch.equal(first[name], second[name]) for first, second in pairs for name in first)
    return equal and [row["loss"] for row in one.rows] == [row["loss"] for row in other.rows]


def test_it_learns_and_writes_down_how(whole: Fit) -> None:
    lines = (whole.folder / "log.csv").read_text().splitlines()
    assert lines[0].startswith("step,minutes,loss,learning_rate,gradient")
    assert lines[-1].startswith("40,")
    assert whole.last["loss"] < 0.5 * whole.rows[0]["loss"]
    assert (whole.folder / "curves.png").stat().st_size > 5000


def test_killed_and_resumed_is_as_uninterrupted(blur: SimpleNamespace, whole: Fit, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, str(blur.path), str(tmp_path)])
    limit = time.monotonic() + 240
    while not (tmp_path / "checkpoint.pt").is_file() and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = blur.make(tmp_path)
    assert 0 < resumed.step < 40
    resumed.run()
    assert same_bits(resumed, whole)


def test_the_comparison_sees_a_run_that_goes_another_way(
    blur: SimpleNamespace, whole: Fit, tmp_path: Path
) -> None:
    other = blur.make(tmp_path)
    other.seed = 4
    other.run()
    assert not same_bits(other, whole)


def test_pieces_are_as_one(blur: SimpleNamespace, whole: Fit, tmp_path: Path) -> None:
    pieces = 0
    while blur.make(tmp_path).run(deadline=time.monotonic() + 0.05) is FitStatus.PAUSED:
        pieces += 1
        assert pieces < 40
    again = blur.make(tmp_path)
    assert again.run() is FitStatus.FINISHED
    assert same_bits(again, whole)


def test_a_piece_makes_a_step_however_short_it_is(blur: SimpleNamespace, tmp_path: Path) -> None:
    assert blur.make(tmp_path).run(deadline=0.0) is FitStatus.PAUSED
    assert blur.make(tmp_path).step == 1


def test_a_checkpoint_of_something_else_is_refused(blur: SimpleNamespace, tmp_path: Path) -> None:
    fit = blur.make(tmp_path)
    fit.identity = "other"
    fit.save()
    with pytest.raises(ConfigError, match="another recipe"):
        blur.make(tmp_path)


def test_it_stops_early_and_keeps_the_best(blur: SimpleNamespace, tmp_path: Path) -> None:
    scores = iter([0.5, 0.9, 0.8, 0.7, 0.6])
    kept: list[torch.Tensor] = []

    def measure(mean: nn.Module) -> dict[str, float]:
        kept.append(mean[0].weight.detach().clone())
        return {"score": next(scores)}

    fit = blur.make(tmp_path, validation=Validation(every=5, patience=2), measure=measure)
    assert fit.run() is FitStatus.FINISHED
    assert (fit.step, fit.kept_step) == (20, 10)
    assert torch.equal(fit.mean[0].weight, kept[1])
    assert [row["score"] for row in fit.rows if "score" in row] == [0.5, 0.9, 0.8, 0.7]


def test_it_ends_with_its_last_weights_where_nothing_is_waited_for(
    blur: SimpleNamespace, tmp_path: Path
) -> None:
    fit = blur.make(
        tmp_path,
        steps=6,
        validation=Validation(every=2),
        measure=lambda mean: {"score": -mean[0].weight.sum().item()},
    )
    fit.run()
    assert (fit.step, fit.kept_step) == (6, 6)


@pytest.mark.parametrize("when", ["loss", "gradient"])
def test_no_number_stops_the_run_with_its_batch(blur: SimpleNamespace, tmp_path: Path, when: str) -> None:
    def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        value = network(batch["image"]).float().mean()
        return value * torch.nan if when == "loss" else (value - value.detach()).square().sqrt()

    fit = blur.make(tmp_path, loss=loss)
    before = fit.network[0].weight.detach().clone()
    with pytest.raises(TrainingError, match=r"step 0: .*bad_batch\.npz \(a; b; c; d\)"):
        fit.run()
    assert torch.equal(fit.network[0].weight, before)
    with np.load(tmp_path / "bad_batch.npz") as saved:
        assert saved["image"].shape == (4, 16, 16, 3)
