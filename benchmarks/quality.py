"""Score ink, folds, blur and bubbles found on synthetic slides against their exact truth.

    python benchmarks/quality.py [--seeds N] [--first-seed N] [--height PX] [--width PX]

Prints for each fault the share of its area that was found (recall), the shares of what was found that are
right (precision) or within one px of the truth; the healthy tissue marked by mistake, and the CPU time of
focus and faults. Slides have 0.5 um/px, pixels 8 um.
"""

import argparse
import time
from collections import Counter

import numpy as np

from wsipipe.common.block_mean import block_mean
from wsipipe.geometry import Array, Region
from wsipipe.stages.quality.faults import find_faults
from wsipipe.stages.quality.focus import MARGIN_PX, WINDOW_HALF_CELLS, focus_scores
from wsipipe.stages.quality.params import QualityParams
from wsipipe.stages.quality.stages import classes_of
from wsipipe.synth.faults import VALUES, FaultySlide
from wsipipe.tiling.morphology import dilated
from wsipipe.tiling.tissue import find_tissue
from wsipipe.tiling.tissue_params import TissueParams

CELL_PX, MPP = 16, 0.5


def classes(pixels: Array) -> tuple[Array, Array, float]:
    """Return classes and tissue (h, w), and CPU seconds of focus and faults."""
    overview = block_mean(pixels, CELL_PX)
    tissue = find_tissue(overview, np.ones(overview.shape[:2], bool), CELL_PX * MPP, TissueParams())
    began = time.process_time()
    margin_px = WINDOW_HALF_CELLS * CELL_PX + MARGIN_PX
    wide = np.pad(pixels, ((margin_px, margin_px), (margin_px, margin_px), (0, 0)), constant_values=255)
    scores = np.stack(focus_scores(wide, np.pad(tissue, WINDOW_HALF_CELLS), CELL_PX))
    labels = tissue.astype(np.uint8)
    masks = find_faults(overview, labels, scores, CELL_PX * MPP, QualityParams())[0]
    return classes_of(masks, labels), tissue, time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Score the faults found on synthetic slides.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--height", type=int, default=2048)
    parser.add_argument("--width", type=int, default=3072)
    given = parser.parse_args()
    counts: Counter[tuple[str, str]] = Counter()
    seconds = 0.0
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        slide = FaultySlide(seed, (given.height, given.width), MPP)
        marked, tissue, spent = classes(slide.rgb(Region(0, 0, *slide.shape)))
        seconds += spent
        whole = Region(0, 0, *marked.shape)
        counts += scored(marked, slide.faults(whole, CELL_PX), slide.tissue(whole, CELL_PX), tissue)
    print(f"{'fault':12} {'true px':>8} {'recall':>8} {'precision':>10} {'within 8 um':>12}")
    for name in VALUES:
        true, found = max(1, counts[name, "true"]), max(1, counts[name, "found"])
        shares = counts[name, "hit"] / true, counts[name, "hit"] / found, counts[name, "near"] / found
        print(f"{name:12} {true:8} {shares[0]:8.3f} {shares[1]:10.3f} {shares[2]:12.3f}")
    wrong, healthy = counts["tissue", "wrong"], max(1, counts["tissue", "healthy"])
    area_mpx = given.seeds * given.height * given.width / 1e6
    print(
        f"healthy tissue marked {wrong / healthy:.2%}; CPU {1000 * seconds / area_mpx:.0f} ms a Mpx of canvas"
    )


def scored(marked: Array, truth: Array, true_tissue: Array, tissue: Array) -> "Counter[tuple[str, str]]":
    """Return pixels by fault: true, found, hit, near (found within one px of the truth)."""
    # The mask of tissue has a margin, in which nothing can be blurred or folded.
    outside = ~true_tissue & np.isin(marked, [VALUES["fold"], VALUES["blur"]])
    marked = np.where(outside, 0, marked)
    counts: Counter[tuple[str, str]] = Counter()
    for name, value in VALUES.items():
        found, true = marked == value, truth == value
        counts[name, "true"], counts[name, "found"] = int(true.sum()), int(found.sum())
        counts[name, "hit"] = int((found & true).sum())
        counts[name, "near"] = int((found & dilated(true, 1.5)).sum())
    healthy = tissue & true_tissue & (truth == 0)
    counts["tissue", "healthy"] = int(healthy.sum())
    counts["tissue", "wrong"] = int((healthy & (marked > 1)).sum())
    return counts


if __name__ == "__main__":
    main()
