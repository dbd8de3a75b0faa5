"""Scores of samples that the weights were trained on always come with a caution."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wsipipe.models.cards.card import ModelCard
from wsipipe.models.cards.markdown import card_text
from wsipipe.models.cards.weights import find_weights, read_card
from wsipipe.training.datasets.about import describe_source
from wsipipe.training.evaluation.card_update import put_into_card
from wsipipe.training.evaluation.models import ModelSamples
from wsipipe.training.evaluation.record import Estimate, Evaluation, EvaluationSetup
from wsipipe.training.evaluation.report import as_markdown, write_report
from wsipipe.training.evaluation.trained_on import (
    groups_trained_on,
    held_out_beside,
    is_trained_on,
    trained_among,
)
from wsipipe.training.pretrained import inherit_licence
from wsipipe.training.samples import Field

NUCLEI = "nuclei_gmr_unet_0.5"
BLANK = np.zeros((4, 4), np.int32)


def field(source: str, group: str, name: str = "") -> Field:
    image = np.zeros((4, 4, 3), np.uint8)
    name = name or group
    return Field(
        name=name, source=source, group=group, image=image, labels=BLANK, has_instances=True, mpp=0.5
    )


def card(**changes: object) -> ModelCard:
    return read_card(NUCLEI).model_copy(update={"data": (), "trained_groups": {}} | changes)


def overlap(of: ModelCard, fields: list[Field], held_out: frozenset[str] = frozenset()) -> dict:
    part = ModelSamples(SimpleNamespace(card=of), of, fields, held_out)
    return dict(trained_among([(part, one) for one in fields]))


@pytest.mark.parametrize(
    ("source", "group", "expected"),
    [
        ("monuseg", "colon", True),
        ("monuseg", "liver", False),
        ("whole", "anything", True),
        ("dsb2018", "x", True),  # of the weights it began from, whose card named no groups
        ("lizard", "x", True),  # has images of CoNSeP, which the data name
        ("nucls", "x", False),
        ("mine", "x", True),
        ("min", "x", False),
        ("other", "x", False),
    ],
)
def test_by_group_where_the_card_names_groups_else_by_source(source, group, expected) -> None:
    data = (
        describe_source("monuseg", "30 fields"),
        describe_source("consep", "27 fields"),
        "before that, as older: Data Science Bowl 2018, stained fields: 75 fields (CC0 1.0); "
        + describe_source("mine", "3 fields"),
    )
    known = card(data=data, trained_groups={"monuseg": ("breast", "colon"), "whole": ()})
    assert is_trained_on(known, field(source, group)) == expected


@pytest.mark.parametrize("source", ["monuseg", "nucls", "dsb2018"])
def test_shipped_cards_are_understood(source: str) -> None:
    assert is_trained_on(read_card(NUCLEI), field(source, "x"))
    assert not is_trained_on(read_card(NUCLEI), field("consep", "x"))
    assert is_trained_on(read_card("nuclei_gmr_unet_0.5_cc0"), field(source, "x")) == (source != "monuseg")
    assert is_trained_on(read_card("tissue_gmr_resnet18_1.0"), field("nct_crc", "x"))


def test_a_caution_counts_and_names_what_is_left() -> None:
    known = card(trained_groups={"monuseg": ("breast", "colon")})
    fields = [field("monuseg", group) for group in ("breast", "colon", "colon", "liver", "lung")]
    found = overlap(known, fields)
    assert found["trained_on"] == {"monuseg": 3}
    assert "trained on 3 of the 5 samples scored here (3 of monuseg)" in found["caution"]
    assert "--only-groups liver,lung, which" in found["caution"]
    assert "trained on all samples" in overlap(known, fields[:3])["caution"]
    assert "Give other data, or the --out folder of" in overlap(known, fields[:3])["caution"]
    assert overlap(known, fields[3:]) == {"trained_on": {}, "caution": ""}


def test_what_was_held_out_is_a_test() -> None:
    known = card(data=(describe_source("monuseg", "30 fields"),))
    fields = [field("monuseg", "colon", "a"), field("monuseg", "colon", "b")]
    assert overlap(known, fields)["trained_on"] == {"monuseg": 2}
    assert overlap(known, fields, frozenset({"monuseg/a"}))["trained_on"] == {"monuseg": 1}
    assert not overlap(known, fields, frozenset({"monuseg/a", "monuseg/b"}))["caution"]


def test_the_record_beside_the_weights_tells_what_was_held_out(tmp_path: Path) -> None:
    path = tmp_path / f"{NUCLEI}.safetensors"
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(find_weights(NUCLEI).with_suffix(suffix), path.with_suffix(suffix))
    assert held_out_beside(path) == held_out_beside(NUCLEI) == held_out_beside("nothing") == frozenset()
    for record in ("{", "[]", '{"held_out": 3}'):
        (tmp_path / "run.json").write_text(record)
        assert held_out_beside(path) == frozenset()
    (tmp_path / "run.json").write_text('{"held_out": ["made/a"]}')
    assert held_out_beside(path) == {"made/a"}


def test_groups_of_a_training() -> None:
    fields = [field("b", "two"), field("b", "one"), field("b", "one"), field("a", "x")]
    many = [field("c", str(index)) for index in range(201)]
    assert groups_trained_on([*fields, *many]) == {"a": ("x",), "b": ("one", "two"), "c": ()}


def test_pretrained_weights_count_as_trained_on_both() -> None:
    own = card(trained_groups={"mine": ("a",)})
    bound = inherit_licence(own, NUCLEI)
    assert is_trained_on(bound, field("mine", "a"))
    assert is_trained_on(bound, field("monuseg", "x"))
    assert not is_trained_on(bound, field("mine", "b"))
    assert ModelCard.model_validate_json(bound.model_dump_json()) == bound


def evaluation(**changes: object) -> Evaluation:
    how = EvaluationSetup(
        weights="w", weights_sha256=["0"], mpp=0.5, device="cpu", precision="float32", samples=2, groups={}
    )
    values = {"task": "nuclei", "setting": how, "original": {"dice": Estimate(value=0.9, samples=2)}}
    return Evaluation(**(values | changes))


def test_report_json_and_card_say_it(tmp_path: Path) -> None:
    found = evaluation(trained_on={"monuseg": 2}, caution="All of it was learnt.")
    assert "**Caution: not a test.** All of it was learnt." in as_markdown(found)
    assert "Caution" not in as_markdown(evaluation())
    record = json.loads(write_report(found, tmp_path)[0].read_text())
    assert record["trained_on"] == {"monuseg": 2}
    assert record["caution"]
    assert Evaluation.model_validate(record) == found
    for suffix in (".safetensors", ".json"):
        path = tmp_path / f"{NUCLEI}{suffix}"
        shutil.copyfile(find_weights(NUCLEI).with_suffix(suffix), path)
    put_into_card(found, tmp_path / f"{NUCLEI}.safetensors")
    assert "2 of which it was trained on: not a test" in read_card(tmp_path / f"{NUCLEI}.safetensors").notes
    assert "not a test" in card_text(read_card(tmp_path / f"{NUCLEI}.safetensors"))
