"""Scores of a field: 1 for a perfect network, the same bits at the eight orientations."""

from dataclasses import replace

import numpy as np
import pytest

from wsipipe.errors import ModelError
from wsipipe.models.cards.card import ModelCard, Output
from wsipipe.models.cards.weights import read_card
from wsipipe.training.evaluation.field_scores import DiscField, FieldScorer, crop_middle
from wsipipe.training.evaluation.rotation import MIRRORED, Rotation, rotations
from wsipipe.training.evaluation.type_metrics import type_scores
from wsipipe.training.samples import Field
from wsipipe.training.sampling.targets import centre_map

CARD = ModelCard(
    name="seer",
    architecture="none",
    arguments={},
    mpp=0.5,
    outputs=(Output(name="nucleus"), Output(name="centre")),
    activation="sigmoid",
    sha256="0" * 64,
    data=(),
    licence="",
    non_commercial=False,
)


class Seer:
    """Reads the prediction in the picture: red is 1 - nucleus, green 1 - centre; ``skew`` adds a slope."""

    halo_px, lattice_px, stride = 8, 8, 1

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def __call__(self, patch: np.ndarray) -> np.ndarray:
        prediction = 1 - patch[..., :2].astype(np.float32) / 255
        slope = np.linspace(0, self.skew, patch.shape[1], dtype=np.float32)[None, :, None]
        return np.moveaxis(np.clip(prediction - slope, 0, 1), 2, 0)


def field(height: int = 120, width: int = 120, mpp: float = 0.5) -> Field:
    labels = np.zeros((height, width), np.int32)
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width]
    for number, (row, column) in enumerate(np.ndindex(height // 20, width // 20), start=1):
        middle = np.array([row, column]) * 20 + 10 + rng.integers(-2, 3, 2)
        radii = rng.uniform(5, 8, 2)
        inside = ((y - middle[0]) / radii[0]) ** 2 + ((x - middle[1]) / radii[1]) ** 2 <= 1
        labels[inside] = number
    truth = np.stack([labels > 0, centre_map(labels), labels > 0], axis=2).astype(float)
    image = np.rint(255 * (1 - truth)).astype(np.uint8)
    return Field(
        name="made", source="made", group="a", image=image, labels=labels, has_instances=True, mpp=mpp
    )


def test_who_sees_the_truth_scores_one() -> None:
    scores = FieldScorer(Seer(), CARD).score_whole(field())
    assert scores == dict.fromkeys(scores, 1.0) | {"ece": 0.0}
    assert set(scores) == {"dice", "iou", "auc", "ece", "label_dice", "aji", "dice2", "pq", "dq", "sq", "f1"}


def test_rotation_keeps_scores_and_quarter_turns_are_exact() -> None:
    scorer, ready = FieldScorer(Seer(), CARD), DiscField(field(120, 160))
    scores = {rotation.degrees: scorer.score_disc(ready, rotation) for rotation in rotations(30)}
    assert min(row["dice"] for row in scores.values()) > 0.97
    assert min(row["pq"] for row in scores.values()) > 0.93
    for quarter in (90, 180, 270):
        assert scores[quarter] == scores[0]


def test_a_position_dependent_network_is_detected() -> None:
    scorer = FieldScorer(Seer(skew=0.8), CARD)
    ready = DiscField(field())
    rows = [scorer.score_disc(ready, rotation) for rotation in rotations(90)]
    assert rows[0] != rows[1]
    assert scorer.score_whole(field()) != scorer.score_whole(field(), MIRRORED[0])


def test_mirrored_fields_have_the_same_scores() -> None:
    scorer = FieldScorer(Seer(), CARD)
    for mpp in (0.25, 0.4):
        one = field(121, 94, mpp)
        assert (
            scorer.score_whole(one, MIRRORED[0])
            == scorer.score_whole(one, MIRRORED[1])
            == scorer.score_whole(one)
        )


def test_fields_and_networks_without_instances_have_pixel_scores() -> None:
    foreground = Field(**{**vars(field()), "has_instances": False})
    assert set(FieldScorer(Seer(), CARD).score_whole(foreground)) == {"dice", "iou", "auc", "ece"}
    alone = CARD.model_copy(update={"outputs": CARD.outputs[:1]})
    scorer = FieldScorer(Seer(), alone)
    assert set(scorer.score_whole(field())) == {"dice", "iou", "auc", "ece"}
    assert set(scorer.score_disc(DiscField(field()), Rotation(10))) == {"dice", "iou", "auc", "ece"}


def test_the_cards_thresholds_count() -> None:
    strict = CARD.model_copy(update={"instance_params": {"min_area_um2": 590.0}})
    assert FieldScorer(Seer(), strict).score_whole(field())["pq"] == 0
    low = CARD.model_copy(update={"thresholds": {"nucleus": 1.0, "centre": 0.5}})
    grey = Field(**{**vars(field()), "image": np.maximum(field().image, 20)})
    assert FieldScorer(Seer(), low).score_whole(grey)["dice"] == 0


def test_only_the_middle() -> None:
    small = crop_middle(field(), 64)
    assert small.labels.shape == (64, 64)
    assert (small.image == field().image[28:92, 28:92]).all()
    assert crop_middle(small, None) is small


def test_a_classifier_is_refused() -> None:
    with pytest.raises(ModelError, match="not a nucleus map"):
        FieldScorer(Seer(), read_card("tissue_gmr_resnet18_1.0"))


def test_types_are_scored_where_field_and_network_have_them() -> None:
    names = ("a", "b")
    typed = CARD.model_copy(
        update={"outputs": (*CARD.outputs, *(Output(name=name) for name in names)), "types": names}
    )
    one = field()
    count = int(one.labels.max())
    known = replace(one, types=tuple(names[number % 2] for number in range(1, count + 1)))

    class Typed(Seer):
        """Sees the truth, and takes every nucleus for the second type."""

        def __call__(self, patch: np.ndarray) -> np.ndarray:
            maps = super().__call__(patch)
            return np.concatenate([maps, np.zeros_like(maps[:1]), np.ones_like(maps[:1])])

    assert FieldScorer(Typed(), typed).score_whole(known) == FieldScorer(Seer(), CARD).score_whole(one)
    pairs = FieldScorer(Typed(), typed).type_pairs(known)
    assert pairs is not None
    assert (pairs.found == 2).all()
    assert len(pairs.true) == count
    scores = type_scores(pairs, names)
    assert scores == {"detection": 1.0, "a": 0.0, "b": pytest.approx(2 * 18 / (2 * 18 + 2 * 18))}
    assert FieldScorer(Typed(), typed).type_pairs(one) is None
    assert FieldScorer(Seer(), CARD).type_pairs(known) is None
