"""What leaves give is recorded as it was, and judged in whichever way its axes lie."""

import math

import pytest
import torch
from torch import nn

from wsipipe.models.certificate.layer_outputs import (
    TURNS,
    equivariance_error,
    output_errors,
    recorded_outputs,
    relative_error,
)
from wsipipe.models.gmr import GMRConv2d

X = torch.randn(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_leaves_are_recorded_in_order_and_before_they_are_overwritten() -> None:
    relu = nn.ReLU(inplace=True)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), relu, nn.Conv2d(4, 4, 1), relu)
    with recorded_outputs(network) as calls, torch.no_grad():
        network(X)
    assert [(leaf.name, leaf.kind) for leaf in calls] == [
        ("0", "Conv2d"),
        ("1", "ReLU"),
        ("2", "Conv2d"),
        ("1#2", "ReLU"),
    ]
    assert calls[0].output.min() < 0 == calls[1].output.min()
    with torch.no_grad():
        network(X)
    assert len(calls) == 4


def test_each_leaf_has_its_error() -> None:
    network = nn.Sequential(GMRConv2d(3, 4, 5), nn.Conv2d(4, 2, 3, padding=1)).double()
    with torch.no_grad():
        rings, plain = output_errors(network, network, X.double())
    assert rings.error < 1e-12 < 0.1 < plain.error


@pytest.mark.parametrize("shape", [(1, 8, 12), (1, 3, 8, 12)])
def test_maps_turn_along_and_vectors_stay(shape: tuple[int, ...]) -> None:
    straight, vector = torch.randn(shape), torch.randn(2, 5)
    for turn in TURNS:
        rotated = turn(straight, (len(shape) - 2, len(shape) - 1))
        assert equivariance_error(straight, rotated, turn) == 0
        assert equivariance_error(straight, rotated.roll(1, -1), turn) > 0.1
        assert equivariance_error(vector, vector, turn) == 0
    assert equivariance_error(X, X, TURNS[1]) > 0.1


def test_relative_error_is_a_finite_number() -> None:
    assert relative_error(torch.ones(1, 2), torch.ones(1, 3)) == 1e6
    assert relative_error(torch.tensor([1.0, math.nan]), torch.ones(2)) == 1e6
    assert relative_error(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])) == 0.5
    assert relative_error(torch.zeros(0), torch.zeros(0)) == 0
