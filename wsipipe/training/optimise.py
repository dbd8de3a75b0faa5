"""Optimiser, learning rate and running mean of the weights."""

from math import cos, pi

import torch
from torch import nn

from wsipipe.models.gmr import param_groups
from wsipipe.training.recipe import Schedule


def make_optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Create AdamW, or SGD with Nesterov momentum 0.9.

    Ring widths, biases and norms have no weight decay.
    """
    groups = param_groups(network, schedule.weight_decay)
    if schedule.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=schedule.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.99))


def rate_share(done: float, warm_up: float) -> float:
    """Return the learning rate as a share of its maximum.

    Args:
        done: Share of the steps that are done, 0 to 1.
        warm_up: Share of the steps in which the rate rises.
    """
    if done < warm_up:
        return max(done / warm_up, 0.01)
    return 0.5 * (1 + cos(pi * min((done - warm_up) / (1 - warm_up), 1)))


def update_mean(mean: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running mean one step towards the network."""
    pairs = list(zip(mean.state_dict().values(), network.state_dict().values(), strict=True))
    moving = [(slow, fast) for slow, fast in pairs if slow.is_floating_point()]
    torch._foreach_lerp_([slow for slow, _ in moving], [fast for _, fast in moving], 1 - decay)
    for slow, fast in pairs:
        if not slow.is_floating_point():
            slow.copy_(fast)
