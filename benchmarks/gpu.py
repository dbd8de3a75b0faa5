"""Everything that needs a GPU, in one run of a few minutes.

    python benchmarks/gpu.py --out FOLDER [--device cpu --small] [--limit-s 460]

Parts, in order: the ring kernel (equal in eight orientations, near float64, time beside cuDNN), the networks
(eager, CUDA graph, torch.compile), a training step, the whole pipeline on a synthetic slide. Each part is
timed and contained: one that fails is recorded and the next begins. ``FOLDER/gpu.json`` is rewritten after
each.
"""

import argparse
import json
import statistics
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gmr_timing import machine

from wsipipe.models.gmr import GMRConv2d
from wsipipe.models.kernels import fused
from wsipipe.models.kernels.fused_gradient import fused as fused_ring
from wsipipe.models.kernels.rings import dense

Measured = dict[str, Any]
TURNS = [(turns, mirrored) for turns in range(4) for mirrored in (False, True)]
LAYERS = [(9, 16, 16), (9, 32, 32), (5, 64, 64), (5, 128, 128), (9, 3, 16), (7, 32, 64)]
WEIGHTS = ("nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0")


class Bench:
    """Device, size and time of a run.

    Args:
        device: ``cuda`` or ``cpu``.
        small: Whether sizes are those of a trial on a CPU.
        limit_s: Seconds after which no further part begins.
    """

    def __init__(self, device: str, small: bool, limit_s: float) -> None:
        self.device, self.small, self.limit_s, self.began = device, small, limit_s, time.monotonic()
        self.rounds = 2 if small else 20

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.limit_s - (time.monotonic() - self.began)

    def milliseconds(self, work: Callable[[], object]) -> float:
        """Median time of a call after two warm-up calls, waiting for the GPU."""
        taken = []
        for turn in range(self.rounds + 2):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            if turn >= 2:
                taken.append(1e3 * (time.perf_counter() - start))
        return statistics.median(taken)

    def wait(self) -> None:
        """Wait until the GPU has finished."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def oriented(x: torch.Tensor, turns: int, mirrored: bool) -> torch.Tensor:
    """One of the eight orientations of (B, C, H, W)."""
    turned = torch.rot90(x, turns, dims=(-2, -1))
    return turned.flip(-1) if mirrored else turned


def kernels(bench: Bench) -> Measured:
    """The fused ring kernel: exactness, and milliseconds beside the dense way."""
    found: Measured = {}
    side = 64 if bench.small else 1024
    for kernel, inputs, outputs in LAYERS:
        for dtype in (torch.float32, torch.bfloat16):
            torch.manual_seed(0)
            layer = GMRConv2d(inputs, outputs, kernel, device=bench.device)
            rings = layer.as_rings()
            name = f"{kernel} px, {inputs} to {outputs}, {str(dtype).removeprefix('torch.')}"
            if not fused.supports(rings, torch.device(bench.device), dtype):
                found[name] = "not covered"
                continue
            found[name] = _layer(bench, layer, dtype, side)
    return found


def _layer(bench: Bench, layer: GMRConv2d, dtype: torch.dtype, side: int) -> Measured:
    small = torch.randn(2, layer.in_channels, 19, 37, device=bench.device).to(dtype)
    x = torch.randn(1, layer.in_channels, side, side, device=bench.device).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        rings = layer.as_rings()
        out = fused_ring(small, rings)
        equal = all(torch.equal(fused_ring(oriented(small, *t), rings), oriented(out, *t)) for t in TURNS)
        exact = dense(small.double(), layer.double().as_rings())
        error = float((out - exact).abs().max() / exact.abs().max())
        rings = layer.to(dtype).as_rings()
        return {
            "equal_in_eight_orientations": equal,
            "largest_error": error,
            "fused_ms": bench.milliseconds(lambda: fused_ring(x, rings)),
            "dense_ms": bench.milliseconds(lambda: dense(x, rings)),
        }


def networks(bench: Bench) -> Measured:
    """The shipped networks: Mpx/s of input by batch and way of running."""
    from wsipipe.models.predictor import load_predictor

    found: Measured = {}
    side, batches = (128, (1,)) if bench.small else (1024, (1, 4, 16))
    for weights in WEIGHTS:
        predict = load_predictor(weights, bench.device, "auto", torch.get_num_threads())
        for batch in batches:
            shape = (batch, 3, side, side)
            x = torch.zeros(shape, device=bench.device, dtype=predict._dtype).to(
                memory_format=torch.channels_last
            )
            ways: dict[str, Callable[[], object]] = {"eager": lambda p=predict, x=x: p.probabilities(x)}
            ways |= _faster_ways(bench, predict, x)
            for way, work in ways.items():
                found[f"{weights}, batch {batch}, {way}"] = _mpx_per_s(bench, work, batch * side * side)
    return found


def _faster_ways(bench: Bench, predict: Any, x: torch.Tensor) -> dict[str, Callable[[], object]]:
    if bench.device != "cuda":
        return {}
    compiled = torch.compile(predict._network)

    def run_compiled() -> object:
        with torch.inference_mode():
            return compiled(x)

    return {"CUDA graph": _graph(lambda: predict.probabilities(x)), "torch.compile": run_compiled}


def _graph(work: Callable[[], object]) -> Callable[[], object]:
    """Record a call into a CUDA graph, and return the function that replays it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def _mpx_per_s(bench: Bench, work: Callable[[], object], pixels: int) -> float | str:
    try:
        return pixels / 1e3 / bench.milliseconds(work)
    except Exception as error:  # one way that fails must not hide the others
        return f"{type(error).__name__}: {error}"[:300]


