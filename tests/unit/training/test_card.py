"""Cards of trainings: strictest licence, and notes on what the scores mean."""

from dataclasses import dataclass

import pytest

from wsipipe.training.card import blank_card, fold_notes, with_metrics
from wsipipe.training.recipe import Recipe, read_recipe
from wsipipe.training.tasks.nuclei import OUTPUTS


@dataclass
class Sample:
    source: str
    group: str = "one"


class FewFields:
    """As much of a task as a card needs."""

    outputs = OUTPUTS
    activation = "sigmoid"
    stain_reference = None
    arguments = {"out_channels": 2}  # noqa: RUF012

    def training_range(self, samples: list[Sample]) -> None:
        """Nothing, as there are no pixels."""

    def describe(self, samples: list[Sample]) -> dict[str, str]:
        return {sample.source: "2 fields" for sample in samples}


def recipe(**changes: object) -> Recipe:
    return read_recipe("nuclei_own").model_copy(update=changes)


@pytest.mark.parametrize(
    ("sources", "licence", "forbids"),
    [(["nucls"], "CC0 1.0", False), (["nucls", "monuseg"], "CC BY-NC-SA 4.0", True)],
)
def test_the_strictest_licence_is_the_card_s(sources: list[str], licence: str, forbids: bool) -> None:
    card = blank_card(recipe(), FewFields(), [Sample(source) for source in sources])
    assert (card.licence, card.non_commercial) == (licence, forbids)
    assert card.arguments["out_channels"] == 2
    assert len(card.data) == len(sources)
    assert any("NON-COMMERCIAL" in line for line in card.data) == forbids


def test_groups_are_named_by_source() -> None:
    samples = [Sample("own", "b"), Sample("own", "a"), Sample("nucls")]
    assert blank_card(recipe(), FewFields(), samples).trained_groups == {"nucls": ("one",), "own": ("a", "b")}


def test_the_recipe_may_say_the_licence() -> None:
    card = blank_card(recipe(licence="mine", non_commercial=True), FewFields(), [Sample("own")])
    assert (card.licence, card.non_commercial) == ("mine", True)


def test_notes_tell_what_was_held_out() -> None:
    assert "fold 1 of 3 (colon, liver)" in fold_notes("9 steps.", 1, 3, {"liver", "colon"})
    assert "(" not in fold_notes("9 steps.", 1, 3, map(str, range(30)))
    assert "nothing was held out" in fold_notes("9 steps.", None, 3, [])


def test_metrics_are_rounded() -> None:
    card = blank_card(recipe(), FewFields(), [Sample("own")])
    assert with_metrics(card, {"dice": 0.123456}).metrics == {"dice": 0.1235}
