"""Measure the ring convolution: exactness, layers, networks, rotation error, and the table of choices.

    python benchmarks/gmr.py --reference DIR --json out.json   everything (about 12 minutes on two cores)
    python benchmarks/gmr.py --only layers networks            some of it
    python benchmarks/gmr.py --choose                          measure and write kernels/choice.json
    python benchmarks/gmr.py --gpu --choose                    on a GPU: first its row of the table,
    python benchmarks/gmr.py --gpu --only networks layers training
                                                               then the numbers; together under 8 minutes

``--reference`` is the folder of the authors' release, see ``gmr_release.py``; else its columns are empty.
"""

import argparse
import copy
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from gmr_exactness import exactness_rows
from gmr_release import release, release_conv
from gmr_rotation import rotation_rows
from gmr_sizes import network_size_rows
from gmr_timing import interleaved, keep_freed_memory, machine
from torch import nn

from wsipipe.models.freeze import freeze
from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels.choice import TABLE, device_kind
from wsipipe.models.kernels.dispatch import Impl
from wsipipe.models.networks.baselines import plain_resnet18, plain_unet
from wsipipe.models.networks.blocks import folded
from wsipipe.models.networks.resnet import GMRResNet
from wsipipe.models.networks.unet import GMRUNet

SHAPES = ((2, 128, 64), (8, 128, 32), (2, 64, 64), (1, 32, 128), (1, 16, 256))
GPU_SHAPES = ((64, 16, 256), (64, 32, 128), (64, 64, 64), (64, 128, 64))
FLOOR_MS = {
    "U-Net, Mpx/s": 0.93,
    "ResNet-18, tiles/s": 0.87,
}  # on an H100, batch 64, bf16: an estimate on paper
DTYPES = (torch.float32, torch.bfloat16)
IMPLS: tuple[Impl, ...] = ("dense", "two_step", "fused")
Row = dict[str, object]


def layer_rows(package: ModuleType | None, rounds: int, device: torch.device) -> list[Row]:
    """Milliseconds of one layer for each shape, side, dtype and number of threads."""
    rows: list[Row] = []
    for threads in (1, 2) if device.type == "cpu" else (1,):
        torch.set_num_threads(threads)
        for side in (5, 9):
            for dtype in DTYPES:
                for shape in GPU_SHAPES if device.type == "cuda" else SHAPES:
                    row: Row = {"threads": threads, "side": side, "dtype": name(dtype), "shape": shape}
                    rows.append(row | layer_times(package, rounds, device, side, dtype, shape))
                    print(rows[-1], flush=True)
    torch.set_num_threads(1)
    return rows


def layer_times(
    package: ModuleType | None,
    rounds: int,
    device: torch.device,
    side: int,
    dtype: torch.dtype,
    shape: tuple[int, int, int],
) -> Row:
    """Milliseconds of each way, weights ready, and the ratios that are asked for."""
    batch, channels, px = shape
    layer = GMRConv2d(channels, channels, side, bias=False, device=device).eval()
    models = {
        "ours": freeze(nn.Sequential(layer), dtype),
        "dense": layer.fuse(),
        "two_step": GMRConv2d(channels, channels, side, bias=False, impl="two_step", device=device),
        "plain 3x3": nn.Conv2d(channels, channels, 3, padding=1, bias=False, device=device),
    }
    if package:
        models["release"] = release_conv(package, channels, channels, side).eval()
    times = model_times(models, torch.randn(batch, channels, px, px, device=device), dtype, rounds)
    best = min(times["dense"], times["two_step"])
    ratios = {"ours / best of dense and two-step": times["ours"] / best}
    ratios |= {f"{key} / ours": ms / times["ours"] for key, ms in times.items() if key != "ours"}
    return {key: round(value, 3) for key, value in (times | ratios).items()}


