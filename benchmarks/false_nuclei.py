"""Count false nuclei on bluish pictures, in vacuoles and on glass.

    python benchmarks/false_nuclei.py DATA [--weights NAME...] [--fields 4] [--degrees 30] [--to FOLDER]

DATA holds ``nuclei/monuseg``, ``nuclei/tnbc`` and ``slides/CMU-1-Small-Region.svs``. Fields are shown as they
are, with the hue of their stain moved towards blue (the densities of red, green and blue are rotated about
grey), as some scanners render it, and with vacuoles: pale discs of the size of nuclei, with a denser rim,
where no nucleus is. A found nucleus is false if it shares no pixel with a true one. Parts of the slide that
hold no pixel as dense as a nucleus (glass, fat, pale tissue) have no true one. ``--to`` writes the fields,
twice as large: true nuclei green, found ones yellow, false ones red.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from wsipipe.geometry import Region
from wsipipe.models.predictor import load_predictor
from wsipipe.stages.nuclei.params import InstanceParams, with_card
from wsipipe.tiling.slide import open_slide
from wsipipe.training.datasets import read_fields
from wsipipe.training.evaluation.inference import field_canvas, instances, stored_maps
from wsipipe.training.samples import Field

WEIGHTS = ("nuclei_gmr_unet_0.5", "nuclei_gmr_unet_0.5_general")
SETS = ("monuseg", "tnbc")
PER_MM2 = 1500
"""Vacuoles per mm2: about a third of the nuclei."""
RADIUS_UM, RIM_UM = (2.5, 6.0), 0.7
SQUARE_PX, CONTEXT_PX, MOST_SQUARES = 64, 32, 100
PALE_DENSITY = 0.8
"""Largest density, summed over the channels, in a square without nuclei."""


def densities(image: np.ndarray) -> np.ndarray:
    """Return the optical densities (H, W, 3) float32 of an image (H, W, 3) uint8."""
    return -np.log((image.astype(np.float32) + 1) / 256)


def rendered(density: np.ndarray) -> np.ndarray:
    """Return the image (H, W, 3) uint8 of optical densities."""
    return np.clip(np.rint(256 * np.exp(-np.maximum(density, 0)) - 1), 0, 255).astype(np.uint8)


def bluer(image: np.ndarray, degrees: float) -> np.ndarray:
    """Return an image whose stain has another hue.

    Densities are rotated about the grey axis (1, 1, 1).
    """
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees)) / np.sqrt(3)
    rest = (1 - cosine) / 3
    rotation = np.full((3, 3), rest) + np.eye(3) * cosine
    rotation += sine * np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    return rendered(densities(image) @ rotation.T.astype(np.float32))


def with_vacuoles(field: Field, image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with vacuoles where no nucleus is, and their ids (H, W) int32."""
    rng, mpp, density = np.random.default_rng(seed), field.mpp, densities(image)
    away_um = ndimage.distance_transform_edt(field.labels == 0) * mpp
    away_um[density.sum(axis=2) < 0.4] = 0
    ids, (rows, columns) = np.zeros(away_um.shape, np.int32), np.indices(away_um.shape)
    for number in range(1, round(PER_MM2 * ids.size * mpp**2 / 1e6) + 1):
        radius_um, stretch = rng.uniform(*RADIUS_UM), rng.uniform(0.8, 1.2)
        places = np.argwhere(away_um > radius_um * stretch + RIM_UM + 1)
        if not len(places):
            break
        y, x = places[rng.integers(len(places))]
        distance_um = np.hypot(rows - y, (columns - x) / stretch) * mpp
        density[distance_um < radius_um] *= 0.15
        density[(distance_um >= radius_um) & (distance_um < radius_um + RIM_UM)] *= 1.4
        ids[distance_um < radius_um + RIM_UM] = number
        away_um[distance_um < radius_um + 3] = 0
    soft = rendered(ndimage.gaussian_filter(density, (1, 1, 0)))
    return np.where((ids > 0)[..., None], soft, image), ids


