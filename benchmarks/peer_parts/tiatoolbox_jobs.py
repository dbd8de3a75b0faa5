"""Nuclei and tissue classes of a slide by the engines of TIAToolbox.

Its trained weights are fetched at run time, so the same networks run with random weights. Its own tissue
mask is on.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tiatoolbox.models.architecture.hovernet import HoVerNet
from tiatoolbox.models.architecture.vanilla import CNNModel
from tiatoolbox.models.engine.io_config import (
    IOInstanceSegmentorConfig,
    IOPatchPredictorConfig,
    IOSegmentorConfig,
)
from tiatoolbox.models.engine.nucleus_instance_segmentor import NucleusInstanceSegmentor
from tiatoolbox.models.engine.patch_predictor import PatchPredictor
from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
from tiatoolbox.models.models_abc import ModelABC

from peer_parts.clock import Clock
from peer_parts.plain_unet import PlainUNet

Request = dict[str, Any]

SIDE_PX, KEPT_PX, UNET_BATCH = 256, 192, 8
CLASS_SIDE_PX, CLASS_BATCH, CLASSES = 224, 32, 9
TYPES = dict(enumerate(("Background", "Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial")))


class UNet(ModelABC):
    """The plain U-Net in the form that the engines take."""

    def __init__(self) -> None:
        super().__init__()
        self.network = PlainUNet().to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (B, 2, H, W) of images (B, 3, H, W)."""
        return self.network(images)

    @staticmethod
    def infer_batch(model: torch.nn.Module, batch_data: torch.Tensor, device: str = "cpu") -> Any:
        """Return probabilities (B, 192, 192, 2) of images (B, 256, 256, 3) uint8."""
        model.eval()
        margin = (SIDE_PX - KEPT_PX) // 2
        with torch.inference_mode():
            images = batch_data.to(device).permute(0, 3, 1, 2).float().div_(255)
            found = F.softmax(model(images), 1)[..., margin:-margin, margin:-margin]
        return found.permute(0, 2, 3, 1).contiguous().numpy()

    @staticmethod
    def postproc(image: Any) -> Any:
        """Return the class of each px."""
        return image.argmax(-1)


def nuclei_by_unet(request: Request) -> dict[str, Any]:
    """Run SemanticSegmentor with the plain U-Net: classes of pixels, no nuclei."""
    scale = at(request)
    config = IOSegmentorConfig(
        input_resolutions=[scale],
        output_resolutions=[scale],
        save_resolution=scale,
        patch_input_shape=(SIDE_PX, SIDE_PX),
        patch_output_shape=(KEPT_PX, KEPT_PX),
        stride_shape=(KEPT_PX, KEPT_PX),
    )
    return run(request, SemanticSegmentor, UNet(), config, UNET_BATCH, "zarr")


def nuclei_by_hovernet(request: Request) -> dict[str, Any]:
    """Run NucleusInstanceSegmentor with HoVer-Net of the PanNuke kind."""
    scale = at(request)
    config = IOInstanceSegmentorConfig(
        input_resolutions=[scale],
        output_resolutions=[scale] * 3,
        save_resolution=scale,
        margin=128,
        tile_shape=(1024, 1024),
        patch_input_shape=(256, 256),
        patch_output_shape=(164, 164),
        stride_shape=(164, 164),
    )
    network = HoVerNet(num_types=len(TYPES), mode="fast", nuc_type_dict=TYPES)
    return run(request, NucleusInstanceSegmentor, network, config, UNET_BATCH, "qupath")


def tissue_by_resnet18(request: Request) -> dict[str, Any]:
    """Run PatchPredictor with ResNet-18 on patches of 224 px."""
    scale = at(request)
    shape = (CLASS_SIDE_PX, CLASS_SIDE_PX)
    config = IOPatchPredictorConfig(
        input_resolutions=[scale], output_resolutions=[scale], patch_input_shape=shape, stride_shape=shape
    )
    return run(request, PatchPredictor, CNNModel("resnet18", CLASSES), config, CLASS_BATCH, "zarr")


def at(request: Request) -> dict[str, Any]:
    """Return the scale in TIAToolbox's form."""
    return {"units": "mpp", "resolution": request["mpp"]}


def run(
    request: Request, engine_of: type, network: ModelABC, config: object, batch: int, kind: str
) -> dict[str, Any]:
    """Run an engine on the slide; time inference and what follows apart."""
    torch.set_num_threads(request["threads"])
    clock = Clock()
    engine = engine_of(model=network, batch_size=batch, num_workers=0, device="cpu", verbose=False)
    for method, part in {
        "infer_wsi": "network",
        "post_process_wsi": "after the network",
        "save_predictions": "after the network",
    }.items():
        setattr(engine, method, in_part(clock, part, getattr(engine, method)))
    engine.run(
        [Path(request["slide"])],
        patch_mode=False,
        ioconfig=config,
        save_dir=Path(request["out"]),
        output_type=kind,
        auto_get_mask=True,
    )
    return {"parts": clock.parts, "facts": {"patches": len(engine.dataloader.dataset)}}


def in_part(clock: Clock, name: str, method: Any) -> Any:
    """Return a method whose seconds are added to a part."""

    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.part(name):
            return method(*args, **kwargs)

    return timed
