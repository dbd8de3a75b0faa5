"""Does a real slide, turned and mirrored, give the turned and mirrored result, bit for bit?

    python benchmarks/orientations.py SLIDE [--workflow NAME] [--set KEY=VALUE ...] [--part Y X HEIGHT WIDTH]

Writes level 0 as eight PNGs (so choose a slide of at most some 100 Mpx), runs the workflow on each, turns
every stored array back and compares it with the straight one. Ids of nuclei are compared up to their names.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import wsipipe
from wsipipe.geometry import Array, Orientation, Region


def renamed_alike(labels: Array, others: Array) -> bool:
    """Whether two label maps are equal up to the names of the ids."""
    pairs = np.unique(np.stack([labels.ravel(), others.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


def differing(result: wsipipe.Result, straight: wsipipe.Result, orientation: Orientation) -> list[str]:
    """Names of the arrays of a turned slide that are not the turned arrays of the straight one."""
    wrong = []
    for name, levels in result.arrays.labels.items():
        back, want = orientation.undo(levels[0][...]), straight.arrays.labels[name][0][...]
        if not (renamed_alike(back, want) if name == "nuclei" else np.array_equal(back, want)):
            wrong.append(f"labels/{name}")
    stored = {f"probabilities/{name}": array for name, array in result.arrays.probabilities.items()}
    wanted = {f"probabilities/{name}": array for name, array in straight.arrays.probabilities.items()}
    stored["image"], wanted["image"] = result.arrays.image[0], straight.arrays.image[0]
    for name, array in stored.items():
        back = orientation.undo(array[...], axes=(array.ndim - 2, array.ndim - 1))
        if not np.array_equal(back, wanted[name][...]):
            wrong.append(name)
    return wrong


def main() -> None:
    """Turns, runs, compares, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("slide", type=Path)
    parser.add_argument("--workflow", default="nuclei_and_tissue")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--part", type=int, nargs=4, help="y, x, height and width of a part, level-0 px")
    asked = parser.parse_args()
    with wsipipe.open_slide(asked.slide) as slide:
        part = Region(*asked.part) if asked.part else Region(0, 0, *slide.bounds.shape)
        rgb, mpp = slide.read(part, slide.mpp), slide.mpp
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{orientation.name}.png" for orientation in Orientation]
        for orientation, path in zip(Orientation, paths, strict=True):
            Image.fromarray(np.ascontiguousarray(orientation.apply(rgb))).save(path, compress_level=1)
        done = wsipipe.run(asked.workflow, paths, Path(folder) / "out", settings=asked.set, mpp=mpp)
        results = done.results()
        for orientation, result in zip(Orientation, results, strict=True):
            wrong = differing(result, results[0], orientation)
            print(
                f"{orientation.name:5} {'differs in ' + ', '.join(wrong) if wrong else 'every array equal'}"
            )


if __name__ == "__main__":
    main()
