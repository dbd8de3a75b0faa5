"""How much of a field of view is taken for tissue, and how much of bare glass?

    python benchmarks/tissue_of_fields.py DATA [--doc docs/experiments/tissue.md]

DATA holds ``nuclei/*/images`` and ``slides``. Every field is read as a slide from a PNG file, whole and in
crops of 256 and 128 px, and so is glass: cut from slides, and made. Prints the tables, and puts them between
the marks of a document.
"""

import argparse
import csv
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from wsipipe.geometry import Region
from wsipipe.stages.grid import tissue_downsample
from wsipipe.tiling.canvas import Canvas
from wsipipe.tiling.slide import open_slide
from wsipipe.tiling.tissue import TissueParams, find_tissue

SETS = {"monuseg": (0.25,), "tnbc": (0.25,), "consep": (0.275,), "dsb2018": (0.25, 0.5), "nucls": (0.25,)}
GLASS_SIDES_PX = (128, 150, 256, 333, 512, 1000)
MADE_GLASS = {
    "white, 255": {"colour": (255, 255, 255), "noise": 0},
    "grey, 240": {"colour": (240, 240, 240)},
    "yellowish": {"colour": (228, 224, 212)},
    "bluish": {"colour": (225, 228, 232)},
    "20 % darker towards the corners": {"vignette": 0.2},
    "noise, JPEG quality 30": {"noise": 4, "quality": 30},
    "dust": {"dust": 12},
}
SEEN = {
    "tnbc_04_2": "torn fat",
    "tnbc_04_3": "fat",
    "tnbc_04_5": "fat",
    "tnbc_07_2": "glass beside the tissue",
    "consep_train_02": "black pigment, glass between it",
    "consep_train_04": "glass on both sides of a strand",
    "consep_train_05": "fat",
    "consep_train_25": "fat whose walls are hardly stained",
    "consep_train_26": "fat and the lumen of a vessel",
    "consep_train_27": "lumen of a vessel",
}
SEEN_IN_SMEARS = "glass beside the cells of a smear"


def tissue_share(rgb: np.ndarray, mpp: float) -> float:
    """Share of a picture (H, W, 3) uint8, read as a slide, that is tissue."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.png"
        Image.fromarray(rgb).save(path, compress_level=0)
        with open_slide(path, mpp) as slide:
            canvas = Canvas(slide, 0.5)
            downsample = tissue_downsample(canvas.mpp)
            overview, scanned = canvas.read_coarse(downsample)
    found = find_tissue(overview, scanned, canvas.mpp * downsample, TissueParams())
    return float(found[scanned].mean())


def crops(rgb: np.ndarray, side: int) -> Iterator[np.ndarray]:
    """Whole squares of a picture, side by side."""
    for y in range(0, len(rgb) - side + 1, side):
        for x in range(0, rgb.shape[1] - side + 1, side):
            yield rgb[y : y + side, x : x + side]


def fields(folder: Path) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, pixels, and um per px; 0 if the set's index does not say it."""
    index = folder / "index.csv"
    rows = {row["id"]: row for row in csv.DictReader(index.open())} if index.exists() else {}
    for path in sorted((folder / "images").iterdir()):
        row = rows.get(path.stem, {})
        with Image.open(path) as image:
            yield path.stem, np.asarray(image.convert("RGB")), float(row.get("mpp") or row.get("mpp_um") or 0)


def field_shares(data: Path) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """(set, extent) -> name and share of each picture."""
    shares = defaultdict(list)
    for name, scales in SETS.items():
        for field, rgb, mpp in fields(data / "nuclei" / name):
            for scale in scales:
                title = f"{name} at {scale} um/px" if len(scales) > 1 else name
                shares[title, "whole"].append((field, tissue_share(rgb, mpp or scale)))
                for side in (256, 128):
                    if side < max(rgb.shape):
                        cut = [(field, tissue_share(crop, mpp or scale)) for crop in crops(rgb, side)]
                        shares[title, f"{side} px"] += cut
    return shares


