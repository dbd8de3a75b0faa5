"""Settings of a training, as ``workflows/training/*.yaml`` gives them: strict, frozen, all that matters."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wsipipe.common.settings import apply_setting, read_mapping, validated
from wsipipe.errors import ConfigError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Network(_Section):
    """Which network is trained.

    Attributes:
        architecture: A name of ``wsipipe.models.networks.registry.NETWORKS``.
        arguments: Of its constructor; inputs, outputs and classes are filled in.
        mode: Kind of ring convolution.
        whiten: Learn ring weights in coordinates that make rings uncorrelated, see
            :mod:`wsipipe.models.ring_whitening`.
        train_widths: Learn the rings' widths too; without, a step is a quarter faster.
        start: Name or ``.safetensors`` file of trained weights of the same network to begin from; fresh
            ones without. Scores on data that these have learnt mean nothing.
    """

    architecture: str
    arguments: dict[str, Any] = {}
    mode: Literal["radial", "index", "narrow"] = "radial"
    whiten: bool = True
    train_widths: bool = False
    start: str = ""


class Sampling(_Section):
    """What a step learns from.

    Attributes:
        batch: Crops (nuclei) or canvases (tissue) a step.
        side_px: Side of a crop or of a tile, px at the recipe's mpp.
        tiles: Tiles on each side of a canvas (tissue).
        shares: How often each source is drawn, relative to one another; 1 where nothing is said, 0 never.
            ``SOURCE_foreground`` are the fields of a source whose nuclei are not told apart.
        classes: Tissue classes to learn, in the order of the outputs; all that the data have if empty.
    """

    batch: int = Field(default=4, ge=1)
    side_px: int = Field(default=144, ge=32, multiple_of=8)
    tiles: int = Field(default=3, ge=1)
    shares: dict[str, float] = {}
    classes: list[str] = []


class Augment(_Section):
    """How far samples are changed.

    Attributes:
        stain: Strength of other dyes, hues and exposures; 1 reaches other scanners.
        scale: Largest change of size, as a logarithm: 0.25 is 0.78 to 1.28 times.
        blur: Chance of other focus or sharpening.
        jpeg: Chance of compression.
        noise: Chance of sensor noise.
        cover: Chance of glass, and again of ink, over a part (nuclei).
        glass: Chance of a crop or tile of empty glass that is made.
        geometric: Random turns and mirrors, for networks that are not equivariant by themselves.
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
    """What mistakes cost.

    Attributes:
        nucleus: Cross-entropy of the nucleus map.
        dice: 1 - Dice of the nucleus map.
        centre: Cross-entropy of the centre map.
        touching: Added to the weight of pixels between touching nuclei, in both cross-entropies.
        smoothing: Of class labels (tissue).
    """

    nucleus: float = Field(default=1.0, ge=0)
    dice: float = Field(default=0.5, ge=0)
    centre: float = Field(default=1.0, ge=0)
    touching: float = Field(default=0.0, ge=0)
    smoothing: float = Field(default=0.05, ge=0, lt=1)


class Schedule(_Section):
    """How long and how fast.

    Attributes:
        steps: In all; a run is the same whatever the machine's speed.
        optimiser: ``adamw``, or ``sgd`` with Nesterov momentum 0.9.
        learning_rate: Highest; rises over ``warm_up``, then falls to 0 as a cosine.
        warm_up: Share of the steps.
        weight_decay: On weights alone, not on ring widths, biases and norms.
        clip_norm: Longest gradient.
        ema_decay: Of the running mean of the weights, which is what is measured and shipped.
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
    """What is held out to measure the network.

    Attributes:
        folds: Parts of the data, of which one at a time is held out.
        fold: Which one, where the command does not say.
        group: What is never split: ``group`` (organ, patient or slide, as data tell), ``name`` or ``source``.
        sources: Only these are held out, all others always learnt; all if empty.
        leave_out: Sources to hold out whole and together, in place of a fold; none if empty.
        every: Steps between validations; 0 is only at the end.
        patience: Stop after so many validations without a better score, and keep the best; 0 is never.
    """

    folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
    group: Literal["group", "name", "source"] = "group"
    sources: list[str] = []
    leave_out: list[str] = []
    every: int = Field(default=1000, ge=0)
    patience: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _patience_counts_validations(self) -> Self:
        if self.patience and not self.every:
            raise ValueError("patience counts validations, of which every=0 has only the last; set every too")
        return self


class Recipe(_Section):
    """How one network is trained.

    Attributes:
        name: Stem of the weights and their card.
        task: ``nuclei`` or ``tissue``.
        description: One sentence.
        mpp: Um per px of the network's images; everything is resampled to it.
        restain: Bring every field, and later every slide, to one stain first; see
            :mod:`wsipipe.stages.stain` (nuclei).
        network: Which one.
        samples: What a step learns from.
        augment: How far samples are changed.
        loss: What mistakes cost.
        fit: How long and how fast.
        validation: What is held out.
        licence: Of the weights; from the data sets if empty.
        stain: Of the data, for the card.
        organ: Of the data, for the card, as ``colon``; empty if they are of many.
        non_commercial: Whether the weights may not be sold or used in what is; from the data sets if null.
        seed: Of weights and samples.
        threads: Of torch, on a CPU; sums may differ in the last bit between numbers of threads.
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
    def _tissue_is_taken_as_it_is(self) -> Self:
        if self.restain and self.task == "tissue":
            raise ValueError("restain is for nuclei; tissue networks see the slide as it is")
        return self


def recipe_folder() -> Path:
    """Where the recipes that come with wsipipe are: in the package once installed, else beside it."""
    package = Path(__file__).parents[1]
    inside = package / "_workflows" / "training"
    return inside if inside.is_dir() else package.parent / "workflows" / "training"


def recipe_names() -> list[str]:
    """Names that :func:`read_recipe` knows."""
    return sorted(path.stem for path in recipe_folder().glob("*.yaml"))


def read_recipe(name_or_path: str | Path, settings: list[str] | None = None) -> Recipe:
    """Recipe of a name or a YAML file, with settings over it.

    Args:
        name_or_path: One of :func:`recipe_names`, or the path of a YAML file.
        settings: ``key=value`` or ``section.key=value`` each; the value is YAML.

    Raises:
        ConfigError: No such recipe, not YAML, an unknown key or a wrong value; names every such key.
    """
    path = _find(name_or_path)
    content = read_mapping(path, "Recipe")
    typed = [apply_setting(content, setting, Recipe) for setting in settings or []]
    return validated(Recipe, content, f"Recipe {path}", typed)


def _find(name_or_path: str | Path) -> Path:
    for candidate in (recipe_folder() / f"{name_or_path}.yaml", Path(name_or_path)):
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"There is no recipe {str(name_or_path)!r}: it is neither a file nor one of "
        f"{', '.join(recipe_names())}."
    )
