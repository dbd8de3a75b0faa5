"""Recipe of a training, read from ``workflows/training/*.yaml``.

Recipes are strict and frozen, and hold everything that determines the weights.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wsipipe.common.settings import apply_setting, read_mapping, validated
from wsipipe.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Network(_Section):
    """Network that is trained.

    Attributes:
        architecture: Name in ``wsipipe.models.networks.registry.NETWORKS``.
        arguments: Arguments of its constructor; inputs, outputs and classes are filled in.
        mode: Kind of ring convolution.
        whiten: Whether ring weights are trained in whitened coordinates; ``wsipipe.models.ring_whitening``.
        train_widths: Whether the widths of the rings are trained too; without it, a step is a quarter faster.
        start: Name or ``.safetensors`` file of pretrained weights of the same network; random initialisation
            if empty. Scores on their training data mean nothing.
    """

    architecture: str
    arguments: dict[str, object] = {}
    mode: Literal["radial", "index", "narrow"] = "radial"
    whiten: bool = True
    train_widths: bool = False
    start: str = ""


class Sampling(_Section):
    """Samples of a training step.

    Attributes:
        batch: Crops (nuclei) or mosaics (tissue) per step.
        side_px: Side of a crop or of a tile, px at the recipe's mpp.
        tiles: Tiles on each side of a mosaic (tissue).
        shares: Relative frequency of each source; 1 by default, 0 for never. ``SOURCE_foreground`` are the
            fields of a source whose nuclei are not separated.
        classes: Tissue classes in the order of the outputs; all classes of the data if empty.
        types: Types of nuclei in the order of their outputs, after nucleus and centre; none if empty.
    """

    batch: int = Field(default=4, ge=1)
    side_px: int = Field(default=144, ge=32, multiple_of=8)
    tiles: int = Field(default=3, ge=1)
    shares: dict[str, float] = {}
    classes: list[str] = []
    types: list[str] = []


class Augment(_Section):
    """Strength of the augmentation.

    Attributes:
        stain: Strength of other dyes, hues and exposures; 1 covers other scanners.
        scale: Largest change of size, as a logarithm: 0.25 is 0.78 to 1.28 times.
        blur: Probability of blur or sharpening.
        jpeg: Probability of compression.
        noise: Probability of sensor noise.
        cover: Probability of glass, and separately of ink, over a part (nuclei).
        glass: Probability of a synthetic crop or tile of empty glass.
        geometric: Whether crops are rotated and mirrored at random, for networks that are not equivariant.
    """

    stain: float = Field(default=0.7, ge=0, le=3)
    scale: float = Field(default=0.25, ge=0, le=1)
    blur: float = Field(default=0.4, ge=0, le=1)
    jpeg: float = Field(default=0.5, ge=0, le=1)
    noise: float = Field(default=0.4, ge=0, le=1)
    cover: float = Field(default=0.1, ge=0, le=1)
    glass: float = Field(default=0.05, ge=0, le=1)
    geometric: bool = False


class LossWeights(_Section):
    """Weights of the parts of the loss.

    Attributes:
        nucleus: Weight of the cross-entropy of the nucleus map.
        dice: Weight of 1 - Dice of the nucleus map.
        centre: Weight of the cross-entropy of the centre map.
        touching: Extra weight of pixels between touching nuclei, in both cross-entropies.
        types: Weight of the cross-entropy of the types, in pixels of nuclei whose type is known.
        smoothing: Label smoothing (tissue).
    """

    nucleus: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.5, ge=0)
    centre: float = Field(default=1.0, ge=0)
    touching: float = Field(default=0.0, ge=0)
    types: float = Field(default=0.5, ge=0)
    smoothing: float = Field(default=0.05, ge=0, lt=1)


class Schedule(_Section):
    """Number of steps, optimiser and learning rate.

    Attributes:
        steps: Number of steps; independent of the machine's speed.
        optimiser: ``adamw``, or ``sgd`` with Nesterov momentum 0.9.
        learning_rate: Maximum; the rate rises over ``warm_up``, then falls to 0 as a cosine.
        warm_up: Share of the steps.
        weight_decay: Decay of weights only, not of ring widths, biases and norms.
        clip_norm: Largest norm of the gradient.
        ema_decay: Decay of the running mean of the weights, which is measured and shipped.
        precision: ``bfloat16``, ``float32``, or ``auto``: bfloat16 where the device has it in hardware.
    """

    steps: int = Field(default=4000, ge=1)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=2e-3, gt=0)
    warm_up: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.02, ge=0)
    clip_norm: float = Field(default=5.0, gt=0)
    ema_decay: float = Field(default=0.998, ge=0, lt=1)
    precision: Literal["auto", "bfloat16", "float32"] = "auto"


class Validation(_Section):
    """Held-out data and early stopping.

    Attributes:
        folds: Number of folds, of which one at a time is held out.
        fold: Held-out fold, unless the command names one.
        group: Unit that is never split: ``group`` (organ, patient or slide, as given by the data), ``name``
            or ``source``.
        sources: Sources that are held out, all others are always trained on; all sources if empty.
        leave_out: Sources that are held out entirely and together, in place of a fold; none if empty.
        every: Steps between validations; 0 validates only at the end.
        patience: Number of validations without a better score before training stops and keeps the best
            weights; 0 never stops.
    """

    folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
    group: Literal["group", "name", "source"] = "group"
    sources: list[str] = []
    leave_out: list[str] = []
    every: int = Field(default=1000, ge=0)
    patience: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _validates_for_early_stopping(self) -> Self:
        if self.patience and not self.every:
            raise ValueError("patience counts validations, but every=0 has only the last; set every too")
        return self

    @property
    def early_stopping_steps(self) -> int:
        """Steps without a better score before training stops; 0 for never."""
        return self.patience * self.every


class Recipe(_Section):
    """Recipe of one network.

    Attributes:
        name: Stem of the weights and their card.
        task: ``nuclei`` or ``tissue``.
        description: One sentence.
        mpp: Resolution of the network's images in µm/px; everything is resampled to it.
        restain: Whether fields, and later slides, are normalised to one stain; see ``wsipipe.stages.stain``.
        network: Network that is trained.
        samples: Samples of a training step.
        augment: Strength of the augmentation.
        loss: Weights of the parts of the loss.
        fit: Number of steps, optimiser and learning rate.
        validation: Held-out data and early stopping.
        licence: Licence of the weights; derived from the data sets if empty.
        stain: Stain of the data, for the card.
        organ: Organ of the data, for the card, for example ``colon``; empty for several organs.
        non_commercial: Whether the weights forbid commercial use; derived from the data sets if null.
        seed: Seed of weights and samples.
        threads: Threads of torch, on a CPU; sums may differ in the last bit between numbers of threads.
    """

    name: str = Field(pattern=r"^[\w.+-]+$")
    task: Literal["nuclei", "tissue"]
    description: str = ""
    mpp: float = Field(gt=0.05, le=20)
    restain: bool = False
    network: Network
    samples: Sampling = Sampling()
    augment: Augment = Augment()
    loss: LossWeights = LossWeights()
    fit: Schedule = Schedule()
    validation: Validation = Validation()
    licence: str = ""
    stain: str = "H&E"
    organ: str = ""
    non_commercial: bool | None = None
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _tissue_has_no_keys_of_nuclei(self) -> Self:
        if self.task == "tissue" and (self.restain or self.samples.types):
            raise ValueError("restain and samples.types are for nuclei; tissue networks have other outputs")
        return self


def recipe_folder() -> Path:
    """Return the folder of the recipes that come with wsipipe.

    It is inside the package once installed, else beside it.
    """
    package = Path(__file__).parents[1]
    inside = package / "_workflows" / "training"
    return inside if inside.is_dir() else package.parent / "workflows" / "training"


def recipe_names() -> list[str]:
    """Return the names that :func:`read_recipe` knows."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def read_recipe(name_or_path: str | Path, settings: list[str] | None = None) -> Recipe:
    """Read a recipe by name or from a YAML file.

    Args:
        name_or_path: One of :func:`recipe_names`, or the path of a YAML file.
        settings: ``key=value`` or ``section.key=value`` overrides; the value is YAML.

    Raises:
        ConfigError: There is no such recipe, it is not YAML, or keys or values are wrong; names every such
            key.
    """
    path = _find(name_or_path)
    content = read_mapping(path, "Recipe")
    typed = [apply_setting(content, setting, Recipe) for setting in settings or []]
    return validated(Recipe, content, f"Recipe {path}", typed, file=path)


def _find(name_or_path: str | Path) -> Path:
    for candidate in (recipe_folder() / f"{name_or_path}.yaml", Path(name_or_path)):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"There is no recipe {str(name_or_path)!r}. Name a YAML file, or one of {', '.join(recipe_names())}."
    )