def made_glass(side: int, colour=(243,) * 3, noise=1.5, vignette=0.0, quality=None, dust=0) -> np.ndarray:
    """A picture of bare glass, (side, side, 3) uint8."""
    generator = np.random.default_rng(side)
    y, x = np.mgrid[:side, :side]
    from_centre = np.hypot(y - side / 2, x - side / 2) / (side * 0.5**0.5)
    rgb = np.array(colour) * (1 - vignette * from_centre**2)[..., None]
    rgb += generator.normal(0, noise, rgb.shape)
    for _ in range(dust):
        (speck_y, speck_x), radius = generator.integers(0, side, 2), generator.uniform(2, 10)
        rgb *= 1 - 0.6 * np.exp(-((np.hypot(y - speck_y, x - speck_x) / radius) ** 2))[..., None]
    rgb = np.clip(rgb, 0, 255).astype(np.uint8)
    if quality is None:
        return rgb
    with tempfile.TemporaryFile() as file:
        Image.fromarray(rgb).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file).convert("RGB"))


def is_bare(rgb: np.ndarray) -> bool:
    """True if a crop is bright and without structure, and not all painted white."""
    low, high = np.percentile(rgb, (1, 99), axis=(0, 1))
    return bool(low.min() > 195 and (high - low).max() < 22 and rgb.min() < 255)


def glass_shares(data: Path) -> dict[str, list[float]]:
    """Kind of glass -> share of each picture that is taken for tissue."""
    shares = {
        kind: [tissue_share(made_glass(side, **how), mpp) for side in GLASS_SIDES_PX for mpp in (0.25, 0.5)]
        for kind, how in MADE_GLASS.items()
    }
    for path in sorted([*(data / "slides").glob("*.svs"), *(data / "slides").glob("OS-2*.tif")]):
        with open_slide(path) as slide:
            rgb = slide.read(Region(0, 0, *slide.bounds.shape), slide.mpp)
        shares[f"cut from {path.name}"] = _bare_shares(rgb)
    for path in sorted((data / "slides/overviews").glob("*.jpeg")):
        with Image.open(path) as image:
            shares[f"cut from {path.name}"] = _bare_shares(np.asarray(image.convert("RGB")))
    return shares


def _bare_shares(rgb: np.ndarray) -> list[float]:
    bare = (crop for side in (128, 256, 512, 1000) for crop in crops(rgb, side) if is_bare(crop))
    return [tissue_share(crop, mpp) for crop in bare for mpp in (0.25, 0.5)]


def report(data: Path) -> str:
    """The tables, in Markdown."""
    lines = ["| set | extent | pictures | least | 5 % | median | under 90 % |", "|---" * 7 + "|"]
    below = []
    for (title, extent), shares in field_shares(data).items():
        values = 100 * np.array([share for _, share in shares])
        numbers = f"{values.min():.0f} % | {np.percentile(values, 5):.0f} % | {np.median(values):.0f} %"
        lines.append(f"| {title} | {extent} | {len(values)} | {numbers} | {(values < 90).sum()} |")
        if extent == "whole":
            below += [(title, field, share) for field, share in shares if share < 0.9]
    lines += ["", "| field under 90 % | tissue | what else is there |", "|---|---|---|"]
    for title, field, share in below:
        seen = SEEN_IN_SMEARS if title.startswith("dsb") else SEEN.get(field, "not looked at")
        lines.append(f"| {field} ({title}) | {share:.0%} | {seen} |")
    lines += ["", "| bare glass | pictures | most taken for tissue |", "|---|---|---|"]
    lines += [f"| {kind} | {len(found)} | {max(found):.1%} |" for kind, found in glass_shares(data).items()]
    return "\n".join(lines)


def main() -> None:
    """Parses, measures, prints or writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--doc", type=Path, help="document whose tables are replaced")
    arguments = parser.parse_args()
    tables = report(arguments.data)
    print(tables)
    if arguments.doc:
        text = arguments.doc.read_text()
        marked = re.compile(r"(<!-- fields: begin.*?-->\n).*(<!-- fields: end -->)", re.DOTALL)
        arguments.doc.write_text(marked.sub(lambda found: f"{found[1]}\n{tables}\n\n{found[2]}", text))


if __name__ == "__main__":
    main()
