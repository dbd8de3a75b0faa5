"""Settings of a training, as ``workflows/training/*.yaml`` gives them."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsipipe.errors import ConfigError


class Recipe(BaseModel):
    """How one network is trained.

    Attributes:
        task: ``nuclei`` or ``tissue``.
        minutes: Of training in all.
        final_share: Last part of the time, in which the held-out data are learnt too.
        batch: Crops or canvases a step.
        side_px: Side of a crop (nuclei), px.
        tiles: Tiles on each side of a canvas (tissue).
        learning_rate: Highest rate of AdamW; the final part has 0.3 of it.
        ema_decay: Of the running mean of weights, which is what is shipped.
        arguments: Of the network.
        mode: Kind of ring convolution.
        shares: Chance of each source of crops (nuclei).
        seed: Of weights and samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["nuclei", "tissue"]
    minutes: float = Field(default=60.0, gt=0)
    final_share: float = Field(default=0.25, ge=0, lt=1)
    batch: int = Field(default=4, ge=1)
    side_px: int = Field(default=144, multiple_of=8)
    tiles: int = Field(default=3, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)
    arguments: dict[str, object] = {}
    mode: Literal["radial", "index"] = "radial"
    shares: dict[str, float] = {}
    seed: int = 0


NUCLEI = Recipe(
    task="nuclei",
    arguments={
        "in_channels": 3,
        "out_channels": 2,
        "widths": [16, 32, 64, 128],
        "kernel_sizes": [9, 9, 5, 5],
    },
    shares={"monuseg": 0.5, "monuseg_foreground": 0.2, "nucls": 0.15, "dsb2018": 0.1, "glass": 0.05},
)
TISSUE = Recipe(
    task="tissue",
    batch=2,
    learning_rate=1.5e-3,
    final_share=0.1,
    ema_decay=0.99,
    arguments={"num_classes": 8, "width": 64, "kernel_sizes": [9, 9, 5, 5], "window": 7},
)
DEFAULTS = {"nuclei": NUCLEI, "tissue": TISSUE}


def read_recipe(path: Path) -> Recipe:
    """Recipe of a YAML file.

    Raises:
        ConfigError: A key is unknown or a value wrong; names it.
    """
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {key}: {first['msg']}. Correct the recipe.") from error
