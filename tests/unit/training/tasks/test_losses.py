"""Losses: lowest for the truth; unknown parts are ignored; touching nuclei weigh more."""

import pytest
import torch

from wsipipe.training.recipe import LossWeights
from wsipipe.training.tasks.losses import nuclei_loss, soft_dice, tissue_loss

PLAIN = LossWeights()


def batch(known: int = 1) -> dict[str, torch.Tensor]:
    nucleus = torch.zeros(1, 8, 8, dtype=torch.uint8)
    nucleus[:, 2:5, 2:5] = 1
    touching = torch.zeros_like(nucleus)
    touching[:, 5] = 1
    return {
        "nucleus": nucleus,
        "centre": 255 * nucleus,
        "touching": touching,
        "known": torch.full_like(nucleus, known),
    }


def test_the_truth_costs_least() -> None:
    truth = (batch()["nucleus"].float() * 2 - 1)[:, None].repeat(1, 2, 1, 1) * 9
    assert nuclei_loss(truth, batch(), PLAIN) < 0.01 < nuclei_loss(-truth, batch(), PLAIN)
    assert soft_dice(batch()["nucleus"].float(), batch()["nucleus"].float()) == 0


def test_an_unknown_centre_is_not_punished() -> None:
    scores = torch.zeros(1, 2, 8, 8, requires_grad=True)
    nuclei_loss(scores, batch(known=0), PLAIN).backward()
    assert scores.grad[:, 1].abs().max() == 0
    assert scores.grad[:, 0].abs().max() > 0


@pytest.mark.parametrize("part", ["nucleus", "dice", "centre"])
def test_a_part_without_weight_has_no_gradient(part: str) -> None:
    weights = {"nucleus": 0.0, "dice": 0.0, "centre": 0.0, part: 1.0}
    scores = torch.zeros(1, 2, 8, 8, requires_grad=True)
    nuclei_loss(scores, batch(), LossWeights(**weights)).backward()
    learnt = [bool(scores.grad[:, channel].abs().max() > 0) for channel in (0, 1)]
    assert learnt == ([False, True] if part == "centre" else [True, False])


def test_gaps_between_nuclei_weigh_more() -> None:
    gradients = []
    for touching in (0.0, 4.0):
        scores = torch.zeros(1, 2, 8, 8, requires_grad=True)
        nuclei_loss(scores, batch(), LossWeights(touching=touching, dice=0.0)).backward()
        gradients.append(scores.grad.abs())
    shares = [float(one[:, :, 5].sum() / one.sum()) for one in gradients]
    assert shares[1] > 2 * shares[0]


def test_the_right_tissue_costs_less() -> None:
    scores = torch.zeros(1, 8, 3, 3)
    scores[:, 2] = 5
    right, wrong = (tissue_loss(scores, {"label": torch.full((1, 3, 3), label)}, PLAIN) for label in (2, 3))
    assert right < wrong
