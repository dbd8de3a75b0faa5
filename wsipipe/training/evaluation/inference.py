"""Inference on a field or tile outside a slide.

A field is treated as a small slide: it is placed in the middle of a canvas whose sides are multiples of the
network's lattice, on an endless white plane, and its nuclei are found by the stages as one shard. The
pipeline's grid, predictor and stages are used, so the scores are those of the pipeline, and a rotated field
gives the rotated result to the bit.
"""

import copy
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from wsipipe.geometry import Array, Region
from wsipipe.models.cards.card import ModelCard, StainReference
from wsipipe.models.predictor import Device, Precision, Predictor, choose_device, choose_precision
from wsipipe.stages.nuclei.grow import grow_instances
from wsipipe.stages.nuclei.join import grow_tables, join_seeds
from wsipipe.stages.nuclei.number import merge_instances
from wsipipe.stages.nuclei.params import InstanceParams
from wsipipe.stages.nuclei.relabel import relabel
from wsipipe.stages.nuclei.seeds import find_seeds
from wsipipe.stages.stain import colours, lookup, restained
from wsipipe.store.encoding import quantise
from wsipipe.tiling.resample import Axis, resample, taps
from wsipipe.training.samples import Labels, Rgb

WHITE = 255
NATIVE_TOLERANCE = 0.02
"""Relative difference to the network's mpp within which pixels are not resampled, as for slides."""


class PatchPredictor(Protocol):
    """Predictor of patches, such as :class:`wsipipe.models.predictor.Predictor`."""

    halo_px: int
    lattice_px: int
    stride: int

    def __call__(self, patch: Rgb, /) -> npt.NDArray[np.float32]:
        """Return probabilities (C, H / stride, W / stride) float32.

        Args:
            patch: RGB (H, W, 3) uint8.
        """
        ...


@dataclass(frozen=True, eq=False)
class FieldCanvas:
    """Field on the network's grid.

    Attributes:
        image: (H, W, 3) uint8, H and W multiples of the lattice; white around the field.
        labels: (H, W) int32, 0 around the field.
        inside: Part of the canvas whose pixels are covered by the field at least by half.
        mpp: Resolution in µm/px.
    """

    image: Rgb
    labels: Labels
    inside: Region
    mpp: float


def predictor_of(
    network: nn.Module, card: ModelCard, device: Device = "auto", precision: Precision = "auto"
) -> Predictor:
    """Return a predictor of a copy of a network in memory.

    The network itself is not changed.

    Raises:
        ModelError: CUDA is requested but absent.
    """
    where = choose_device(device)
    return Predictor(copy.deepcopy(network).eval(), card, where, choose_precision(precision, where))


def instances(nucleus: Array, centre: Array, params: InstanceParams, mpp: float) -> Labels:
    """Find nuclei in stored maps by the pipeline's stages.

    Args:
        nucleus: Nucleus probability times 250, (H, W) uint8.
        centre: Centre probability times 250, (H, W) uint8.
        params: Parameters of a workflow or a card.
        mpp: Resolution of the maps in µm/px.

    Returns:
        Ids (H, W) int32, 1..n in raster order, 0 background.
    """
    whole = Region(0, 0, *nucleus.shape)
    seeds, partial = find_seeds(nucleus, centre, params)
    joined = join_seeds({(0, 0): partial}, (1, 1), max(*nucleus.shape, params.grow_px(mpp)), mpp, params)
    tables = grow_tables(joined, (0, 0))
    grown, sums = grow_instances(seeds, nucleus, whole, whole, tables, params.grow_px(mpp))
    merged = merge_instances([sums], joined["rank"].size - 1, mpp, params)
    return relabel(grown, merged["final"]).astype(np.int32)


def field_canvas(
    image: Rgb,
    labels: Labels,
    mpp: float,
    to_mpp: float,
    lattice_px: int,
    stain: StainReference | None = None,
) -> FieldCanvas:
    """Place a field in the middle of a canvas.

    The image is resampled by exact area means, labels by the nearest pixel.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W); zeros if there are none.
        mpp: Resolution in µm/px of both; they are not resampled if it is within 2 % of ``to_mpp``.
        to_mpp: Resolution of the canvas in µm/px.
        lattice_px: Lattice of the network; the sides of the canvas are multiples of it.
        stain: Colours to which the field is normalised, as a slide is.
    """
    step = 1.0 if abs(to_mpp / mpp - 1) <= NATIVE_TOLERANCE else to_mpp / mpp
    sides = [_Axis(extent, step, lattice_px) for extent in labels.shape]
    rows, columns = sides
    resampled = resample(_padded(image, rows, columns), rows.taps, columns.taps)
    if stain:
        resampled = restained(resampled, lookup(colours(resampled), stain))
    nearest_labels = np.pad(labels, 1)[np.ix_(rows.nearest, columns.nearest)]
    inside = Region(rows.margin, columns.margin, rows.covered, columns.covered)
    return FieldCanvas(resampled, nearest_labels, inside, mpp * step)


def stored_maps(predict: PatchPredictor, canvas: FieldCanvas) -> npt.NDArray[np.uint8]:
    """Return stored probabilities of a field.

    The full receptive field of the network is given as white context, as around a slide.

    Args:
        predict: Predictor with stride 1.
        canvas: Field on the network's grid.

    Returns:
        (C, h, w) uint8 (0..250) of ``canvas.inside``, at the mpp of the canvas.
    """
    halo = predict.halo_px
    probabilities = predict(pad_white(canvas.image, halo))
    inside = canvas.inside.relative_to(Region(-halo, -halo, 0, 0))
    return quantise(probabilities[:, *inside.slices])


def pad_white(image: Rgb, margin_px: int) -> Rgb:
    """Pad an image (H, W, 3) with white on each side."""
    return np.pad(image, ((margin_px,) * 2, (margin_px,) * 2, (0, 0)), constant_values=WHITE)


class _Axis:
    """One axis of a field on its canvas.

    Attributes:
        taps: Resampling taps of each sample of the canvas.
        nearest: Index of the nearest source px + 1 by sample; 0 outside.
        margin: First sample covered by the field at least by half.
        covered: Number of samples so covered.
    """

    def __init__(self, extent: int, step: float, lattice_px: int) -> None:
        length = extent / step
        even = lattice_px * (1 + lattice_px % 2)
        count = max(math.ceil(length / even), 1) * even
        self.extent = extent
        self.taps = taps(Axis(step, extent / 2, count / 2), 0, count)
        # Counted outwards from the middle, so that a mirrored field has the mirrored labels.
        outwards = np.floor((np.arange(count // 2) + 0.5) * step - extent % 2 / 2 + 1e-9).astype(int)
        right = extent // 2 + extent % 2 + outwards + 1
        right = np.where(right <= extent, right, 0)
        left = np.where(right > 0, extent + 1 - right, 0)[::-1]
        self.nearest = np.concatenate([left, right])
        self.margin = int((left == 0).sum())
        self.covered = count - 2 * self.margin

    @property
    def before(self) -> int:
        """White px that the first sample needs before the source."""
        return max(-self.taps.span[0], 0)

    @property
    def after(self) -> int:
        """White px that the last sample needs after the source."""
        return max(self.taps.span[1] - self.extent, 0)


def _padded(image: Rgb, rows: _Axis, columns: _Axis) -> Rgb:
    """Return the pixels used by the taps, with white around the image."""
    pads = ((rows.before, rows.after), (columns.before, columns.after), (0, 0))
    padded = np.pad(image, pads, constant_values=WHITE)
    y, x = rows.taps.span[0] + rows.before, columns.taps.span[0] + columns.before
    return padded[y:, x:]
