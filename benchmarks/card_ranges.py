"""Writes into the cards of trained weights what their data look like, as a training does; see docs/models.md.

    python benchmarks/card_ranges.py WEIGHTS --data FOLDER... [--organ NAME]

Trains nothing: ``training_range`` is measured on the data, ``known`` (tissue) by the network on them.
"""

import argparse
from pathlib import Path

from wsipipe.models.cards.weights import find_weights, write_card
from wsipipe.models.networks.registry import load
from wsipipe.training.card import with_known
from wsipipe.training.datasets import read_fields, read_tiles
from wsipipe.training.known_features import known_features
from wsipipe.training.training_range import training_range


def main() -> None:
    """Reads the command line and writes the cards."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", help="name of shipped weights, or a .safetensors file with its card")
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="what the weights learnt from")
    parser.add_argument("--organ", default="", help="of the data; empty if they are of many")
    given = parser.parse_args()
    weights = find_weights(given.weights)
    network, card = load(weights)
    classifies = card.activation == "softmax"
    read = read_tiles if classifies else read_fields
    samples = [one for folder in given.data for one in read(folder)]
    card = card.model_copy(
        update={
            "training_range": training_range(samples, card.mpp, card.stain_reference),
            "organ": given.organ,
        }
    )
    if classifies:
        features = known_features(network, samples, card.mpp, torch.device("cpu"))
        card = with_known(card, features, weights.parent)
    write_card(card, weights.parent)
    print(card.name, card.training_range, card.known)


if __name__ == "__main__":
    main()
