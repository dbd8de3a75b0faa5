"""Claim 2 of the design: rotated and mirrored slides give the rotated and mirrored result."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import wsipipe
from wsipipe.geometry import Array, Orientation, Region
from wsipipe.models.cards.shipped import ADAPTING_NUCLEI, DEFAULT_NUCLEI
from wsipipe.synth.slide import SyntheticSlide

SIZE = (171, 230)  # odd and oblong: the lattice must be symmetric all the same
MPP = 0.5
SHARDS = ["tile.shard_px=256", "tile.chunk_px=128", "segment.patch_px=64"]


@pytest.fixture(scope="module")
def turned_slides(tmp_path_factory: pytest.TempPathFactory) -> dict[Orientation, Path]:
    folder = tmp_path_factory.mktemp("turned")
    rgb = SyntheticSlide(5, (2048, 2048), MPP).rgb(Region(600, 500, *SIZE))
    paths = {orientation: folder / f"{orientation.name}.png" for orientation in Orientation}
    for orientation, path in paths.items():
        Image.fromarray(np.ascontiguousarray(orientation.apply(rgb))).save(path)
    return paths


REGIONS = {"left": Region(10, 5, 140, 90), "corner": Region(80, 60, 60, 160)}


@pytest.fixture(scope="module")
def turned_regions(turned_slides: dict[Orientation, Path]) -> Path:
    """Folder of the regions of each slide, turned as the slide."""
    folder = next(iter(turned_slides.values())).parent / "regions"
    folder.mkdir()
    for orientation, slide in turned_slides.items():
        features = []
        for name, region in REGIONS.items():
            mask = np.zeros(SIZE, bool)
            mask[region.slices] = True
            inside = np.argwhere(orientation.apply(mask))
            (y, x), (end_y, end_x) = inside.min(0).tolist(), (inside.max(0) + 1).tolist()
            box = [[x, y], [x, end_y], [end_x, end_y], [end_x, y], [x, y]]
            geometry = {"type": "Polygon", "coordinates": [box]}
            features.append({"type": "Feature", "geometry": geometry, "properties": {"name": name}})
        collection = {"type": "FeatureCollection", "features": features}
        (folder / f"{slide.stem}.geojson").write_text(json.dumps(collection))
    return folder


def results(
    workflow: str,
    slides: dict[Orientation, Path],
    out: Path,
    scheduler: str,
    settings: list[str],
    regions: Path | None = None,
) -> dict[Orientation, wsipipe.Result]:
    run = wsipipe.run(
        workflow,
        list(slides.values()),
        out,
        mpp=MPP,
        settings=settings,
        regions=regions,
        resources=wsipipe.Resources(scheduler=scheduler, device="cpu"),
    )
    assert run.exit_code == 0, [slide.message for slide in run.slides]
    return dict(zip(slides, run.results(), strict=True))


def renamed_alike(labels: Array, others: Array) -> bool:
    """Whether two label maps are equal up to a renaming of the ids."""
    pairs = np.unique(np.stack([labels.ravel(), others.ravel()]), axis=1)
    return len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]


@pytest.mark.parametrize(
    ("weights", "precision"),
    [
        (DEFAULT_NUCLEI, "bfloat16"),
        (DEFAULT_NUCLEI, "float32"),
        (ADAPTING_NUCLEI, "bfloat16"),
    ],
)
def test_oriented_slides_give_exactly_the_oriented_nuclei(
    turned_slides: dict[Orientation, Path],
    turned_regions: Path,
    tmp_path: Path,
    scheduler: str,
    weights: str,
    precision: str,
) -> None:
    """Every array bit for bit, the ids up to renaming, and the measures of turned regions."""
    settings = [*SHARDS, f"segment.weights={weights}", f"segment.precision={precision}"]
    found = results("nuclei", turned_slides, tmp_path, scheduler, settings, turned_regions)
    upright = found[Orientation.R0]
    assert set(upright.nuclei["region"].dropna()) == set(REGIONS)
    assert upright.arrays.labels["nuclei"][0][...].max() > 10
    for orientation, result in found.items():
        for name, levels in result.arrays.labels.items():
            back = orientation.undo(levels[0][...])
            want = upright.arrays.labels[name][0][...]
            same = renamed_alike(back, want) if name == "nuclei" else np.array_equal(back, want)
            assert same, f"{name} differs at {orientation}"
        for name, array in result.arrays.probabilities.items():
            assert np.array_equal(orientation.undo(array[...]), upright.arrays.probabilities[name][...])
        for name in ("checks.json", "summary.csv"):
            assert (result.folder / name).read_text() == (upright.folder / name).read_text()
        back = orientation.undo(result.arrays.image[0][...], axes=(1, 2))
        assert np.array_equal(back, upright.arrays.image[0][...])


def test_oriented_slides_give_exactly_the_oriented_tissue_classes(
    turned_slides: dict[Orientation, Path], tmp_path: Path, scheduler: str
) -> None:
    found = results("tissue", turned_slides, tmp_path, scheduler, ["classify.patch_cells=4"])
    upright = found[Orientation.R0]
    for orientation, result in found.items():
        back = orientation.undo(result.arrays.probabilities["tissue_class"][...], axes=(1, 2))
        assert np.array_equal(back, upright.arrays.probabilities["tissue_class"][...])
        for name in ("checks.json", "summary.csv"):
            assert (result.folder / name).read_text() == (upright.folder / name).read_text()
        map_back = orientation.undo(result.arrays.labels["tissue_class"][0][...])
        assert np.array_equal(map_back, upright.arrays.labels["tissue_class"][0][...])


def test_the_comparison_sees_a_slide_that_was_only_shifted(
    turned_slides: dict[Orientation, Path], tmp_path: Path, scheduler: str
) -> None:
    """Sister test: one row less is another lattice, and the masks differ."""
    shifted = tmp_path / "shifted.png"
    with Image.open(turned_slides[Orientation.R0]) as image:
        Image.fromarray(np.asarray(image)[1:]).save(shifted)
    slides = {Orientation.R0: turned_slides[Orientation.R0], Orientation.R180: shifted}
    found = results("nuclei", slides, tmp_path / "out", scheduler, [*SHARDS, "segment.precision=float32"])
    whole, less = (result.arrays.labels["nuclei"][0][...] for result in found.values())
    assert not renamed_alike(whole, less)