def training(bench: Bench) -> Measured:
    """One training step of the nuclei network on random pixels, milliseconds."""
    from wsipipe.models.networks.registry import build

    batch, side = (2, 64) if bench.small else (32, 160)
    arguments = {
        "widths": [16, 32, 64, 128],
        "kernel_sizes": [9, 9, 5, 5],
        "in_channels": 3,
        "out_channels": 2,
    }
    network = build("gmr_unet", arguments, "radial").to(bench.device).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    x = torch.randn(batch, 3, side, side, device=bench.device).to(memory_format=torch.channels_last)
    target = (torch.rand(batch, 2, side, side, device=bench.device) > 0.5).float()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(bench.device, torch.bfloat16, enabled=bench.device == "cuda"):
            scores = network(x)
        torch.nn.functional.binary_cross_entropy_with_logits(scores.float(), target).backward()
        optimiser.step()

    return {"batch": batch, "side_px": side, "step_ms": bench.milliseconds(step)}


def pipeline(bench: Bench, scratch: Path) -> Measured:
    """Seconds of each stage of ``nuclei_and_tissue`` on a synthetic slide."""
    import wsipipe
    from wsipipe.synth.writer import make_slide

    side, slide = (1024 if bench.small else 16384), scratch / "slide.svs"
    began = time.monotonic()
    make_slide(slide, side, seed=1, truth=False)
    made = time.monotonic()
    resources = wsipipe.Resources(device=bench.device)
    done = wsipipe.run("nuclei_and_tissue", slide, scratch / "out", resources=resources)
    outcome = done.slides[0]
    return {
        "side_px": side,
        "synthesis_s": made - began,
        "whole_s": time.monotonic() - made,
        "status": outcome.status,
        "message": outcome.message,
        "nuclei": outcome.nuclei,
        "stage_s": outcome.seconds,
        "networks": outcome.networks,
    }


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--limit-s", type=float, default=460)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(options.device, options.small, options.limit_s)
    parts: dict[str, Callable[[], Measured]] = {
        "kernels": lambda: kernels(bench),
        "networks": lambda: networks(bench),
        "training": lambda: training(bench),
        "pipeline": lambda: pipeline(bench, options.out / "scratch"),
    }
    report: Measured = {"machine": machine()}
    for name, part in parts.items():
        began = time.monotonic()
        if bench.left_s <= 0:
            report[name] = "no time left"
            continue
        try:
            report[name] = part()
        except Exception:  # the parts after it need nothing of this one
            report[name] = traceback.format_exc()[-2000:]
        report[f"{name}_part_s"] = time.monotonic() - began
        (options.out / "gpu.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
