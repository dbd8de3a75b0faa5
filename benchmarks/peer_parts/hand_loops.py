"""Nuclei and tissue classes of a slide by loops that a user would write.

Weights are random: they take the same time as trained ones. What follows the nuclei network would meet
noise, so it works on the darkness of the pixels instead, which gives about as many nuclei as there are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openslide
import torch
import torchvision
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import regionprops_table
from skimage.segmentation import watershed
from torch import nn

from peer_parts.clock import Clock
from peer_parts.patches import Patches, Pixels
from peer_parts.plain_unet import PlainUNet

Request = dict[str, Any]

SIDE_PX, OVERLAP_PX, UNET_BATCH = 256, 64, 8
CLASS_SIDE_PX, CLASS_BATCH, CLASSES = 224, 32, 9
SEED = 1


def nuclei(request: Request) -> dict[str, Any]:
    """Find nuclei: U-Net on tiles of 256 px that overlap by 64, watershed, a table."""
    clock = Clock()
    with prepared(PlainUNet(), request) as network, openslide.OpenSlide(request["slide"]) as slide:
        patches = Patches(slide, request["factor"], SIDE_PX, SIDE_PX - OVERLAP_PX)
        scores = np.zeros(patches.shape, np.float16)
        darkness = np.zeros(patches.shape, np.uint8)
        with clock.part("network"):
            for corners, pixels in patches.batches(UNET_BATCH):
                found = network(pixels)[:, 0].sigmoid().to(torch.float16).numpy()
                for corner, patch, score in zip(corners, pixels, found, strict=True):
                    place(scores, corner, score)
                    place(darkness, corner, 255 - patch.min(axis=2))
    with clock.part("after the network"):
        table = nuclei_of(darkness)
        out = Path(request["out"])
        out.mkdir()
        np.savez(out / "nuclei.npz", scores=scores, **table)
    return {"parts": clock.parts, "facts": {"nuclei": len(table["label"]), "patches": len(patches.corners)}}


def tissue_by_resnet18(request: Request) -> dict[str, Any]:
    """Classify patches of 224 px by torchvision's ResNet-18."""
    return tissue(request, torchvision.models.resnet18(num_classes=CLASSES))


def tissue_by_resnet50(request: Request) -> dict[str, Any]:
    """Classify patches of 224 px by torchvision's ResNet-50."""
    return tissue(request, torchvision.models.resnet50(num_classes=CLASSES))


def tissue(request: Request, network: nn.Module) -> dict[str, Any]:
    """Classify patches side by side, and save their probabilities."""
    clock = Clock()
    with prepared(network, request) as run, openslide.OpenSlide(request["slide"]) as slide:
        patches = Patches(slide, request["factor"], CLASS_SIDE_PX, CLASS_SIDE_PX)
        with clock.part("network"):
            found = [run(pixels).softmax(1).numpy() for _, pixels in patches.batches(CLASS_BATCH)]
        out = Path(request["out"])
        out.mkdir()
        np.savez(out / "classes.npz", corners=patches.corners, probabilities=np.concatenate(found))
    return {"parts": clock.parts, "facts": {"patches": len(patches.corners)}}


@contextmanager
def prepared(network: nn.Module, request: Request) -> Iterator[Any]:
    """Yield a function from pixels (B, H, W, 3) uint8 to scores, channels-last, all threads."""
    torch.set_num_threads(request["threads"])
    network = network.eval().to(memory_format=torch.channels_last)
    bfloat16 = request["precision"] == "bfloat16"

    def run(pixels: Pixels) -> torch.Tensor:
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)
        return network(images).float()

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        yield run


def place(whole: npt.NDArray[Any], corner: tuple[int, int], patch: npt.NDArray[Any]) -> None:
    """Copy the middle of a patch to its place, cut at the border of the slide."""
    margin = OVERLAP_PX // 2
    y, x = (value + margin for value in corner)
    inner = patch[margin:-margin, margin:-margin]
    part = whole[y : y + inner.shape[0], x : x + inner.shape[1]]
    part[:] = inner[: part.shape[0], : part.shape[1]]


def nuclei_of(darkness: Pixels) -> dict[str, npt.NDArray[Any]]:
    """Return label, centroid and area of dark blobs, parted by a watershed of distances."""
    smooth = ndimage.gaussian_filter(darkness, 1)
    inside = smooth > threshold_otsu(smooth[darkness > 0]) if darkness.any() else darkness > 0
    distances = ndimage.distance_transform_edt(inside).astype(np.float32)
    seeds = np.zeros(darkness.shape, np.int32)
    peaks = peak_local_max(distances, min_distance=5, threshold_abs=2)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distances, seeds, mask=inside)
    return regionprops_table(labels, properties=("label", "centroid", "area", "eccentricity"))
