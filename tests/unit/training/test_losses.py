"""Losses: least for the truth; what is not known is not punished."""

import torch

from wsipipe.training.losses import nuclei_loss, soft_dice, tissue_loss


def batch(known: float) -> dict[str, torch.Tensor]:
    nucleus = torch.zeros(1, 8, 8)
    nucleus[:, 2:5, 2:5] = 1
    return {"nucleus": nucleus, "centre": nucleus, "centre_known": torch.full((1, 8, 8), known)}


def test_the_truth_costs_least() -> None:
    truth = (batch(1)["nucleus"] * 2 - 1)[:, None].repeat(1, 2, 1, 1) * 9
    assert nuclei_loss(truth, batch(1)) < 0.01 < nuclei_loss(-truth, batch(1))
    assert soft_dice(batch(1)["nucleus"], batch(1)["nucleus"]) == 0


def test_an_unknown_centre_is_not_punished() -> None:
    scores = torch.zeros(1, 2, 8, 8, requires_grad=True)
    nuclei_loss(scores, batch(0)).backward()
    assert scores.grad[:, 1].abs().max() == 0
    assert scores.grad[:, 0].abs().max() > 0


def test_the_right_tissue_costs_less() -> None:
    scores = torch.zeros(1, 8, 3, 3)
    scores[:, 2] = 5
    right, wrong = (tissue_loss(scores, {"label": torch.full((1, 3, 3), label)}) for label in (2, 3))
    assert right < wrong
