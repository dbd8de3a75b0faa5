"""Compare parts of wsipipe with the library functions that could replace them.

``python benchmarks/libraries.py`` prints milliseconds of CPU time, least of several, and the ratio library /
ours. scikit-learn, albumentations and torchvision are compared where they are installed.
"""

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import numpy as np
from PIL import Image

from wsipipe.review.agreement import kappa
from wsipipe.training.evaluation.metrics import auc_of_stored, class_scores, confusion
from wsipipe.training.recipe import Augment
from wsipipe.training.sampling import augment

REPEATS = 15
Call = Callable[[], object]


def least_ms(*calls: Call) -> list[float]:
    """Return the least CPU milliseconds of each call, measured in turn."""
    found = [float("inf")] * len(calls)
    for _ in range(REPEATS):
        for place, call in enumerate(calls):
            start = time.process_time()
            call()
            found[place] = min(found[place], 1000 * (time.process_time() - start))
    return found


def metrics() -> None:
    """Compare scores with those of scikit-learn."""
    from sklearn import metrics as library

    rng = np.random.default_rng(0)
    truth, stored = rng.random((512, 512)) < 0.3, rng.integers(0, 251, (512, 512)).astype(np.uint8)
    ours, theirs = auc_of_stored(truth, stored), library.roc_auc_score(truth.ravel(), stored.ravel())
    assert abs(ours - theirs) < 1e-12
    row(
        "AUC of a map of 512 px",
        lambda: auc_of_stored(truth, stored),
        lambda: library.roc_auc_score(truth.ravel(), stored.ravel()),
    )
    classes, guesses = rng.integers(0, 8, (2, 1000))
    probabilities = rng.dirichlet(np.ones(8), 1000)
    row(
        "confusion of 1,000 tiles",
        lambda: confusion(classes, guesses, 8),
        lambda: library.confusion_matrix(classes, guesses),
    )
    row(
        "scores of 1,000 tiles",
        lambda: class_scores(classes, probabilities),
        lambda: (
            library.roc_auc_score(classes, probabilities, multi_class="ovr"),
            library.balanced_accuracy_score(classes, guesses),
            library.accuracy_score(classes, guesses),
        ),
    )
    names = np.array([f"type {number}" for number in range(8)], object)
    one, other = names[classes], names[guesses]
    row("kappa of 1,000 nuclei", lambda: kappa(one, other), lambda: library.cohen_kappa_score(one, other))


def augmentation() -> None:
    """Compare blur, JPEG, noise and rotation of crops with albumentations and torchvision."""
    always, side = Augment(blur=1, jpeg=1, noise=1), 256
    wide = augment.rotation_px(side)
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (wide, wide, 3)).astype(np.uint8)
    crop = np.array(Image.fromarray(crop).resize((wide // 8, wide // 8)).resize((wide, wide)))
    maps, small = (crop[..., :2] > 128).astype(np.uint8), np.ascontiguousarray(crop[:side, :side])
    ours = (
        lambda: augment.optics(small, np.random.default_rng(1), always),
        lambda: augment.rotated(crop, maps, side, np.random.default_rng(1)),
    )
    for name, make in (("albumentations", _albumentations), ("torchvision", _torchvision)):
        if find_spec(name):
            optics, rotation = make(side)
            row(f"optics of 256 px, {name}", ours[0], partial(optics, small))
            row(f"rotation of 364 px, {name}", ours[1], partial(rotation, crop, maps))


def _albumentations(side: int) -> tuple[Callable[..., object], Callable[..., object]]:
    """Return the augmentations that were used before."""
    import albumentations as library

    optics = library.Compose(
        [
            library.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.0), p=1),
            library.ImageCompression(quality_range=(40, 95), p=1),
            library.GaussNoise(std_range=(1 / 255, 6 / 255), p=1),
        ]
    )
    rotation = library.Compose(
        [
            library.HorizontalFlip(p=0.5),
            library.Affine(rotate=(-180, 180), fill=255, p=1),
            library.CenterCrop(side, side),
        ]
    )
    return lambda image: optics(image=image), lambda image, maps: rotation(image=image, mask=maps)


def _torchvision(side: int) -> tuple[Callable[..., object], Callable[..., object]]:
    """Return the same of torchvision's transforms v2."""
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional as library

    torch.set_num_threads(1)

    def tensor(image: augment.Rgb) -> torch.Tensor:
        return torch.from_numpy(image).permute(2, 0, 1)

    def optics(image: augment.Rgb) -> torch.Tensor:
        blurred = library.gaussian_blur(tensor(image), [5, 5], [0.7, 0.7])
        pressed = library.jpeg(blurred, 70)
        return library.gaussian_noise(pressed.float() / 255, 0.0, 4 / 255).mul(255).round().byte()

    def rotation(image: augment.Rgb, maps: augment.Maps) -> tuple[torch.Tensor, torch.Tensor]:
        turned = library.rotate(tensor(image), 33.0, InterpolationMode.BILINEAR)
        mask = library.rotate(tensor(maps), 33.0, InterpolationMode.NEAREST)
        return library.center_crop(turned, [side, side]), library.center_crop(mask, [side, side])

    return optics, rotation


def row(name: str, ours: Call, theirs: Call) -> None:
    """Print milliseconds of both, and their ratio."""
    own, other = least_ms(ours, theirs)
    print(f"{name:40}  ours {own:8.3f} ms  library {other:8.3f} ms  ratio {other / own:6.2f}")


if __name__ == "__main__":
    augmentation()
    if find_spec("sklearn"):
        metrics()
