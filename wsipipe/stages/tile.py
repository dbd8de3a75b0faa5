"""Stage tile: store the canvas as ``image/0``, (3, y, x) uint8, one shard per task."""

import re
from typing import Annotated, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wsipipe.geometry import Region
from wsipipe.stages.stage import Read, ShardInput, ShardOutput, Stage, Write
from wsipipe.store.ome_metadata import LabelClass

RGB = (
    LabelClass(0, "red", (255, 0, 0)),
    LabelClass(1, "green", (0, 255, 0)),
    LabelClass(2, "blue", (0, 0, 255)),
)


def _image_mode(value: str) -> str:
    jpeg = re.fullmatch(r"jpeg:(\d{1,3})", value)
    if value in {"lossless", "none"} or (jpeg and 1 <= int(jpeg[1]) <= 100):
        return value
    raise ValueError("image must be 'lossless', 'jpeg:QUALITY' (1 to 100) or 'none'")


class TileParams(BaseModel):
    """Parameters of tiling.

    Attributes:
        mpp: Um per px of the canvas.
        shard_px: Side of a shard (one file and one task).
        chunk_px: Side of the chunks inside it, the smallest units that can be read.
        image: ``lossless``, ``jpeg:QUALITY`` or ``none`` (the slide is read again instead of stored).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mpp: float = Field(default=0.5, ge=0.05, le=20)
    shard_px: int = Field(default=2048, ge=256, le=8192, multiple_of=64)
    chunk_px: int = Field(default=512, ge=64, le=2048, multiple_of=64)
    image: Annotated[str, AfterValidator(_image_mode)] = "lossless"

    @model_validator(mode="after")
    def _chunks_fill_shards(self) -> Self:
        if self.shard_px % self.chunk_px:
            raise ValueError(f"shard_px {self.shard_px} is not a multiple of chunk_px {self.chunk_px}")
        return self


def image_name(level: int) -> str:
    """Return the array name of an image level."""
    return f"image/{level}"


def image_write(level: int, params: TileParams) -> Write:
    """Declare one level of the image."""
    codec = params.image if params.image.startswith("jpeg") else "zstd"
    channels = tuple(channel.name for channel in RGB)
    return Write(image_name(level), "image", "uint8", 255, channels, codec, legend=RGB)


def tile_stage(params: TileParams, region: Region | None) -> Stage:
    """Declare the stage that stores the canvas.

    Shards outside ``region`` (canvas px) stay white and are not read.
    """
    reads = (Read("canvas", 1, outside=255),)

    def kernel(shard: ShardInput) -> ShardOutput:
        if region is not None and not region.meets(shard.core):
            return ShardOutput({image_name(0): np.full((3, *shard.core.shape), 255, np.uint8)})
        return ShardOutput({image_name(0): np.moveaxis(shard.read("canvas").pixels, 2, 0)})

    return Stage("tile", 1, params.shard_px, reads, (image_write(0, params),), kernel)
