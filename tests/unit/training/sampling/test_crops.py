"""Crops: content of a batch, masked parts, and shares of the sources."""

import numpy as np
import pytest

from wsipipe.errors import ConfigError
from wsipipe.training.recipe import Augment, Sampling
from wsipipe.training.samples import Field
from wsipipe.training.sampling.crops import MAPS, NucleiCrops, covered, resampled
from wsipipe.training.sampling.targets import target_maps

STILL = Augment(stain=0, scale=0, blur=0, jpeg=0, noise=0, cover=0, glass=0)
SAMPLES = Sampling(batch=6, side_px=40)


def field(has_instances: bool = True, source: str = "made") -> Field:
    labels = np.zeros((80, 80), np.int32)
    labels[10:30, 10:30], labels[10:30, 30:50] = 1, 2
    image = np.where(labels[..., None] > 0, (90, 60, 140), (230, 190, 210)).astype(np.uint8)
    labels = labels if has_instances else (labels > 0).astype(np.int32)
    return Field(
        name="one",
        source=source,
        group="g",
        image=image,
        labels=labels,
        has_instances=has_instances,
        mpp=0.25,
    )


def crops(*fields: Field, samples: Sampling = SAMPLES, **changes: float) -> NucleiCrops:
    return NucleiCrops(fields, 0.5, samples, STILL.model_copy(update=changes))


def test_half_the_resolution_keeps_nuclei_whole() -> None:
    maps = target_maps(field().labels, True, 0.25)
    image, small = resampled(field().image, maps, (0, 0), 80, 40)
    assert image.shape == (40, 40, 3)
    assert small[..., 0].sum() == 200
    assert (image[small[..., 0] > 0] == (90, 60, 140)).all()


def test_outside_a_field_is_white_and_known_to_be_empty() -> None:
    image, maps = resampled(field().image, target_maps(field().labels, False, 0.25), (60, 60), 40, 20)
    assert (image[10:] == 255).all()
    assert maps[10:].reshape(-1, len(MAPS)).tolist() == [[0, 0, 0, 1]] * 200


def test_the_whole_field_is_the_batch_where_nothing_is_changed() -> None:
    batch = crops(field())(np.random.default_rng(0))
    assert batch["image"].shape == (6, 40, 40, 3)
    assert all(batch[name].shape == (6, 40, 40) and batch[name].dtype == np.uint8 for name in MAPS)
    assert (batch["nucleus"].reshape(6, -1).sum(1) == 200).all()
    assert batch["centre"].max() == 255
    assert batch["touching"][0, 5:15, 14:16].all()
    assert batch["name"][0] == "made/one at y 0, x 0, 80 px"


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_knows_where_it_may_not_judge(known: bool) -> None:
    batch = crops(field(known))(np.random.default_rng(0))
    inside = batch["nucleus"] > 0
    assert bool(inside.any())
    assert (batch["known"][inside] == known).all()
    assert (batch["known"][~inside] == 1).all()
    assert known or not batch["centre"].any()


def test_shares_decide_what_is_drawn() -> None:
    fields = field(source="a"), field(source="b"), field(False, source="b")
    shares = Sampling(batch=200, side_px=40, shares={"b": 2.0, "b_foreground": 0.0})
    names = crops(*fields, samples=shares)(np.random.default_rng(0))["name"]
    assert 110 < sum(name.startswith("b/") for name in names) < 156
    known = crops(*fields, samples=shares)(np.random.default_rng(1))["known"]
    assert known.all()
    with pytest.raises(ConfigError, match="leaves none of the sources a"):
        crops(field(source="a"), samples=Sampling(shares={"a": 0.0}))


def test_glass_and_ink_take_nuclei_away() -> None:
    cover, maps = np.full((80, 80, 3), 240, np.uint8), target_maps(field().labels, True, 0.25)
    image, left = covered(field().image, maps, cover, np.random.default_rng(0))
    gone = (maps[..., 0] > 0) & (left[..., 0] == 0)
    assert gone.any()
    assert (image[gone] == 240).all()
    seen = (image < 240).any(2)
    np.testing.assert_array_equal(left[seen], maps[seen])


def test_made_glass_has_no_nuclei() -> None:
    batch = crops(field(), glass=1.0)(np.random.default_rng(0))
    assert set(batch["name"].tolist()) == {"glass"}
    assert not batch["nucleus"].any()
    assert batch["known"].all()


def test_rotated_crops_match_their_maps() -> None:
    drawer = NucleiCrops(
        [field()], 0.25, Sampling(batch=8, side_px=32), STILL.model_copy(update={"geometric": True})
    )
    batch = drawer(np.random.default_rng(1))
    dark = batch["image"][..., 0] < 160
    assert dark.any()
    assert (dark != (batch["nucleus"] > 0)).mean() < 0.05
