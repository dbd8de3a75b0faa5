"""Compare the networks with the peak of this processor, layer by layer, one thread.

Usage: python benchmarks/kernel_peak.py [--repeats 5] [--side-px 768] [NETWORK ...]

First the peak: multiply-adds a second of independent sums in registers, and bytes a second of a triad over
arrays larger than the caches. Then each layer of shipped networks in bands of rows, as a slide is computed:
ns per image px, multiply-adds a second (ring sums, their mix and products, as ``overhead.py`` counts them)
and their share of the peak. At last an ordinary U-Net of 2 M parameters of torch, channels-last, in turn
with the nuclei network, one pass over the same image of half the side. Times are the thread's processor
time, the least of the repeats.
"""

import argparse
import ctypes
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gmr_timing import keep_freed_memory
from overhead import computed_px, layer_cost
from peer_parts.plain_unet import PlainUNet

from wsipipe.common.compiled import compiled, compiler, processor
from wsipipe.models.kernels.parts import resample_part, run_parts
from wsipipe.models.predictor import Predictor, load_predictor
from wsipipe.models.streaming import bands
from wsipipe.models.streaming.area import Area
from wsipipe.models.streaming.graph import Layer
from wsipipe.models.streaming.network import BandedNetwork
from wsipipe.models.streaming.reach import reaches

SHIPPED = ("nuclei_gmr_unet_0.5", "tissue_gmr_resnet18_1.0")
SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC", "-std=c++17")
CELL_PX, BAND_PX = 16, 64


def peak(repeats: int) -> tuple[float, float]:
    """Return G multiply-adds a second and GB a second of one thread."""
    library = ctypes.CDLL(str(compiled(SOURCE, compiler("CXX", "g++"), FLAGS, processor())))
    library.multiply_adds.restype = ctypes.c_double
    result, rounds, count = ctypes.c_float(), 2_000_000, 1 << 24
    arrays = [np.ones(count, np.float32) for _ in range(3)]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    done = library.multiply_adds(ctypes.c_int64(rounds), ctypes.byref(result))
    products = least(lambda: library.multiply_adds(ctypes.c_int64(rounds), ctypes.byref(result)), repeats)
    traffic = least(lambda: library.triad(ctypes.c_int64(count), *pointers), repeats)
    return done / products / 1e9, 12 * count / traffic / 1e9


def least(function: Callable[[], object], repeats: int) -> float:
    """Return the least processor seconds of a call."""
    taken = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        taken.append(time.thread_time() - start)
    return min(taken)


class LayerClock:
    """Adds up the time of every layer of a network in bands."""

    def __init__(self) -> None:
        self.seconds: dict[object, float] = defaultdict(float)

    def around(self, function: Callable[..., None], key: int) -> Callable[..., None]:
        """Return the function, timed under the identity of its argument ``key``; -1 for no weights."""

        def timed(*args: Any) -> None:
            start = time.thread_time()
            function(*args)
            self.seconds[id(args[key]) if key >= 0 else None] += time.thread_time() - start

        return timed


def run_bands(predictor: Predictor, pixels: np.ndarray[Any, Any], cells: int) -> None:
    """Run a network over a core of wanted cells."""
    area = Area(np.ones((cells, cells), bool), CELL_PX, predictor.halo_px, BAND_PX)
    for _ in predictor.bands(pixels, area):
        pass


def layer_seconds(run: Callable[[], None], repeats: int) -> tuple[dict[object, float], float]:
    """Return the least seconds of each layer by its weights, and of the whole run."""
    found: dict[object, float] = {}
    whole = []
    for _ in range(repeats):
        clock = LayerClock()
        bands.run_parts, bands.resample_part = clock.around(run_parts, 1), clock.around(resample_part, -1)
        whole.append(least(run, 1))
        for key, seconds in clock.seconds.items():
            found[key] = min(seconds, found.get(key, seconds))
    bands.run_parts, bands.resample_part = run_parts, resample_part
    return found, min(whole)


def describe(layer: Layer, layers: tuple[Layer, ...]) -> str:
    """Return side, channels and resampling of a layer in short."""
    read = [
        f"{layers[source.layer - 1].channels if source.layer else 3}{'-=+'[source.scale + 1]}"
        for source in layer.sources
    ]
    return f"{layer.side}x{layer.side} {'&'.join(read)} -> {layer.channels} at 1/{layer.stride}"


def print_layers(name: str, side_px: int, repeats: int, best: float) -> None:
    """Print every layer of a network beside the peak."""
    predictor = load_predictor(name, "cpu", "float32")
    banded = BandedNetwork.of(predictor._network, predictor.lattice_px)
    if banded is None:
        print(f"{name} | runs patch by patch")
        return
    side = side_px + 2 * predictor.halo_px
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3)).astype(np.uint8)
    seconds, whole = layer_seconds(lambda: run_bands(predictor, pixels, side_px // CELL_PX), repeats)
    cells = side_px // CELL_PX
    seen = reaches(banded.layers, CELL_PX, banded.window)[1:]
    print(f"{name}, {side_px} px | ns per computed px | share | G multiply-adds/s | of the peak")
    for layer, reach in zip(banded.layers, seen, strict=True):
        taken = seconds[None if layer.conv is None else id(layer.conv.packed)]
        count = computed_px(torch.ones((cells, cells), dtype=torch.bool), reach, layer)
        rate = layer_cost(layer, banded.layers) * count / taken / 1e9
        row = f"{1e9 * taken / count:.1f} | {taken / whole:.1%} | {rate:.1f} | {rate / best:.0%}"
        print(f"{describe(layer, banded.layers)} | {row}")
    rest = whole - sum(seconds.values())
    print(f"all else | {1e9 * rest / side_px**2:.1f} | {rest / whole:.1%}")
    print(f"whole | {1e9 * whole / side_px**2:.1f} of the core | {side_px**2 / whole / 1e6:.3f} useful Mpx/s")


def print_plain(side_px: int, repeats: int) -> None:
    """Print the speed of the nuclei network and of a plain U-Net.

    They take turns on the same image.
    """
    predictor, plain = load_predictor(SHIPPED[0], "cpu", "float32"), PlainUNet().eval()
    plain = plain.to(memory_format=torch.channels_last)
    image = torch.rand(1, 3, side_px, side_px).contiguous(memory_format=torch.channels_last)
    theirs, ours = [], []
    with torch.inference_mode():
        plain(image), predictor._network(image)
        for _ in range(repeats):
            theirs.append(least(lambda: plain(image), 1))
            ours.append(least(lambda: predictor._network(image), 1))
    speed = [side_px**2 / min(times) / 1e6 for times in (theirs, ours)]
    ratio, millions = np.median(np.array(theirs) / ours), sum(p.numel() for p in plain.parameters()) / 1e6
    print(f"plain U-Net of {millions:.1f} M, channels-last, {side_px} px: {speed[0]:.3f} Mpx/s")
    print(f"{SHIPPED[0]}, one pass: {speed[1]:.3f} Mpx/s, {ratio:.2f} times as fast (median of ratios)")


def main() -> None:
    """Print peak, layers and the ratio to a plain U-Net."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=SHIPPED)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--side-px", type=int, default=768)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    products, traffic = peak(max(args.repeats, 5))
    print(f"peak | {products:.1f} G multiply-adds/s | triad {traffic:.1f} GB/s")
    for name in args.networks:
        print_layers(name, args.side_px, args.repeats, products)
    print_plain(args.side_px // 2, 4 * args.repeats)


if __name__ == "__main__":
    main()