def model_times(
    models: dict[str, nn.Module], x: torch.Tensor, dtype: torch.dtype, rounds: int
) -> dict[str, float]:
    """Median milliseconds of each model in the better memory layout.

    The release is timed in torch's usual layout, as its users run it, and apart in channels-last.
    """
    timed: dict[str, Callable[[], object]] = {}
    with torch.inference_mode():
        for key, model in models.items():
            for layout in (torch.channels_last, torch.contiguous_format):
                if layout is torch.contiguous_format and key == "ours":
                    continue
                with torch.no_grad():
                    twin = copy.deepcopy(model.eval())
                ready = twin.to(device=x.device, dtype=dtype).to(memory_format=layout)
                timed[f"{key}|{layout}"] = partial(ready, x.to(dtype).contiguous(memory_format=layout))
        taken = interleaved(timed, rounds)
    found = {key: min(ms for label, ms in taken.items() if label.split("|")[0] == key) for key in models}
    if "release" in models:
        found["release"] = taken[f"release|{torch.contiguous_format}"]
        found["release, channels-last"] = taken[f"release|{torch.channels_last}"]
    return found


def network_rows(package: ModuleType | None, rounds: int, device: torch.device) -> list[Row]:
    """Speed of whole networks: ours, the plain twin, and the release."""
    gpu = device.type == "cuda"
    unet = {"ours": GMRUNet().eval(), "plain 3x3": plain_unet().eval()}
    resnet = {"ours": GMRResNet(9).eval(), "plain 3x3": plain_resnet18(9).eval()}
    if package:
        unet["release"] = GMRUNet(mode="index", conv=partial(release_conv, package)).eval()
        resnet["release"] = package.gmr_resnet18(num_classes=9, gmr_conv_size=[9, 9, 5, 5]).eval()
    batch, px = (64, 256) if gpu else (1, 512)
    jobs = (
        ("U-Net, Mpx/s", unet, px, batch * px * px / 1e6),
        ("ResNet-18, tiles/s", resnet, 224, float(batch)),
    )
    rows: list[Row] = []
    for title, networks, side, amount in jobs:
        for dtype in DTYPES:
            ready = {key: prepared(key, model.to(device), dtype) for key, model in networks.items()}
            times = model_times(ready, torch.rand(batch, 3, side, side, device=device), dtype, rounds)
            speeds: Row = {key: round(1e3 * amount / ms, 3) for key, ms in times.items()}
            ratios = {
                f"ours / {key}": round(ms / times["ours"], 2) for key, ms in times.items() if key != "ours"
            }
            floor = {"ms / floor": round(times["ours"] / FLOOR_MS[title], 2)} if gpu else {}
            rows.append(
                {
                    "network": title,
                    "px": side,
                    "batch": batch,
                    "dtype": name(dtype),
                    **speeds,
                    **ratios,
                    **floor,
                }
            )
            print(rows[-1], flush=True)
    return rows


