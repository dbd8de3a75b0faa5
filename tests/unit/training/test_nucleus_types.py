"""Types in training: what data sets call them, crops, loss, weights to start from, task and recipe."""

import numpy as np
import pytest
import torch

from wsipipe.errors import ConfigError
from wsipipe.models.networks.registry import build, load
from wsipipe.training.card import blank_card
from wsipipe.training.evaluation.calibration import FieldMaps
from wsipipe.training.nucleus_types import type_codes, type_outputs
from wsipipe.training.pretrained import load_pretrained
from wsipipe.training.recipe import Augment, Sampling, read_recipe
from wsipipe.training.result_files import training_identity
from wsipipe.training.samples import Field
from wsipipe.training.sampling.crops import NucleiCrops
from wsipipe.training.sampling.targets import centre_map
from wsipipe.training.tasks.losses import type_loss
from wsipipe.training.tasks.nuclei import NucleiTask

NAMES = ("epithelial", "inflammatory")
STILL = Augment(stain=0, scale=0, blur=0, jpeg=0, noise=0, cover=0, glass=0)


def field(source: str, *types: str) -> Field:
    labels = np.zeros((40, 40), np.int32)
    labels[4:12, 4:12], labels[4:12, 20:28], labels[24:32, 8:16] = 1, 2, 3
    image = np.full((40, 40, 3), 200, np.uint8)
    about = {"name": "a", "group": "g", "has_instances": True, "mpp": 0.5, "types": types}
    return Field(source=source, image=image, labels=labels, **about)


def test_data_sets_name_their_types_and_the_rest_is_unknown() -> None:
    assert type_codes(field("consep", "epithelial", "other", "inflammatory"), NAMES).tolist() == [0, 1, 0, 2]
    assert type_codes(field("nucls", "tumour", "non_tumour", "tumour"), NAMES).tolist() == [0, 1, 0, 1]
    assert type_codes(field("own", "tumour", "x", "epithelial"), NAMES).tolist() == [0, 0, 0, 1]
    assert type_codes(field("monuseg"), NAMES).tolist() == [0, 0, 0, 0]


def test_crops_have_a_map_of_types_only_where_it_is_asked_for() -> None:
    one = field("consep", "epithelial", "other", "inflammatory")
    plain, samples = (Sampling(batch=1, side_px=40, types=types) for types in ([], [*NAMES]))
    rng = np.random.default_rng
    batch = NucleiCrops([one], 0.5, samples, STILL)(rng(0))
    assert (batch["type"][0] == np.array([0, 1, 0, 2])[one.labels]).all()
    without = NucleiCrops([one], 0.5, plain, STILL)(rng(0))
    assert "type" not in without
    assert all((without[name] == batch[name]).all() for name in without)
    covered = NucleiCrops([one], 0.5, samples, STILL.model_copy(update={"cover": 1.0}))(rng(1))
    assert not (covered["type"] * (1 - covered["nucleus"])).any()
    glass = NucleiCrops([one], 0.5, samples, STILL.model_copy(update={"glass": 1.0}))(rng(1))
    assert not glass["type"].any()


def test_only_pixels_of_known_type_teach_types() -> None:
    scores = torch.zeros(1, 3, 2, 2, requires_grad=True)
    types = torch.tensor([[[0, 1], [3, 0]]], dtype=torch.uint8)
    loss = type_loss(scores, types)
    loss.backward()
    assert loss.item() == pytest.approx(np.log(3))
    assert scores.grad is not None
    taught = scores.grad[0].abs().sum(0) > 0
    assert taught.tolist() == [[False, True], [True, False]]
    assert scores.grad[0, 0, 0, 1] < 0 < scores.grad[0, 1, 0, 1]
    assert type_loss(scores, torch.zeros_like(types)).item() == 0


def task() -> NucleiTask:
    """The task without any data."""
    made = object.__new__(NucleiTask)
    made.recipe, made.samples = read_recipe("nuclei_types"), []
    return made


def test_the_network_and_its_card_have_one_output_per_type() -> None:
    card = blank_card(task().recipe, task(), [])
    assert card.output_names == ("nucleus", "centre", "epithelial", "inflammatory", "spindle", "other")
    assert card.types == card.output_names[2:]
    assert card.arguments["out_channels"] == 6
    assert type_outputs(["spindle", "mast cell"])[0].color == (150, 200, 150)


def test_the_task_scores_types_over_all_fields() -> None:
    one = field("consep", "epithelial", "spindle", "inflammatory")
    nucleus = np.where(one.labels > 0, 240, 5).astype(np.uint8)
    centre = np.rint(250 * centre_map(one.labels)).astype(np.uint8)
    codes = type_codes(one, task().recipe.samples.types)
    assert codes.tolist() == [0, 1, 3, 2]
    found = np.array([0, 1, 3, 3])[one.labels]
    types = np.stack([np.where(found == code, 250, 0) for code in range(1, 5)]).astype(np.uint8)
    card = task().calibrate(
        blank_card(task().recipe, task(), []),
        maps := [FieldMaps(one.labels, nucleus, centre, 0.5, types, codes)],
    )
    scores = task().score(card, maps)
    assert scores["type_f1_detection"] == 1
    assert scores["type_f1_epithelial"] == 1
    assert scores["type_f1_spindle"] == pytest.approx(2 / (2 + 2))
    assert scores["type_f1_inflammatory"] == 0
    assert "type_f1_other" not in scores
    plain = [one._replace(types=None) for one in maps]
    assert not any(name.startswith("type") for name in task().score(card, plain))


def test_wrong_types_are_refused_and_old_trainings_can_be_resumed() -> None:
    for types in ("a", "aa", ("nucleus", "a")):
        with pytest.raises(ConfigError, match="two or more names, each once"):
            type_outputs(types)
    with pytest.raises(ConfigError, match=r"samples\.types are for nuclei"):
        read_recipe("tissue_own", ["samples.types=[a, b]"])
    settings = ([], ["loss.types=3"], ["samples.types=[a, b]"])
    recipes = [read_recipe("nuclei_own", one) for one in settings]
    identities = [training_identity(one, one.fit, None, []) for one in recipes]
    assert identities[0] == identities[1] != identities[2]


def test_types_are_added_to_a_trained_network_without_changing_its_maps() -> None:
    start = "nuclei_gmr_unet_0.5"
    trained, card = load(start)
    torch.manual_seed(0)
    network = build("gmr_unet", card.arguments | {"out_channels": 6}, card.mode)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        wanted = trained.eval()(image)
        assert not torch.allclose(network.eval()(image)[:, :2], wanted)
        assert torch.allclose(load_pretrained(network, start, card.mode)(image)[:, :2], wanted)
