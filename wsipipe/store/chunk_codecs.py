"""Codecs of the inner chunks of a shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import imagecodecs.zarr
import numpy as np
import zarr
from numcodecs.checksum32 import CRC32C
from numcodecs.zstd import Zstd
from zarr.abc.codec import Codec
from zarr.codecs import BytesCodec, Crc32cCodec, TransposeCodec, ZstdCodec
from zarr.registry import register_codec

from wsipipe.geometry import Array

CHECKSUM = CRC32C(location="end")
_CHANNELS_LAST = (1, 2, 0)


class ContiguousJpeg(imagecodecs.zarr.Jpeg):
    """JPEG codec of imagecodecs that copies pixels to contiguous memory.

    The encoder needs contiguous pixels, which a transpose does not give.
    """

    def _encode_sync(self, chunk_array: zarr.Array, chunk_spec: Any) -> Any:
        pixels = np.ascontiguousarray(chunk_array.as_numpy_array())
        return super()._encode_sync(type(chunk_array).from_numpy_array(pixels), chunk_spec)


register_codec("imagecodecs_jpeg", ContiguousJpeg)


class ChunkCodec(Protocol):
    """Codec of one chunk."""

    @property
    def lossless(self) -> bool:
        """Whether the same pixels come back."""
        ...

    def encode(self, pixels: Array) -> bytes:
        """Return the bytes of a chunk."""
        ...

    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return the pixels of a chunk; raise an error if the data are damaged."""
        ...


@dataclass(frozen=True)
class ZstdChunks:
    """Codec zstd with a checksum of the pixels.

    Attributes:
        zstd: The compressor.
    """

    zstd: Zstd
    lossless: bool = True

    def encode(self, pixels: Array) -> bytes:
        """Return a zstd frame of the pixels in C order."""
        data: bytes = self.zstd.encode(np.ascontiguousarray(pixels))
        return data

    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return the pixels of a zstd frame."""
        return np.frombuffer(self.zstd.decode(data), dtype).reshape(shape)


@dataclass(frozen=True)
class JpegChunks:
    """Codec JPEG with a checksum of the compressed bytes.

    Attributes:
        quality: Quality, 1 to 100.
    """

    quality: int
    lossless: bool = False

    def encode(self, pixels: Array) -> bytes:
        """Return a JPEG of pixels (3, H, W) and its checksum."""
        data = imagecodecs.jpeg8_encode(
            np.ascontiguousarray(pixels.transpose(_CHANNELS_LAST)), level=self.quality
        )
        return CHECKSUM.encode(data).tobytes()

    def decode(self, data: bytes | memoryview, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return pixels (3, H, W)."""
        channels, height, width = shape
        decoded = imagecodecs.jpeg8_decode(CHECKSUM.decode(data)).reshape(height, width, channels)
        return np.moveaxis(decoded, 2, 0)


def codec_of(codecs: Sequence[Codec]) -> ChunkCodec | None:
    """Return the codec that zarr's inner codecs describe; None for others."""
    match codecs:
        case [BytesCodec(), ZstdCodec() as zstd]:
            return ZstdChunks(Zstd(level=zstd.level, checksum=zstd.checksum))
        case [TransposeCodec(order=(1, 2, 0)), ContiguousJpeg(level=int() as quality) as jpeg, Crc32cCodec()]:
            return JpegChunks(quality) if jpeg == ContiguousJpeg(level=quality) else None
    return None
