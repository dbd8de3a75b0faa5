"""Draw a part of a slide in eight orientations, with the nuclei that a run finds in each.

    python benchmarks/orientation_picture.py SLIDE --part Y X HEIGHT WIDTH --to FOLDER

Each orientation is run as a slide of its own. Writes ``orientations_pair.jpg`` (two of them) and
``orientations_eight.jpg``, and prints the nuclei and the differing px of each label map, turned back.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

import wsipipe
from wsipipe.geometry import Array, Orientation, Region

OUTLINE = (0, 255, 0)
GAP_PX = 12
QUALITY = 85
PAIR = ("R0", "M90")


def drawn(result: wsipipe.Result) -> Array:
    """Return the image (height, width, 3) with outlines, shrunk from twice its size for smooth lines."""
    rgb = np.moveaxis(result.arrays.image[0][...], 0, -1)
    twice = (2 * rgb.shape[1], 2 * rgb.shape[0])
    large = np.asarray(Image.fromarray(rgb).resize(twice, Image.Resampling.BICUBIC))
    labels = np.kron(result.arrays.labels["nuclei"][0][...], np.ones((2, 2), np.uint32))
    picture = np.where(find_boundaries(labels, mode="thick")[..., None], OUTLINE, large)
    return picture.astype(np.uint8)


def differing_px(result: wsipipe.Result, straight: wsipipe.Result, orientation: Orientation) -> int:
    """Return the number of px whose nucleus is another one than in the straight slide."""
    back = orientation.undo(result.arrays.labels["nuclei"][0][...]).ravel()
    want = straight.arrays.labels["nuclei"][0][...].ravel()
    return max(outside_partner(back, want), outside_partner(want, back))


def outside_partner(labels: Array, others: Array) -> int:
    """Return the number of px of labels (n,) outside the partner of their label among others (n,)."""
    pairs, counts = np.unique(np.stack([labels, others]), axis=1, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the partner of a label shares most px with it
    partner = dict(pairs[:, order].T.tolist())
    return int(sum(n for (a, b), n in zip(pairs.T.tolist(), counts, strict=True) if partner[a] != b))


def row(pictures: list[Array]) -> Array:
    """Return pictures of one height side by side, with white gaps."""
    gap = np.full((pictures[0].shape[0], GAP_PX, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def main() -> None:
    """Run, draw and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("--part", type=int, nargs=4, required=True, help="y, x, height, width; a square")
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--width", type=int, default=480, help="px of a picture of the pair")
    asked = parser.parse_args()
    with wsipipe.open_slide(asked.slide) as slide:
        rgb, mpp = slide.read(Region(*asked.part), slide.mpp), slide.mpp
    pictures = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{orientation.name}.png" for orientation in Orientation]
        for orientation, path in zip(Orientation, paths, strict=True):
            Image.fromarray(np.ascontiguousarray(orientation.apply(rgb))).save(path, compress_level=1)
        results = wsipipe.run("nuclei", paths, Path(folder) / "out", mpp=mpp, precision="float32").results()
        for orientation, result in zip(Orientation, results, strict=True):
            pictures[orientation.name] = drawn(result)
            differ = differing_px(result, results[0], orientation)
            print(f"{orientation.name:5} {len(result.nuclei)} nuclei, {differ} px differ")

    def shrunk(name: str, width: int) -> Array:
        return np.asarray(Image.fromarray(pictures[name]).resize((width, width), Image.Resampling.LANCZOS))

    names = list(pictures)
    Image.fromarray(row([shrunk(name, asked.width) for name in PAIR])).save(
        asked.to / "orientations_pair.jpg", quality=QUALITY, subsampling=0
    )
    small = (2 * asked.width - 2 * GAP_PX) // 4
    rows = [row([shrunk(name, small) for name in some]) for some in (names[:4], names[4:])]
    gap = np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate([rows[0], gap, rows[1]])).save(
        asked.to / "orientations_eight.jpg", quality=QUALITY, subsampling=0
    )


if __name__ == "__main__":
    main()
