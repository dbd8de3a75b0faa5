"""Read a TIFF page by tiles or strips."""

import math
from collections import OrderedDict
from itertools import product
from threading import Lock

import numpy as np
from tifffile import TiffPage

from wsipipe.common.thread_work import for_each, thread_count
from wsipipe.geometry import Region
from wsipipe.tiling.readers.base import Pixels
from wsipipe.tiling.readers.jpeg_stream import Verdict, verdict_on

_KEPT_BYTES = 1 << 26
_JPEG = 7
_DAMAGED = (Verdict.TOO_SHORT, Verdict.BAD_CODE)

Slices = tuple[slice, slice]


class SegmentedPage:
    """Lazy pixels of a page with a segment cache.

    Args:
        page: Page of 8-bit samples of an open file.

    Attributes:
        page: Page that is read.
    """

    def __init__(self, page: TiffPage) -> None:
        self._file = page.parent.filehandle
        self.page = page
        self._key = page.keyframe
        self._mapped: Pixels | None = None
        self._segment_bytes = math.prod(self._key.chunks)
        self._kept: OrderedDict[int, Pixels | None] = OrderedDict()
        self._lock = Lock()

    def read(self, region: Region) -> tuple[Pixels, Pixels]:
        """Read the stored samples of a region.

        Returns:
            Samples (H, W, S) uint8, and presence (H, W) uint8, 0 where a segment is missing.
        """
        if self._key.is_memmappable:
            return self._whole()[region.slices], np.full(region.shape, 255, np.uint8)
        return self._from_segments(region)

    def _whole(self) -> Pixels:
        """Map an uncompressed page into memory."""
        if self._mapped is None:
            offset = self.page.dataoffsets[0]
            mapped = np.memmap(self._file.path, np.uint8, "r", offset=offset, shape=self._key.shape)
            planar = mapped.ndim == 3 and int(self._key.planarconfig) == 2
            self._mapped = np.moveaxis(mapped, 0, -1) if planar else np.atleast_3d(mapped)
        return self._mapped

    def _from_segments(self, region: Region) -> tuple[Pixels, Pixels]:
        key = self._key
        height, width = key.chunks[:2]
        across = -(-key.imagewidth // width)
        per_plane = across * -(-key.imagelength // height)
        planes = key.samplesperpixel if int(key.planarconfig) == 2 else 1
        samples = np.zeros((*region.shape, key.samplesperpixel), np.uint8)
        present = np.zeros(region.shape, np.uint8)

        def place(where: tuple[int, int, int]) -> None:
            row, column, plane = where
            corner = Region(row * height, column * width, height, width)
            segment = self._segment(plane * per_plane + row * across + column)
            if segment is not None:
                at, of = _overlap(region, corner, segment.shape[:2])
                samples[(*at, slice(plane, plane + segment.shape[2]))] = segment[of]
                present[at] = 255

        rows = range(region.y // height, -(-region.end_y // height))
        columns = range(region.x // width, -(-region.end_x // width))
        for_each(place, product(rows, columns, range(planes)), thread_count())
        return samples, present

    def _segment(self, index: int) -> Pixels | None:
        """Return the samples of a segment; None if missing.

        Samples are (H, W, S) uint8.
        """
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        segment = self._decoded(index)
        with self._lock:
            self._kept[index] = segment
            while len(self._kept) > max(1, _KEPT_BYTES // self._segment_bytes):
                self._kept.popitem(last=False)
        return segment

    def _decoded(self, index: int) -> Pixels | None:
        size = self.page.databytecounts[index]
        if size == 0:
            return None
        with self._lock:
            self._file.seek(self.page.dataoffsets[index])
            data = self._file.read(size)
        if len(data) < size:
            raise ValueError(f"the file ends inside segment {index}")
        # libjpeg would fill in what is missing.
        if int(self._key.compression) == _JPEG and verdict_on(data, self.page.jpegtables) in _DAMAGED:
            raise ValueError(f"the JPEG data of segment {index} are damaged or end too early")
        segment, _, shape = self._key.decode(data, index, jpegtables=self.page.jpegtables)
        if segment is None:
            return None
        samples = 1 if int(self._key.planarconfig) == 2 else self._key.samplesperpixel
        if segment.dtype != np.uint8 or segment.shape[3] != samples:
            raise ValueError(f"segment {index} holds {segment.shape} samples of {segment.dtype}")
        return np.asarray(segment[0, : shape[1], : shape[2]])


def _overlap(region: Region, corner: Region, shape: tuple[int, int]) -> tuple[Slices, Slices]:
    """Return the indices of the overlap of a segment.

    They index the region and the segment.
    """
    segment = Region(corner.y, corner.x, *shape)
    part = segment.intersection(region)
    return part.relative_to(region).slices, part.relative_to(segment).slices
