"""Input of the network."""

import numpy as np
import torch

from wsipipe.training.sampling.batches import as_input, as_tensors


def test_white_enters_the_network_as_zero() -> None:
    assert float(as_input(np.full((1, 8, 8, 3), 255, np.uint8)).abs().max()) == 0


def test_texts_stay_behind() -> None:
    arrays = {"image": np.zeros((1, 4, 4, 3), np.uint8), "label": np.array([2]), "name": np.array(["x"])}
    tensors = as_tensors(arrays, torch.device("cpu"))
    assert set(tensors) == {"image", "label"}
    assert tensors["image"].shape == (1, 3, 4, 4)
    assert tensors["image"].is_contiguous(memory_format=torch.channels_last)
