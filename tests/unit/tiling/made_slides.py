"""Slides of Aperio and Philips, made tile by tile so that every byte is known."""

import io

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

APERIO = "Aperio Image Library\n{0}x{0} (64x64) JPEG/RGB Q=80|AppMag = 40|MPP = 0.25"
SAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "411": (4, 1)}
TILE_PX = 64


def picture(height, width, noise=20):
    """Waves of three colours, and noise on them."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(y / 9 + x / 17), np.cos(x / 7), np.sin((y - x) / 13)], axis=-1)
    grain = np.random.default_rng(7).normal(0, noise, waves.shape)
    return np.clip(128 + 90 * waves + grain, 0, 255).astype(np.uint8)


def cut(pixels):
    """Yield the tiles of an image, filled up at the edges."""
    rows, columns = (-side % TILE_PX for side in pixels.shape[:2])
    padded = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), "edge")
    for y in range(0, padded.shape[0], TILE_PX):
        for x in range(0, padded.shape[1], TILE_PX):
            yield np.ascontiguousarray(padded[y : y + TILE_PX, x : x + TILE_PX])


def jpeg(tile, colours="YCBCR", sampling="420"):
    """One whole JPEG of quality 80."""
    more = {"subsampling": sampling} if colours == "YCBCR" else {}
    return imagecodecs.jpeg8_encode(tile, level=80, colorspace="RGB", outcolorspace=colours, **more)


def without_tables(data):
    """Tables of a JPEG, and the rest without application markers."""
    at, tables, rest = 2, b"\xff\xd8", b"\xff\xd8"
    while True:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in (0xDB, 0xC4):
            tables += data[at:end]
        elif marker not in (0xE0, 0xEE):
            rest += data[at:end]
        at = end
        if marker == 0xDA:
            return tables + b"\xff\xd9", rest + data[at:]


def write_level(writer, pixels, encoded, description, **options):
    """Write one level from encoded tiles; options go to tifffile."""
    known = {"shape": pixels.shape, "dtype": np.uint8, "tile": (TILE_PX, TILE_PX), "metadata": None}
    writer.write(iter(encoded), description=description, **known, **options)


def write_aperio(path, *levels, colours="YCBCR", sampling="420", photometric="ycbcr", tables=True):
    """A slide that OpenSlide takes for Aperio's, in JPEG."""
    with tifffile.TiffWriter(path) as writer:
        for number, pixels in enumerate(levels):
            encoded, found = [jpeg(tile, colours, sampling) for tile in cut(pixels)], None
            if tables:
                parts = [without_tables(data) for data in encoded]
                found, encoded = parts[0][0], [rest for _, rest in parts]
            more = {"subsampling": SAMPLING[sampling]} if photometric == "ycbcr" else {}
            more |= {"compression": "jpeg", "photometric": photometric, "jpegtables": found}
            write_level(
                writer, pixels, encoded, APERIO.format(len(levels[0])), subfiletype=int(number > 0), **more
            )
    return path


def write_jpeg_2000(path, pixels, compression=33005):
    """A slide that OpenSlide takes for Aperio's, in JPEG 2000."""
    encoded = [
        imagecodecs.jpeg2k_encode(tile, codecformat="j2k", level=60, mct=False) for tile in cut(pixels)
    ]
    with tifffile.TiffWriter(path) as writer:
        options = {"photometric": "rgb", "compression": compression}
        write_level(writer, pixels, encoded, APERIO.format(len(pixels)), **options)
    return path


def write_philips(path, *levels, missing=()):
    """A slide that OpenSlide takes for Philips'; level 0 lacks some tiles."""
    spacing = '<DataObject ObjectType="PixelDataRepresentation"><Attribute Name="DICOM_PIXEL_SPACING">'
    spacing += '"{0}" "{0}"</Attribute></DataObject>'
    scales = "".join(spacing.format(0.00025 * 2**number) for number in range(len(levels)))
    text = (
        '<?xml version="1.0"?><DataObject ObjectType="DPUfsImport"><Attribute Name="PIM_DP_SCANNED_IMAGES">'
        '<Array><DataObject><Attribute Name="PIM_DP_IMAGE_TYPE">WSI</Attribute>'
        f'<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>{scales}</Array></Attribute>'
        "</DataObject></Array></Attribute></DataObject>"
    )
    with tifffile.TiffWriter(path) as writer:
        for number, pixels in enumerate(levels):
            options = {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)}
            options |= {"software": "Philips DP v1.0", "subfiletype": int(number > 0)}
            encoded = [jpeg(tile) for tile in cut(pixels)]
            write_level(writer, pixels, encoded, text if number == 0 else "level", **options)
    if missing:
        change_sizes(path, dict.fromkeys(missing, 0))
    return path


def change_sizes(path, sizes):
    """State other sizes of some tiles of the first page."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tag = tiff.pages[0].tags["TileByteCounts"]
        tag.overwrite([sizes.get(number, size) for number, size in enumerate(tag.value)])


def place_of(path, tile):
    """Where the data of a tile of the first page begin, and their bytes."""
    with tifffile.TiffFile(path) as tiff:
        return tiff.pages[0].dataoffsets[tile], tiff.pages[0].databytecounts[tile]


def progressive(tile):
    """One JPEG of several scans."""
    out = io.BytesIO()
    Image.fromarray(tile).save(out, "jpeg", quality=80, progressive=True)
    return out.getvalue()
