"""The check itself: it passes what commutes, and names the first module that does not."""

import pytest
import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.equivariance import first_non_equivariant_layer
from wsipipe.models.gmr import GMRConv2d

IMAGES = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_a_ring_network_commutes() -> None:
    network = nn.Sequential(GMRConv2d(3, 4, 5), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1))
    network.append(nn.Flatten()).append(nn.Linear(4, 2))
    assert first_non_equivariant_layer(network, IMAGES) is None


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.Conv2d(4, 4, 3, padding=1), "1 (Conv2d)"),
        (nn.AvgPool2d(3, 2, 1), "1 (AvgPool2d)"),
        (nn.Flatten(), "1 (Flatten)"),
    ],
)
def test_the_first_that_breaks_is_named(layer: nn.Module, name: str) -> None:
    assert first_non_equivariant_layer(nn.Sequential(GMRConv2d(3, 4, 5), layer), IMAGES) == name


def test_a_network_that_runs_one_way_only_is_refused() -> None:
    with pytest.raises(ModelError, match=r"does not run on images \(2, 3, 12, 8\)"):
        first_non_equivariant_layer(nn.Sequential(GMRConv2d(3, 4, 5), nn.LayerNorm([8, 12])), IMAGES)


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(GMRConv2d(3, 4, 5), nn.BatchNorm2d(4)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    first_non_equivariant_layer(network, IMAGES)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_answers_in_lists_and_dicts_are_all_looked_at() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good, self.bad = GMRConv2d(3, 4, 5), nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
            return {"maps": [self.good(x), self.bad(x)]}

    assert first_non_equivariant_layer(Two(), IMAGES) == "bad (Conv2d)"


def test_tokens_may_change_their_order_but_not_learn_their_place() -> None:
    class Tokens(nn.Module):
        def __init__(self, placed: bool) -> None:
            super().__init__()
            self.conv, self.mix = GMRConv2d(3, 4, 5), nn.Linear(4, 4)
            self.place = nn.Parameter(torch.zeros(1, 96, 4)) if placed else 0.0
            self.after = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.after(self.mix(self.conv(x).flatten(2).mT) + self.place).mean(1)

    assert first_non_equivariant_layer(Tokens(placed=False), IMAGES) is None
    assert first_non_equivariant_layer(Tokens(placed=True), IMAGES) == "after (ReLU)"
