"""Figures of a network: kernels, rotated features, accuracy by angle, embeddings.

They follow the GMR-Conv paper, for a network or arrays. Each writes one PNG.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage
from torch import nn

from wsipipe.common.distribution import install_command
from wsipipe.errors import ConfigError, ModelError
from wsipipe.training.sampling.batches import as_input

Rgb = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating]
TWELVE = tuple(range(0, 360, 30))
COLOURS = ("#1b7f4d", "#3b5b92", "#c2741a", "#8a3f8f", "#b3261e", "#5c6b73", "#a89f1d", "#1e8f9e")


def stages(network: nn.Module) -> dict[str, nn.Module]:
    """Return the first convolution of each width and kernel side, by name."""
    found: dict[str, nn.Module] = {}
    shape = (0, 1)
    for name, module in network.named_modules():
        outputs, *_, side = _kernel_of(module).shape
        if side > 1 and (outputs, side) != shape:
            found[name], shape = module, (outputs, side)
    return found


def _kernel_of(module: nn.Module) -> torch.Tensor:
    """Return the kernel (out, in, k, k) of a module.

    A module that is not a convolution of images gives a single pixel.
    """
    if not hasattr(module, "kernel_size") or not hasattr(module, "weight"):
        return torch.zeros(1, 1, 1, 1)
    kernel = module.kernel() if hasattr(module, "kernel") else module.weight
    return kernel.detach().float()


def draw_kernels(network: nn.Module, path: Path, per_stage: int = 12) -> None:
    """Draw the kernels of largest norm, one row per stage.

    Positive values are red, negative ones blue.

    Raises:
        ModelError: The network has no spatial convolution.
    """
    chosen = stages(network)
    if not chosen:
        raise ModelError(
            f"{type(network).__name__} has no convolution larger than 1 px, so there are no kernels to draw."
        )
    figure = Figure(figsize=(0.75 * per_stage + 1.6, 0.8 * len(chosen)), dpi=100, layout="constrained")
    rows = figure.subplots(len(chosen), per_stage, squeeze=False)
    for row, (name, module) in zip(rows, chosen.items(), strict=True):
        kernels = _kernel_of(module).flatten(0, 1)
        strongest = kernels.flatten(1).norm(dim=1).argsort(descending=True)[:per_stage]
        for axes, kernel in zip(row, kernels[strongest].numpy(), strict=False):
            highest = float(np.abs(kernel).max()) or 1.0
            axes.imshow(kernel, cmap="RdBu_r", vmin=-highest, vmax=highest)
        for axes in row:
            _hide_axes(axes)
        side = kernels.shape[-1]
        label = f"{name.removesuffix('.conv')}\n{side} x {side}"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _hide_axes(axes: Axes) -> None:
    """Hide ticks and frame of axes."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)


def rotate_image(image: Rgb, degrees: float) -> Rgb:
    """Rotate an RGB image (H, W, 3) uint8 counter-clockwise by splines.

    Corners are filled with white.
    """
    rotated = ndimage.rotate(image.astype(np.float64), degrees, reshape=False, order=3, cval=255.0)
    return np.clip(rotated, 0, 255).round().astype(np.uint8)


def _rotate_back(one: Array, degrees: float) -> Array:
    return ndimage.rotate(one, -degrees, reshape=False, order=3, mode="nearest")


def features_of(network: nn.Module, layer: str, image: Rgb) -> Array:
    """Return the output (C, h, w) of one named module.

    Args:
        network: Network that takes normalised RGB.
        layer: Dotted name of the module.
        image: RGB (H, W, 3) uint8.

    Raises:
        ModelError: There is no module of that name.
    """
    kept: list[torch.Tensor] = []
    modules = dict(network.named_modules())
    if layer not in modules:
        raise ModelError(f"There is no layer {layer!r}. Layers are for example {', '.join([*modules][1:6])}.")
    handle = modules[layer].register_forward_hook(lambda _module, _given, output: kept.append(output))
    try:
        with torch.no_grad():
            network.eval()(as_input(np.array(image)[None]))
    finally:
        handle.remove()
    return kept[0][0].float().numpy()


