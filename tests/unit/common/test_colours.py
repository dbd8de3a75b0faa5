"""Colours of a group are apart for every kind of colour vision, in files and pictures alike."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import wsipipe.models
from wsipipe.common import colours
from wsipipe.common.colours import Rgb, further, on_slide

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST = 15.0
"""Distance in CIELAB, six times one that is just seen."""
GROUPS = {
    "tissue": [
        colours.TISSUE_CLASSES[name] for name in ("ADI", "BACK", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
    ]
    + [colours.UNKNOWN],
    "glands": [colours.TISSUE_CLASSES[name] for name in ("gland_benign", "gland_malignant", "stroma")],
    "types": list(colours.SHOWN_TYPES.values()),
    "types in files": list(colours.QUPATH_TYPES.values()),
    "further": list(colours.FURTHER),
    "comparison": [colours.MATCHED, colours.MISSED, colours.EXTRA],
    "positivity": list(colours.DAB_CLASSES),
}


def lab(rgb: Rgb, vision: str) -> np.ndarray:
    value = np.array(rgb) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(VISIONS[vision]) @ linear, 0, 1)
    x, y, z = np.cbrt(np.maximum(XYZ @ seen / [0.9505, 1, 1.089], 0.0089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(group: list[Rgb], vision: str) -> float:
    return min(
        float(np.linalg.norm(lab(one, vision) - lab(two, vision))) for one, two in combinations(group, 2)
    )


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("name", GROUPS)
def test_colours_of_a_group_are_apart(name: str, vision: str) -> None:
    assert nearest(GROUPS[name], vision) >= LEAST


def test_the_measure_finds_red_and_green_alike() -> None:
    """The sister: for normal vision they are far apart."""
    red_green = [(200, 90, 90), (110, 130, 90)]
    assert nearest(red_green, "normal") > 2 * LEAST
    assert nearest(red_green, "deutan") < LEAST


def test_outlines_stand_out_from_their_rim() -> None:
    shown = [colours.NUCLEUS, *colours.SHOWN_TYPES.values(), *colours.DAB_CLASSES]
    for vision in VISIONS:
        assert min(lab(one, vision)[0] for one in shown) - lab(colours.RIM, vision)[0] > 35


def test_shipped_cards_have_the_colours_of_their_classes() -> None:
    folder = Path(wsipipe.models.__file__).with_name("weights")
    found = [
        (output["name"], tuple(output["color"]))
        for card in folder.glob("*.json")
        for output in json.loads(card.read_text()).get("outputs", ())
        if output["name"] in colours.TISSUE_CLASSES
    ]
    assert len(found) == 11
    assert [colours.TISSUE_CLASSES[name] for name, _ in found] == [rgb for _, rgb in found]


def test_types_keep_colours_of_their_own() -> None:
    assert on_slide("inflammatory", (160, 90, 160)) == colours.SHOWN_TYPES["inflammatory"]
    assert on_slide("inflammatory", (1, 2, 3)) == (1, 2, 3)
    assert on_slide("mitosis", (160, 90, 160)) == (160, 90, 160)


def test_further_classes_take_turns() -> None:
    assert [further(place) for place in (0, 7)] == [colours.ORANGE] * 2
    assert further(1) != further(0)