def pictures_of(field: Field, degrees: float, seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, pixels and vacuoles of each picture of a field."""
    nothing = np.zeros_like(field.labels)
    yield "as it is", field.image, nothing
    blue = bluer(field.image, degrees)
    yield "bluish", blue, nothing
    yield "bluish, vacuoles", *with_vacuoles(field, blue, seed)


def pale_mosaic(path: Path) -> np.ndarray:
    """Return squares of a slide without nuclei, side by side, each with its surroundings."""
    with open_slide(path) as slide:
        pixels = slide.read(Region(0, 0, *(int(side) for side in slide.bounds.shape)), slide.mpp)
    total, side = densities(pixels).sum(axis=2), SQUARE_PX + 2 * CONTEXT_PX
    corners = [
        (y, x)
        for y in range(0, len(pixels) - side, SQUARE_PX)
        for x in range(0, pixels.shape[1] - side, SQUARE_PX)
        if total[y + CONTEXT_PX : y + side - CONTEXT_PX, x + CONTEXT_PX : x + side - CONTEXT_PX].max()
        < PALE_DENSITY
    ]
    corners = corners[:: -(-len(corners) // MOST_SQUARES)]
    count = int(np.sqrt(len(corners)))
    squares = np.array([pixels[y : y + side, x : x + side] for y, x in corners[: count**2]])
    return squares.reshape(count, count, side, side, 3).swapaxes(1, 2).reshape(count * side, count * side, 3)


class Finder:
    """Nuclei of pictures by one set of weights, as the stages find them."""

    def __init__(self, name: str) -> None:
        self.predict = load_predictor(name, "cpu", "float32")
        self.card = self.predict.card
        self.params = with_card(InstanceParams(), self.card)

    def on_grid(self, image: np.ndarray, labels: np.ndarray, mpp: float) -> tuple[np.ndarray, np.ndarray]:
        """Return image and labels on the network's grid."""
        canvas = field_canvas(image, labels, mpp, self.card.mpp, self.predict.lattice_px)
        return canvas.image[canvas.inside.slices], canvas.labels[canvas.inside.slices]

    def found(self, image: np.ndarray, mpp: float) -> np.ndarray:
        """Return the ids (H, W) of the nuclei found, on the network's grid."""
        nothing, stain = np.zeros(image.shape[:2], np.int32), self.card.stain_reference
        canvas = field_canvas(image, nothing, mpp, self.card.mpp, self.predict.lattice_px, stain)
        nucleus, centre = stored_maps(self.predict, canvas)[:2]
        return instances(nucleus, centre, self.params, canvas.mpp)


def meeting(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the ids of labels that share a pixel with another map."""
    return np.unique(labels[(labels > 0) & (other > 0)])


def outlined(image: np.ndarray, truth: np.ndarray, found: np.ndarray) -> Image.Image:
    """Return a field with outlines, twice as large."""
    image, truth, found = (each.repeat(2, 0).repeat(2, 1) for each in (image, truth, found))
    right = np.isin(found, meeting(found, truth))
    layers = ((truth, (0, 150, 0)), (found * right, (255, 230, 0)), (found * ~right, (255, 0, 0)))
    for labels, colour in layers:
        image[(labels > 0) & (ndimage.grey_erosion(labels, (3, 3)) != labels)] = colour
    return Image.fromarray(image)


def tally(
    finder: Finder, fields: list[Field], degrees: float, folder: Path | None
) -> dict[str, Counter[str]]:
    """Count nuclei by data set and kind of picture."""
    counts: dict[str, Counter[str]] = {}
    for seed, field in enumerate(fields):
        for kind, image, vacuoles in pictures_of(field, degrees, seed):
            shown, truth = finder.on_grid(image, field.labels, field.mpp)
            _, holes = finder.on_grid(image, vacuoles, field.mpp)
            found = finder.found(image, field.mpp)
            false = found * ~np.isin(found, meeting(found, truth))
            counts.setdefault(f"{field.source}, {kind}", Counter()).update(
                found=int(found.max()),
                false=np.unique(false[false > 0]).size,
                true=np.unique(truth[truth > 0]).size,
                hit=meeting(truth, found).size,
                vacuoles=np.unique(holes[holes > 0]).size,
                filled=meeting(holes, false).size,
            )
            if folder:
                name = f"{field.name} {kind} {finder.card.name}".replace(",", "").replace(" ", "_")
                outlined(shown, truth, found).save(folder / f"{name}.png")
    return counts


def main() -> None:
    """Print a row for each set of weights and kind of picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", nargs="+", default=WEIGHTS)
    parser.add_argument("--fields", type=int, default=4, help="of each set")
    parser.add_argument("--degrees", type=float, default=30)
    parser.add_argument("--to", type=Path, help="folder for pictures")
    given = parser.parse_args()
    if given.to:
        given.to.mkdir(parents=True, exist_ok=True)
    sets = [read_fields(given.data / "nuclei" / name) for name in SETS]
    fields = [field for each in sets for field in each[:: len(each) // given.fields][: given.fields]]
    mosaic = pale_mosaic(given.data / "slides" / "CMU-1-Small-Region.svs")
    print("weights | picture | found | false | true nuclei met | vacuoles taken for nuclei")
    for name in given.weights:
        finder = Finder(name)
        for kind, row in tally(finder, fields, given.degrees, given.to).items():
            false, hit = row["false"] / max(row["found"], 1), row["hit"] / max(row["true"], 1)
            filled = f"{row['filled']} of {row['vacuoles']}"
            print(f"{name} | {kind} | {row['found']:,} | {false:.1%} | {hit:.1%} | {filled}", flush=True)
        for kind, image in (("as it is", mosaic), ("bluish", bluer(mosaic, given.degrees))):
            found = finder.found(image, finder.card.mpp)
            mm2 = found.size * finder.card.mpp**2 / 1e6
            print(f"{name} | glass and pale tissue, {kind} | {found.max()} in {mm2:.2f} mm2")


if __name__ == "__main__":
    main()
