"""Convert the pixels of a TIFF page to RGB of 8 bits."""

import numpy as np
import tifffile

from wsipipe.tiling.readers.base import Pixels

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_JPEG, _APERIO_YCBCR = 7, 33003
_ASSOCIATED, _UNASSOCIATED = 1, 2
_NUMBERS = {2: "whole numbers with a sign", 3: "floating-point numbers", 5: "complex", 6: "complex"}
_EXTRAS = {0: "unspecified", _ASSOCIATED: "premultiplied alpha", _UNASSOCIATED: "alpha"}
_COLOURS = {
    _WHITE_IS_ZERO: ("grey", 1),
    _BLACK_IS_ZERO: ("grey", 1),
    _RGB: ("RGB", 3),
    _PALETTE: ("palette", 1),
    _CMYK: ("CMYK", 4),
    _YCBCR: ("YCbCr", 3),
}
_ALPHAS = ((), (_UNASSOCIATED,), (_ASSOCIATED,))


class UnfitError(ValueError):
    """Error for a TIFF without 8-bit RGB or grey.

    The message states what it holds.
    """


def fault(page: tifffile.TiffPage) -> str | None:
    """Return why a page is no 8-bit RGB; None if it is.

    Pages that can be converted to RGB count as RGB.
    """
    bits, kind = _samples(page)
    size = f"{bits} bit{'s' if bits > 1 else ''} a sample"
    if kind in _NUMBERS:
        return f"{_NUMBERS[kind]} ({size})"
    if bits != 8:
        return size
    if page.dtype != np.uint8:
        return f"samples of an unknown kind (SampleFormat {kind})"
    if page.imagedepth > 1:
        return f"a volume of {page.imagedepth} planes"
    return _colour_fault(page) or _codec_fault(page)


def to_rgb(samples: Pixels, page: tifffile.TiffPage) -> tuple[Pixels, Pixels | None]:
    """Convert samples to RGB and alpha.

    Args:
        samples: Stored samples (H, W, S) uint8; three planes count as RGB.
        page: Page of the samples, without a fault.

    Returns:
        RGB (H, W, 3) uint8, and alpha (H, W) uint8 or None.
    """
    photometric = int(page.photometric)
    if photometric == _PALETTE:
        return _palette(page)[samples[..., 0]], None
    if photometric == _CMYK:
        light = 255 - samples.astype(np.uint16)
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8), None
    if photometric == _WHITE_IS_ZERO:
        samples = 255 - samples
    if samples.shape[2] == 1:
        return np.repeat(samples, 3, axis=2), None
    rgb, alpha = samples[..., :3], samples[..., 3] if samples.shape[2] == 4 else None
    if alpha is not None and tuple(map(int, page.extrasamples)) == (_ASSOCIATED,):
        rgb = _divided(rgb, alpha)
    return rgb, alpha


def _samples(page: tifffile.TiffPage) -> tuple[int, int]:
    """Return the largest BitsPerSample and SampleFormat.

    SampleFormat 1 is unsigned integers.
    """
    bits, kind = page.tags.valueof(258, page.bitspersample), page.tags.valueof(339, 1)
    largest = [max(map(int, value)) if isinstance(value, tuple) else int(value) for value in (bits, kind)]
    return largest[0], largest[1]


def _colour_fault(page: tifffile.TiffPage) -> str | None:
    photometric, count = int(page.photometric), page.samplesperpixel
    if photometric not in _COLOURS:
        return f"colours of the kind {getattr(page.photometric, 'name', photometric)}"
    name, colours = _COLOURS[photometric]
    extras = tuple(map(int, page.extrasamples))
    alphas = _ALPHAS if photometric in (_RGB, _YCBCR) else ((),)
    if count != colours + len(extras) or extras not in alphas:
        listed = ", ".join(_EXTRAS.get(extra, str(extra)) for extra in extras) or "of unknown meaning"
        return f"{count} samples a pixel, {name} and {count - colours} more ({listed})"
    jpeg = int(page.compression) == _JPEG
    if photometric == _YCBCR and not jpeg:
        return "YCbCr colours that are not compressed by JPEG"
    if photometric == _CMYK and (jpeg or page.tags.valueof(332, 1) != 1):
        return "CMYK colours compressed by JPEG, or other inks than CMYK"
    return None


def _codec_fault(page: tifffile.TiffPage) -> str | None:
    """Return why tifffile cannot decode pixels, or None.

    Some codecs leave the colours as stored, which counts as a fault.
    """
    code = int(page.compression)
    name = getattr(page.compression, "name", code)
    try:
        known = code == 1 or bool(tifffile.TIFF.DECOMPRESSORS[code])
    except KeyError:
        known = False
    if not known or code == _APERIO_YCBCR:
        return f"pixels compressed by {name}, for which there is no decoder"
    return None


def _palette(page: tifffile.TiffPage) -> Pixels:
    """Return the palette (256, 3) uint8.

    Some writers fill the 16-bit table with 8-bit numbers.
    """
    table = np.array(page.tags.valueof(320), np.uint16).reshape(3, 256).T
    return (table >> 8 if table.max() > 255 else table).astype(np.uint8)


def _divided(rgb: Pixels, alpha: Pixels) -> Pixels:
    """Undo the multiplication of RGB by alpha, rounded to nearest."""
    opacity = np.maximum(alpha, 1)[..., None].astype(np.uint16)
    return np.minimum((rgb * np.uint16(255) + opacity // 2) // opacity, 255).astype(np.uint8)
