"""Parts of a step: learning rate, weight decay and running mean."""

import pytest
import torch
from torch import nn

from wsipipe.models.gmr import GMRConv2d
from wsipipe.training.optimise import make_optimiser, rate_share, update_mean
from wsipipe.training.recipe import Schedule


def test_the_rate_rises_then_falls_to_zero() -> None:
    assert rate_share(0, 0.03) == pytest.approx(0.01)
    assert rate_share(0.03, 0.03) == pytest.approx(1)
    assert rate_share(0, 0) == pytest.approx(1)
    assert rate_share(1, 0.03) == pytest.approx(0)


def test_ring_widths_do_not_decay_under_either_optimiser() -> None:
    network = nn.Sequential(GMRConv2d(1, 1, 3), nn.BatchNorm2d(1))
    for name, kind in (("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)):
        optimiser = make_optimiser(network, Schedule(optimiser=name, weight_decay=0.1))
        assert isinstance(optimiser, kind)
        decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
        assert decay[id(network[0].weight)] == 0.1
        assert decay[id(network[0].log_sigma)] == decay[id(network[1].weight)] == 0


def test_the_running_mean_follows() -> None:
    slow, fast = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    nn.init.constant_(fast.weight, 3)
    fast.num_batches_tracked += 4
    update_mean(slow, fast, 0.5)
    assert slow.weight.tolist() == [2]
    assert int(slow.num_batches_tracked) == 4
