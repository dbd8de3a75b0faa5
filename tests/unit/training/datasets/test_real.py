"""Real data sets: counts, groups, scales, and the text of their cards."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wsipipe.training.datasets import read_fields, read_tiles
from wsipipe.training.datasets.about import licence_of
from wsipipe.training.datasets.glass import is_glass
from wsipipe.training.datasets.monuseg import ORGANS, organ_of
from wsipipe.training.samples import Field, Tile


@pytest.fixture(scope="module")
def fields(data_dir: Path) -> list[Field]:
    return read_fields(data_dir)


@pytest.fixture(scope="module")
def tiles(data_dir: Path) -> list[Tile]:
    return read_tiles(data_dir)


CONSEP_TYPES = {"epithelial": 5537, "spindle": 5706, "inflammatory": 3941, "other": 371}
NUCLS_TYPES = {"tumour": 238, "non_tumour": 220}


def of_source(fields: list[Field], source: str) -> list[Field]:
    return [field for field in fields if field.source == source]


@pytest.mark.parametrize(
    ("source", "count", "nuclei", "first"),
    [
        ("consep", 27, 15555, "consep_train_01"),
        ("monuseg", 30, 16956, "TCGA-18-5592-01Z-00-DX1"),
        ("nucls", 10, 458, "train_1"),
        ("tnbc", 37, 3153, "tnbc_01_1"),
    ],
)
def test_the_fields_are_those_of_the_folders(
    fields: list[Field], source: str, count: int, nuclei: int, first: str
) -> None:
    found = of_source(fields, source)
    assert len(found) == count
    assert all(field.has_instances for field in found)
    assert sum(int(field.labels.max()) for field in found) == nuclei
    assert found[0].name == first


def test_stained_fields_of_unknown_scale_are_left_out(fields: list[Field]) -> None:
    assert 60 < len(of_source(fields, "dsb2018")) <= 79


def test_groups_are_organs_patients_or_fields(fields: list[Field]) -> None:
    organs = Counter(field.group for field in of_source(fields, "monuseg"))
    assert set(organs) == set(ORGANS)
    assert organs["kidney"] == 6
    assert organ_of("TCGA-ZZ-1") == "TCGA-ZZ-1"
    patients = Counter(field.group for field in of_source(fields, "tnbc"))
    assert len(patients) == 8
    assert patients["tnbc/tnbc_04"] == 8
    assert len({field.group for field in of_source(fields, "consep")}) == 27
    assert len({field.group for field in of_source(fields, "nucls")}) == 10


def test_scales_are_those_of_the_index(fields: list[Field]) -> None:
    scales = {name: {field.mpp for field in of_source(fields, name)} for name in ("consep", "nucls", "tnbc")}
    assert scales == {"consep": {0.275}, "nucls": {0.25}, "tnbc": {0.25}}
    assert {round(field.mpp, 3) for field in of_source(fields, "monuseg")} == {
        0.246,
        0.247,
        0.25,
        0.252,
        0.253,
    }
    guessed = np.array([field.mpp for field in of_source(fields, "dsb2018")])
    assert 0.12 <= guessed.min() < guessed.max() <= 0.55


def test_types_are_those_of_the_maps(fields: list[Field]) -> None:
    assert Counter(name for field in of_source(fields, "consep") for name in field.types) == CONSEP_TYPES
    assert Counter(name for field in of_source(fields, "nucls") for name in field.types) == NUCLS_TYPES
    assert not any(field.types for field in fields if field.source not in ("consep", "nucls"))


def test_the_tiles_are_those_of_the_folders(tiles: list[Tile]) -> None:
    counts = Counter((tile.source, tile.class_name) for tile in tiles)
    assert {counts["crc7", name] for name in ("ADI", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")} == {55}
    assert sum(count for (source, _), count in counts.items() if source == "glas") == 1203
    assert len({tile.group for tile in tiles if tile.source == "glas"}) == 13
    assert {tile.mpp for tile in tiles} == {1.037, 0.62, 1.0}


def test_glass_is_distinguished_from_tissue(tiles: list[Tile]) -> None:
    glass = [tile for tile in tiles if tile.source == "glass"]
    assert 50 <= len(glass) <= 120
    assert all(is_glass(tile.image) for tile in glass)
    assert not any(is_glass(tile.image) for tile in tiles if tile.class_name in ("TUM", "STR", "LYM"))


def test_the_strictest_licence_counts() -> None:
    assert licence_of(["nucls", "dsb2018"]) == ("CC0 1.0", False)
    assert licence_of(iter(["nucls", "monuseg"])) == ("CC BY-NC-SA 4.0", True)
    assert "not stated" in licence_of(iter(["mine"]))[0]
