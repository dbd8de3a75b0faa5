"""Parameters of stages: sections of a workflow file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

from wsipipe.errors import ConfigError
from wsipipe.models.cards.card import ModelCard
from wsipipe.stages.grid import CanvasGrid
from wsipipe.stages.stage import Read, Stage, Write

PRECISIONS = ("auto", "float32", "bfloat16", "float64")


@dataclass(frozen=True)
class StageContext:
    """Grid, networks and earlier arrays of a section.

    Attributes:
        grid: The canvas.
        shard_px: Side of a shard of the canvas.
        levels: Pyramid levels of the image and of every label.
        cards: Cards of the networks, by section.
        arrays: Arrays of earlier stages by name: canvas px per px, and the declaration.
    """

    grid: CanvasGrid
    shard_px: int
    levels: int
    cards: Mapping[str, ModelCard]
    arrays: Mapping[str, tuple[int, Write]]

    def read(self, name: str, halo_px: int = 0, anywhere: bool = False) -> Read:
        """Declare a read of an earlier array; pixels beyond it have its fill value.

        Args:
            name: Name of the array, as ``image/0`` or ``labels/tissue/0``.
            halo_px: Context on each side, in px of that array.
            anywhere: Whether the kernel reads around other regions than its core; shards then wait for the
                whole array.

        Raises:
            ConfigError: No earlier stage writes it; lists those that there are.
        """
        if name not in self.arrays:
            raise ConfigError(
                f"No stage of this workflow writes {name!r} before it is read. Add the section that does, or "
                f"read one of {', '.join(sorted(self.arrays))}."
            )
        downsample, write = self.arrays[name]
        return Read(name, downsample, halo_px, write.fill, anywhere)


class StageParams(BaseModel):
    """Base of parameters that other packages add.

    A package names its subclass in the entry point group ``wsipipe.stages``, under the name of the section.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def stages(self, context: StageContext) -> Sequence[Stage]:
        """Declare the stages of this section, in order."""
        raise NotImplementedError

    def causes(self) -> dict[str, object]:
        """Return the values that affect the result, as JSON."""
        return self.model_dump(mode="json")


class NetworkParams(StageParams):
    """Base of the parameters of a stage with a network.

    Attributes:
        weights: Name of shipped weights, or path of a ``.safetensors`` or ``.onnx`` file with its card.
        precision: ``auto`` (bfloat16 where the processor has it), ``float32``, ``bfloat16``, ``float64``.
    """

    patch_key: ClassVar[str] = ""
    """Name of the parameter that bounds memory and never changes the result."""

    weights: str
    precision: str = Field(default="auto", pattern=f"^({'|'.join(PRECISIONS)})$")

    def causes(self) -> dict[str, object]:
        """Return the values that affect the result; the extent of patches does not."""
        return self.model_dump(mode="json", exclude={self.patch_key})

    @property
    def card_weights(self) -> str:
        """Weights whose card stands for these parameters before a slide is opened."""
        return self.weights

    @property
    def finds_unknown(self) -> bool:
        """Whether the network reports tissue that is unlike its training data."""
        return False

    @property
    def pass_bytes(self) -> int:
        """Memory of one pass of the network, estimated from above."""
        return 0

    def check_card(self, card: ModelCard) -> None:
        """Check that the card of the weights supports these parameters.

        Raises:
            ModelError: It does not.
        """

    def with_smaller_patches(self, times: int) -> Self:
        """Return the parameters with patches halved ``times`` times, as far as possible."""
        return self

    def fitted_to(self, shard_px: int) -> Self:
        """Return the parameters with patches no larger than shards of that side need."""
        return self
