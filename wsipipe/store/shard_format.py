"""The bytes of a shard: its inner chunks, one after another, and an index.

zarr-python reads and writes the same bytes, chunk by chunk in Python. Here chunks are compressed and
decompressed in threads.

Source: https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec

from wsipipe.common.random_access import RandomAccessFile
from wsipipe.common.thread_work import for_each, thread_count
from wsipipe.geometry import Array, Region
from wsipipe.store.chunk_codecs import CHECKSUM, ChunkCodec, codec_of

_ABSENT = 2**64 - 1
_CHECKSUM_BYTES = 4
_INDEX_CODECS = (BytesCodec, Crc32cCodec)

ReadBytes = Callable[[int, int], bytes | memoryview]
"""Function that returns the bytes at an offset, of a size."""


@dataclass(frozen=True)
class ShardFormat:
    """How the pixels of a shard become bytes.

    Attributes:
        side_px: Side of a shard.
        chunk: Shape of an inner chunk, (y, x) or (channel, y, x); it has all channels.
        dtype: Type of the pixels.
        fill: Value of pixels that no chunk holds.
        codec: Codec of the chunks.
    """

    side_px: int
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: int
    codec: ChunkCodec

    @property
    def _across(self) -> int:
        return self.side_px // self.chunk[-1]

    def encode(self, pixels: Array) -> bytes:
        """Return the bytes of a shard.

        Args:
            pixels: Pixels (..., height, width); smaller than a shard at the end of the array.
        """
        places = list(Region(0, 0, *pixels.shape[-2:]).blocks(self.chunk[-1]))
        chunks = [b""] * len(places)

        def encode(number: int) -> None:
            part = pixels[(..., *places[number].slices)]
            if part.shape != self.chunk:
                whole = np.full(self.chunk, self.fill, self.dtype)
                height, width = part.shape[-2:]
                whole[..., :height, :width] = part
                part = whole
            chunks[number] = self.codec.encode(part)

        for_each(encode, range(len(places)), thread_count())
        index = np.full((self._across, self._across, 2), _ABSENT, "<u8")
        offset = 0
        for place, data in zip(places, chunks, strict=True):
            index[place.y // self.chunk[-1], place.x // self.chunk[-1]] = offset, len(data)
            offset += len(data)
        return b"".join([*chunks, CHECKSUM.encode(index).tobytes()])

    def decode(self, read: ReadBytes, size_bytes: int, region: Region, into: Array) -> None:
        """Decode a part of a shard.

        Args:
            read: Function that reads bytes of the shard.
            size_bytes: Size of the shard.
            region: The part, in px of the shard.
            into: Array (..., height, width) that receives its pixels.

        Raises:
            Exception: The data are damaged; decoders raise anything.
        """

        def store(part: Region, pixels: Array | int) -> None:
            into[(..., *part.relative_to(region).slices)] = pixels

        self._visit(read, size_bytes, region, store)

    def decode_file(self, path: Path, region: Region, into: Array) -> None:
        """Decode a part of a shard's file; see :meth:`decode`."""
        file = RandomAccessFile(path)
        try:
            self.decode(file.read, file.size_bytes, region, into)
        finally:
            file.close()

    def decoded(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Decode a whole shard.

        Args:
            data: Bytes of the shard.
            shape: Shape of its pixels; smaller than a shard at the end of the array.

        Returns:
            Pixels of that shape.
        """
        pixels = np.empty(shape, self.dtype)
        self.decode(_reader_of(data), len(data), Region(0, 0, *shape[-2:]), pixels)
        return pixels

    def holds(self, data: bytes, pixels: Array) -> bool:
        """Return whether a shard decodes to the given pixels, without memory for a second copy."""
        equal = []

        def compare(part: Region, found: Array | int) -> None:
            equal.append(bool((pixels[(..., *part.slices)] == found).all()))

        self._visit(_reader_of(data), len(data), Region(0, 0, *pixels.shape[-2:]), compare)
        return all(equal)

    def _visit(
        self, read: ReadBytes, size_bytes: int, region: Region, use: Callable[[Region, Array | int], None]
    ) -> None:
        """Call a function for each chunk in a region.

        It gets the place and the pixels, and runs in threads.
        """
        side = self.chunk[-1]
        index = self._index(read, size_bytes)

        def visit(place: Region) -> None:
            chunk = place.scaled(side)
            part = chunk.intersection(region)
            offset, size = (int(number) for number in index[place.y, place.x])
            if offset == size == _ABSENT:
                use(part, self.fill)
                return
            decoded = self.codec.decode(_exactly(read, offset, size), self.chunk, self.dtype)
            use(part, decoded[(..., *part.relative_to(chunk).slices)])

        for_each(visit, region.scaled(1, side).blocks(1), thread_count())

    def _index(self, read: ReadBytes, size_bytes: int) -> Array:
        """Return offset and size of each chunk, (rows, columns, 2) uint64."""
        length = 16 * self._across**2 + _CHECKSUM_BYTES
        data = CHECKSUM.decode(_exactly(read, size_bytes - length, length))
        return np.frombuffer(data, "<u8").reshape(self._across, self._across, 2)


def _reader_of(data: bytes) -> ReadBytes:
    view = memoryview(data)
    return lambda at, size: view[at : at + size]


def _exactly(read: ReadBytes, offset: int, size: int) -> bytes | memoryview:
    data = read(offset, size) if offset >= 0 else b""
    if len(data) != size:
        raise ValueError(f"{size} bytes at {offset} lie beyond the end of the shard")
    return data


def format_of(array: zarr.Array) -> ShardFormat | None:
    """Return the format of an array's shards; None if zarr must read and write them."""
    match array.metadata.codecs:
        case [ShardingCodec(index_location="end") as sharding]:
            codec = codec_of(sharding.codecs)
            plain_index = tuple(type(each) for each in sharding.index_codecs) == _INDEX_CODECS
        case _:
            return None
    leading, shard, chunk = array.shape[:-2], tuple(array.shards), tuple(array.chunks)
    whole = shard[:-2] == chunk[:-2] == leading
    square = len(set(shard[-2:])) == len(set(chunk[-2:])) == 1
    if codec is None or not plain_index or not whole or not square:
        return None
    return ShardFormat(shard[-1], chunk, array.dtype.newbyteorder("<"), array.fill_value, codec)
