"""The real data sets: counts, groups, scales, and what their cards will say."""

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


def test_the_fields_are_those_of_the_folders(fields: list[Field]) -> None:
    counts = Counter((field.source, field.has_instances) for field in fields)
    assert counts["monuseg", True] == 13
    assert counts["monuseg", False] == 17
    assert counts["nucls", True] == 10
    assert 60 < counts["dsb2018", True] <= 79
    assert (
        sum(int(field.labels.max()) for field in fields if field.source == "monuseg" and field.has_instances)
        == 4949
    )


def test_every_monuseg_field_has_its_organ(fields: list[Field]) -> None:
    organs = Counter(field.group for field in fields if field.source == "monuseg")
    assert set(organs) == set(ORGANS)
    assert organs["kidney"] == 6
    assert organ_of("TCGA-ZZ-1") == "TCGA-ZZ-1"


def test_scales_are_plausible(fields: list[Field]) -> None:
    assert {field.mpp for field in fields if field.source != "dsb2018"} == {0.25}
    guessed = np.array([field.mpp for field in fields if field.source == "dsb2018"])
    assert 0.12 <= guessed.min() < guessed.max() <= 0.55


def test_the_tiles_are_those_of_the_folders(tiles: list[Tile]) -> None:
    counts = Counter((tile.source, tile.class_name) for tile in tiles)
    assert {counts["crc7", name] for name in ("ADI", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")} == {55}
    assert sum(count for (source, _), count in counts.items() if source == "glas") == 1203
    assert len({tile.group for tile in tiles if tile.source == "glas"}) == 13
    assert {tile.mpp for tile in tiles} == {1.037, 0.62, 1.0}


def test_glass_is_told_from_tissue(tiles: list[Tile]) -> None:
    glass = [tile for tile in tiles if tile.source == "glass"]
    assert 50 <= len(glass) <= 120
    assert all(is_glass(tile.image) for tile in glass)
    assert not any(is_glass(tile.image) for tile in tiles if tile.class_name in ("TUM", "STR", "LYM"))


def test_the_strictest_licence_counts() -> None:
    assert licence_of(["nucls", "dsb2018"]) == ("CC0 1.0", False)
    assert licence_of(iter(["nucls", "monuseg"])) == ("CC BY-NC-SA 4.0", True)
    assert "not stated" in licence_of(iter(["mine"]))[0]