def prepared(key: str, model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The network as its users run it, BatchNorm folded where that is possible."""
    if key == "ours":
        return freeze(model, dtype)
    return folded(model) if key == "plain 3x3" else model


def training_rows(rounds: int, device: torch.device) -> list[Row]:
    """Milliseconds, and on a GPU peak MiB, of a layer's forward and backward pass, by implementation."""
    rows: list[Row] = []
    for side in (5, 9):
        for dtype in DTYPES:
            for batch, channels, px in GPU_SHAPES if device.type == "cuda" else SHAPES:
                x = torch.randn(batch, channels, px, px, device=device, dtype=dtype, requires_grad=True)
                layer = GMRConv2d(channels, channels, side, device=device, dtype=dtype)
                steps = {impl: partial(step, layer, x, impl, True) for impl in IMPLS}
                row: Row = {"side": side, "dtype": name(dtype), "shape": (batch, channels, px)}
                row |= {key: round(ms, 3) for key, ms in interleaved(steps, rounds).items()}
                rows.append(row | {f"{impl} MiB": peak_mib(steps[impl]) for impl in IMPLS})
                print(rows[-1], flush=True)
    return rows


def peak_mib(function: Callable[[], object]) -> float | None:
    """Peak GPU memory of one call; None on a CPU."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.reset_peak_memory_stats()
    function()
    return round(torch.cuda.max_memory_allocated() / 2**20, 1)


def step(layer: GMRConv2d, x: torch.Tensor, impl: Impl, training: bool) -> None:
    """One call of a layer as a network calls it, with its backward pass in training."""
    layer.impl = impl
    with torch.set_grad_enabled(training):
        out = layer(x)
    if training:
        out.backward(torch.ones_like(out))


def choices(rounds: int, device: torch.device) -> dict[str, dict[str, list[tuple[int, str]]]]:
    """Fastest implementation by purpose, side and input channels, on this device."""
    table: dict[str, dict[str, list[tuple[int, str]]]] = {}
    for purpose in ("inference", "training"):
        for dtype in DTYPES:
            sides = table.setdefault(f"{purpose} {name(dtype)}", {})
            for side in (1, 3, 5, 7, 9, 11):
                best = [
                    (least, fastest(purpose, dtype, side, channels, px, rounds, device))
                    for least, channels, px in ((0, 3, 128), (8, 16, 128), (24, 48, 64), (96, 128, 32))
                ]
                sides[str(side)] = [row for i, row in enumerate(best) if not i or row[1] != best[i - 1][1]]
                print(purpose, dtype, side, best, flush=True)
    return table


def fastest(
    purpose: str, dtype: torch.dtype, side: int, channels: int, px: int, rounds: int, device: torch.device
) -> str:
    """Name of the fastest implementation of one layer, called as a network calls it."""
    x = torch.randn(2, channels, px, px, device=device, dtype=dtype).contiguous(
        memory_format=torch.channels_last
    )
    x.requires_grad_(purpose == "training")
    layer = GMRConv2d(channels, max(channels, 16), side, device=device, dtype=dtype)
    times = interleaved(
        {impl: partial(step, layer, x, impl, purpose == "training") for impl in IMPLS}, rounds
    )
    return min(times, key=lambda impl: times[impl])


def name(dtype: torch.dtype) -> str:
    """``float32`` or ``bfloat16``."""
    return str(dtype).removeprefix("torch.")


def write_choices(rounds: int, device: torch.device) -> None:
    """Measure, and put this device's rows into the table."""
    table = json.loads(TABLE.read_text())
    table[device_kind(device)] = choices(rounds, device)
    TABLE.write_text(one_line_a_purpose(table))


def one_line_a_purpose(table: dict[str, dict[str, object]]) -> str:
    """The table as JSON that a person can read."""
    kinds = [
        f" {json.dumps(kind)}: {{\n"
        + ",\n".join(f"  {json.dumps(purpose)}: {json.dumps(sides)}" for purpose, sides in purposes.items())
        + "\n }"
        for kind, purposes in table.items()
    ]
    return "{\n" + ",\n".join(kinds) + "\n}\n"


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sections = ("exactness", "sizes", "networks", "layers", "training", "rotation")
    parser.add_argument("--only", nargs="+", choices=sections, default=sections)
    parser.add_argument("--reference", type=Path, help="folder of the authors' release")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--keep-memory", action="store_true", help="let malloc keep freed memory")
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    device = torch.device("cuda" if arguments.gpu else "cpu")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if arguments.keep_memory:
        keep_freed_memory()
    if arguments.choose:
        return write_choices(arguments.rounds, device)
    package = release(arguments.reference) if arguments.reference else None
    run = {
        "exactness": lambda: exactness_rows(package),
        "sizes": lambda: network_size_rows(wide=False),
        "layers": lambda: layer_rows(package, arguments.rounds, device),
        "networks": lambda: network_rows(package, arguments.rounds, device),
        "training": lambda: training_rows(arguments.rounds, device),
        "rotation": rotation_rows,
    }
    report: dict[str, object] = {"machine": machine()}
    for section in arguments.only:
        report[section] = run[section]()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))
    return None


if __name__ == "__main__":
    main()
