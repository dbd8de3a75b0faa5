"""Encode pictures of a slide for its page."""

import base64
import io

import numpy as np
from PIL import Image

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Region
from wsipipe.pipeline.execution.shard_inputs import ShardInputs
from wsipipe.pipeline.planning.plan import Plan
from wsipipe.stages.stage import Read, Write
from wsipipe.stages.tile import image_name
from wsipipe.stages.tissue import TISSUE

LONGEST_SIDE_PX = 1600
"""Longest side of the picture of the slide."""
LABEL_SIDE_PX = 1024
"""Longest side of the map of a label."""
_BLOCK_PX = 512
_JPEG_QUALITY, _OPACITY = 82, 150
_LINE, _RIM = (0, 230, 118), (10, 25, 20)
"""Green that stands out on pink and blue, with a dark rim that keeps it visible on white."""


def data_uri(content: bytes, kind: str) -> str:
    """Return an address that holds its picture, of a kind as ``png``."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def jpeg_uri(pixels: Array) -> str:
    """Return RGB pixels (H, W, 3) uint8 as an address."""
    return data_uri(jpeg(pixels), "jpeg")


def jpeg(pixels: Array, quality: int = _JPEG_QUALITY) -> bytes:
    """Encode RGB pixels (H, W, 3) uint8 as JPEG."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def png_uri(image: Image.Image, **options: object) -> str:
    """Return a picture without loss as an address."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=6, **options)
    return data_uri(file.getvalue(), "png")


def shown_downsample(plan: Plan) -> int:
    """Return canvas px per px of the picture of the slide, the finest that fits."""
    downsample = 1
    while max(plan.facts.grid.shape_at(downsample)) > LONGEST_SIDE_PX:
        downsample *= 2
    return downsample


def slide_pixels(plan: Plan, inputs: ShardInputs) -> Array:
    """Return the picture of the slide, RGB (H, W, 3) uint8, a block at a time.

    It has one px per :func:`shown_downsample` canvas px, a mean of them.
    """
    downsample = shown_downsample(plan)
    is_stored = plan.workflow.tile.image != "none"
    finest = 1 << (plan.levels - 1) if is_stored else plan.facts.lattice_px
    read = min(downsample, finest)
    pixels = np.empty((*plan.facts.grid.shape_at(downsample), 3), np.uint8)
    for part in Region(0, 0, *pixels.shape[:2]).blocks(_BLOCK_PX):
        wanted = part.scaled(downsample // read)
        if is_stored:
            level = read.bit_length() - 1
            found = inputs.read(Read(image_name(level), read, outside=255), wanted).pixels
        else:
            found = inputs.canvas.read_coarse(read, wanted)[0]
        while found.shape[0] > part.height:
            found = block_mean(found)
        pixels[part.slices] = found
    return pixels


def tissue_outline(plan: Plan, inputs: ShardInputs, shape: tuple[int, int]) -> Image.Image:
    """Return the outline of the tissue on a transparent ground.

    Args:
        plan: Plan of the slide.
        inputs: Finished arrays of the slide.
        shape: (height, width) of the picture of the slide.
    """
    labels, covered = _coarse_label(plan, inputs, TISSUE, plan.downsample(TISSUE), max(shape))
    # The px of a label are as wide as many px of the picture; its last ones may reach beyond it.
    size = [round(side * covered / shown_downsample(plan)) for side in labels.shape[::-1]]
    mask = Image.fromarray(255 * (labels == 1).astype(np.uint8)).resize(
        (size[0], size[1]), Image.Resampling.BILINEAR
    )
    inside = np.asarray(mask)[: shape[0], : shape[1]] > 127
    rim, line = _border(inside, 3), _border(inside, 1)
    values = np.where(line, 2, np.where(rim, 1, 0)).astype(np.uint8)
    return palette_image(values, {1: _RIM, 2: _LINE}, {1: 170, 2: 255})


def _border(inside: Array, width_px: int) -> Array:
    """Return the pixels within a width of the border of a mask (h, w) bool."""
    grown, core = inside.copy(), inside.copy()
    for axis in (0, 1):
        for _ in range(width_px):
            for source, target in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
                here, there = ((slice(None),) * axis + (part,) for part in (target, source))
                # The copy keeps a pixel from travelling on within one step.
                near = grown[there].copy(), core[there].copy()
                grown[here] |= near[0]
                core[here] &= near[1]
    return grown & ~core


def label_image(plan: Plan, inputs: ShardInputs, write: Write, downsample: int) -> tuple[Image.Image, int]:
    """Return a label in the colours of its legend, and its canvas px per px.

    Pixels without a class are transparent.
    """
    values, covered = _coarse_label(plan, inputs, write.name, downsample, LABEL_SIDE_PX)
    colours = {item.value: item.rgb for item in write.legend}
    return palette_image(values, colours, dict.fromkeys(colours, _OPACITY)), covered


def _coarse_label(
    plan: Plan, inputs: ShardInputs, name: str, downsample: int, most_px: int
) -> tuple[Array, int]:
    """Return the finest level of a label that fits, and its canvas px per px."""
    group = name.rpartition("/")[0]
    for level in range(plan.levels):
        array = inputs.array(f"{group}/{level}")
        if max(array.shape) <= most_px or level == plan.levels - 1:
            break
    every = -(-max(array.shape) // most_px)
    return np.ascontiguousarray(array[::every, ::every]), (downsample << level) * every


def palette_image(
    values: Array, colours: dict[int, tuple[int, int, int]], opacity: dict[int, int]
) -> Image.Image:
    """Return values (h, w) uint8 as a picture of few colours.

    Args:
        values: Values of the pixels.
        colours: Colour by value; others are transparent.
        opacity: Opacity by value, 0 to 255.
    """
    image = Image.fromarray(values, "P")
    palette = np.zeros((256, 3), np.uint8)
    alpha = bytearray(256)
    for value, colour in colours.items():
        palette[value], alpha[value] = colour, opacity[value]
    image.putpalette(palette.tobytes())
    image.info["transparency"] = bytes(alpha)
    return image
