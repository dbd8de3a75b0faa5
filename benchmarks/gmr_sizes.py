"""D4 error of whole networks at every multiple of their lattice between 64 and 512 px, square and oblong.

    python benchmarks/gmr_sizes.py [--wide] [--json FILE]

Every parameter is perturbed and every BatchNorm set from noise
(:func:`wsipipe.models.certificate.equivariance.perturbed_copy`),
so that no zero hides a fault. U-Net and ResNet-18 are run at all sizes, in float64 by torch, in float32
folded to plain convolutions and by ring kernels, with few channels, as float64 is slow, or all with
``--wide``; the others at three sizes, with all channels.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from wsipipe.errors import ModelError
from wsipipe.models.certificate.equivariance import perturbed_copy
from wsipipe.models.certificate.layer_outputs import TURNS, relative_error
from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import Mode
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.convnext import gmr_convnext_tiny
from wsipipe.models.networks.densenet import gmr_densenet121
from wsipipe.models.networks.r3d import gmr_r3d
from wsipipe.models.networks.resnet import GMRResNet, gmr_resnet50
from wsipipe.models.networks.unet import GMRUNet

Row = dict[str, object]
Call = Callable[[torch.Tensor], torch.Tensor]
SMALLEST_PX, LARGEST_PX = 64, 512
BUDGETS = {"float64": 1e-12, "float32 folded": 1e-5, "float32 rings": 1e-5}
FEW = ((64, 64), (64, 160), (224, 96))


def all_sizes(lattice_px: int) -> list[tuple[int, int]]:
    """Each multiple as a square, and with its opposite as an oblong: 64 x 512, 72 x 504, ..."""
    sides = range(SMALLEST_PX, LARGEST_PX + 1, lattice_px)
    return [(px, px) for px in sides] + [(px, SMALLEST_PX + LARGEST_PX - px) for px in sides]


def d4_error(call: Call, x: torch.Tensor) -> float:
    """Largest relative error of a map under a quarter turn and a mirror, which generate all eight."""
    straight = call(x)
    return max(relative_error(call(turn(x, (2, 3))), turn(straight, (2, 3))) for turn in TURNS)


def cube_error(network: nn.Module, side: tuple[int, int, int]) -> float:
    """Largest relative error of a volume under two turns and a mirror, which generate all 48."""
    x = torch.randn(1, 1, *side, dtype=torch.float64)
    turns: list[Call] = [
        lambda x: torch.rot90(x, 1, (2, 3)),
        lambda x: torch.rot90(x, 1, (3, 4)),
        lambda x: x.flip(4),
    ]
    with torch.inference_mode():
        straight = network.cells(x)
        return max(relative_error(network.cells(turn(x)), turn(straight)) for turn in turns)


def ways(network: nn.Module) -> dict[str, Call]:
    """How a float64 network is run: as it is, folded in float32, and by ring kernels where they cover it."""
    found = {"float64": network, "float32 folded": folded(network).float()}
    try:
        found["float32 rings"] = freeze(network.float(), torch.float32, exact=True)
    except ModelError as error:
        print(f"not by rings: {error}")
    network.double()
    return {name: getattr(one, "logit_map", one) for name, one in found.items()}


def size_rows(name: str, network: nn.Module, sizes: list[tuple[int, int]]) -> list[Row]:
    """One row a way: its worst size."""
    perturbed = perturbed_copy(network, torch.randn(2, 3, 128, 128))
    rows: list[Row] = []
    for way, call in ways(perturbed).items():
        dtype = torch.float64 if way == "float64" else torch.float32
        with torch.inference_mode():
            errors = {size: d4_error(call, torch.randn(1, 3, *size, dtype=dtype)) for size in sizes}
        worst = max(errors, key=lambda size: errors[size])
        kept = errors[worst] <= BUDGETS[way]
        rows.append(
            {
                "network": name,
                "way": way,
                "sizes": len(set(sizes)),
                "error": errors[worst],
                "at": worst,
                "kept": kept,
            }
        )
        print(rows[-1], flush=True)
    return rows


def cube_rows() -> list[Row]:
    """The network for volumes, in float64."""
    network = perturbed_copy(gmr_r3d(10), torch.randn(2, 1, 32, 32, 32))
    rows: list[Row] = []
    for side in ((16, 16, 16), (16, 24, 32), (40, 16, 48), (64, 64, 64)):
        error = cube_error(network, side)
        rows.append(
            {"network": "GMR-R3D, 48 orientations", "way": "float64", "at": side, "error": error}
            | {"kept": error <= BUDGETS["float64"]}
        )
        print(rows[-1], flush=True)
    return rows


def network_size_rows(wide: bool) -> list[Row]:
    """The first two networks at all sizes, then every network and mode at a few."""
    widths, width = ((16, 32, 64, 128), 64) if wide else ((4, 6, 8, 10), 8)
    unet, resnet = GMRUNet(widths=widths), GMRResNet(9, width=width)
    rows = size_rows(f"GMR U-Net, widths {widths}", unet, all_sizes(unet.lattice_px))
    rows += size_rows(f"GMR-ResNet-18, width {width}", resnet, all_sizes(resnet.lattice_px))
    for name, network in others().items():
        rows += size_rows(name, network, list(FEW))
    return rows + cube_rows()


def others() -> dict[str, nn.Module]:
    """Networks with all their channels, and the modes that are not the default."""
    modes: tuple[Mode, ...] = ("index", "narrow")
    return {
        "GMR U-Net": GMRUNet(),
        **{f"GMR U-Net {mode}": GMRUNet(mode=mode) for mode in modes},
        "GMR-ResNet-18": GMRResNet(9),
        "GMR-ResNet-50": gmr_resnet50(9),
        "GMR-DenseNet-121": gmr_densenet121(9),
        "GMR-ConvNeXt-T": gmr_convnext_tiny(9),
    }


def main() -> None:
    """Prints a row a network and way; exits with 1 if one is over its budget."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--wide", action="store_true", help="all channels everywhere (half an hour)")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = network_size_rows(asked.wide)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))
    raise SystemExit(not all(row["kept"] for row in rows))


if __name__ == "__main__":
    main()
