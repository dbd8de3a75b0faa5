"""``python -m wsipipe.training nuclei|tissue --data DIR --out DIR``: train, or go on training."""

import argparse
import logging
from pathlib import Path

import torch

from wsipipe.training import nuclei, tissue
from wsipipe.training.recipe import DEFAULTS, read_recipe


def main() -> None:
    """Parse the command line and train; run again with the same ``--out`` to go on where it stopped."""
    parser = argparse.ArgumentParser(prog="python -m wsipipe.training", description=__doc__)
    parser.add_argument("task", choices=sorted(DEFAULTS))
    parser.add_argument("--data", type=Path, required=True, help="folder with nuclei/, tissue/ and slides/")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, weights and card")
    parser.add_argument(
        "--recipe", type=Path, help="YAML file; workflows/training has those of the shipped weights"
    )
    parser.add_argument("--minutes", type=float, help="time to train, in place of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = read_recipe(asked.recipe) if asked.recipe else DEFAULTS[asked.task]
    if asked.minutes:
        recipe = recipe.model_copy(update={"minutes": asked.minutes})
    torch.set_num_threads(asked.threads)
    asked.out.mkdir(parents=True, exist_ok=True)
    train = {"nuclei": nuclei.train, "tissue": tissue.train}[asked.task]
    train(recipe, asked.data, asked.out)


if __name__ == "__main__":
    main()