def draw_rotated_features(
    network: nn.Module, image: Rgb, layers: Sequence[str], path: Path, degrees: Sequence[float] = TWELVE
) -> None:
    """Draw rotated images and the features of each layer, rotated back.

    Columns should agree. The channel is the one that varies most; the number is its correlation with the
    first column.

    Args:
        network: Network that takes normalised RGB.
        image: (H, W, 3) uint8, square, with sides that are multiples of the network's lattice.
        layers: Dotted names of modules whose output is a map.
        path: PNG to write.
        degrees: Angles, counter-clockwise.
    """
    figure = Figure(figsize=(1.1 * len(degrees) + 0.9, 1.3 * (len(layers) + 1)), dpi=90, layout="constrained")
    rows = figure.subplots(len(layers) + 1, len(degrees), squeeze=False)
    images = [rotate_image(image, angle) for angle in degrees]
    for axes, angle, rotated in zip(rows[0], degrees, images, strict=True):
        axes.imshow(rotated)
        axes.set_title(f"{angle:g}°", fontsize=8)
    rows[0][0].set_ylabel("image", fontsize=8)
    for row, layer in zip(rows[1:], layers, strict=True):
        maps = [features_of(network, layer, rotated) for rotated in images]
        channel = int(maps[0].std(axis=(1, 2)).argmax())
        back = [_rotate_back(one[channel], angle) for one, angle in zip(maps, degrees, strict=True)]
        _draw_row(row, back, f"{layer}\nchannel {channel}")
    for axes in rows.ravel():
        _hide_axes(axes)
    figure.savefig(path, metadata={"Software": None})


def _draw_row(row: Iterable[Axes], maps: Sequence[Array], label: str) -> None:
    height, width = maps[0].shape
    y, x = np.ogrid[:height, :width]
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= (min(height, width) - 1) / 2
    low, high = np.percentile(maps[0][inside], (1, 99))
    for index, (axes, one) in enumerate(zip(row, maps, strict=True)):
        axes.imshow(np.where(inside, one, np.nan), cmap="viridis", vmin=low, vmax=high)
        correlation = float(np.corrcoef(one[inside], maps[0][inside])[0, 1])
        axes.set_title(f"{correlation:.3f}", fontsize=7)
        if index == 0:
            axes.set_ylabel(label, fontsize=8)


def draw_angle_curves(
    curves: Mapping[str, Array], degrees: Sequence[float], path: Path, quantity: str = "accuracy"
) -> None:
    """Draw a value by angle for each network, as polar and line plot.

    The legend gives mean and standard deviation.

    Args:
        curves: Values (angles,) by the network's name.
        degrees: Angles, ascending, over a full turn.
        path: PNG to write.
        quantity: Name of the values.

    Raises:
        ConfigError: A curve has more or fewer values than there are angles.
    """
    for name, values in curves.items():
        if len(values) != len(degrees):
            raise ConfigError(
                f"{name} has {len(values)} values for {len(degrees)} angles. Give one value per angle."
            )
    figure = Figure(figsize=(10, 4.4), dpi=90, layout="constrained")
    round_axes, flat = figure.add_subplot(1, 2, 1, projection="polar"), figure.add_subplot(1, 2, 2)
    for (name, values), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        label = f"{name}: {np.mean(values):.3f} ± {np.std(values):.3f}"
        closed = np.append(values, values[0])
        round_axes.plot(np.radians([*degrees, degrees[0] + 360]), closed, color=colour)
        flat.plot([*degrees, degrees[0] + 360], closed, "o-", markersize=3, color=colour, label=label)
    lowest, highest = flat.get_ylim()
    flat.set(xlabel="degrees", ylabel=quantity, xticks=range(0, 361, 45))
    flat.set_ylim(lowest - 0.05, highest + 0.05)
    flat.legend(fontsize=8, loc="best")
    round_axes.set_rmin(0)
    round_axes.set_rticks(np.linspace(0, highest, 4).round(2)[1:])
    round_axes.set_title(quantity, fontsize=9)
    figure.savefig(path, metadata={"Software": None})


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def embeddings(features: Callable[[torch.Tensor], torch.Tensor], images: Iterable[Rgb]) -> Array:
    """Return mean features (images, F) of images.

    Args:
        features: Normalised images (B, 3, H, W) -> (B, F, h, w), such as a classifier's ``features``.
        images: RGB (H, W, 3) uint8; sides are multiples of the network's lattice.
    """
    means = []
    with torch.no_grad():
        for image in images:
            means.append(features(as_input(np.array(image)[None])).mean(dim=(2, 3))[0].float().numpy())
    return np.stack(means)


def draw_embedding(vectors: Array, labels: Array, names: Sequence[str], path: Path, seed: int = 0) -> None:
    """Draw a t-SNE plot of vectors, coloured by label.

    Args:
        vectors: (N, F) vectors.
        labels: (N,) indices into ``names``.
        names: Names of the labels.
        path: PNG to write.
        seed: Seed of t-SNE.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ConfigError(f"t-SNE needs scikit-learn: {install_command('train')}.") from error
    perplexity = min(30.0, (len(vectors) - 1) / 3)
    spread = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-9)
    places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(spread)
    figure = Figure(figsize=(6.4, 5), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    for label, (name, colour) in enumerate(zip(names, _colours(len(names)), strict=True)):
        chosen = places[labels == label]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=12, color=colour, label=f"{name} ({len(chosen)})")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set(xticks=[], yticks=[], title=f"t-SNE of {len(vectors)} embeddings")
    figure.savefig(path, metadata={"Software": None})
