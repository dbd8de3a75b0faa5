"""Class numbers, colours and counts follow the edits, for any ids."""

import numpy as np

from wsipipe.common.colours import NUCLEUS, SHOWN_TYPES
from wsipipe.geometry import Region
from wsipipe.review import Session
from wsipipe.review.gui.lazy_arrays import edges
from wsipipe.review.gui.outlines import class_outlines
from wsipipe.review.gui.palette import NO_CLASS, Palette

WHOLE = Region(0, 0, 512, 512)


def test_numbers_and_counts_follow_the_edits(session: Session) -> None:
    palette = Palette(session)
    before = palette.counts()
    assert sum(before.values()) == session.published.nuclei.ids.size
    one = next(int(i) for i in session.published.nuclei.ids if session.class_of(int(i)) == "gland")
    session.relabel([one], "mitosis")
    palette.refresh()
    assert palette.names[palette.numbers(np.array([one]))[0] - 1] == "mitosis"
    after = palette.counts()
    assert (after["gland"], after["mitosis"]) == (before["gland"] - 1, 1)
    session.reject([one])
    palette.refresh()
    assert sum(palette.counts().values()) == sum(before.values()) - 1
    for _ in range(2):
        session.undo()
    palette.refresh()
    assert +palette.counts() == +before


def test_a_new_nucleus_is_of_the_class_of_its_tissue_and_follows_it(session: Session) -> None:
    palette = Palette(session)
    one = session.draw([(100, 400), (120, 400), (120, 420), (100, 420)])
    palette.refresh()
    assert palette.names[palette.numbers(np.array([one]))[0] - 1] == session.class_of(one) == "gland"
    session.set_tissue([(90, 380), (140, 380), (140, 460), (90, 460)], "stroma")
    palette.refresh()
    assert palette.names[palette.numbers(np.array([one]))[0] - 1] == "stroma"


def test_ids_that_float32_cannot_hold_keep_apart(session: Session) -> None:
    palette = Palette(session)
    high = np.array([2**24, 2**24 + 1, 2**32 - 1], np.uint32)
    assert set(palette.numbers(high)) == {palette.number(NO_CLASS)}
    labels = np.zeros((6, 8), np.uint32)
    labels[1:5, 1:4], labels[1:5, 4:7] = high[0], high[1]
    lines = edges(labels)
    assert set(np.unique(lines)) == {0, high[0], high[1]}
    assert (lines[:, 2] != lines[:, 3]).any()


def test_hidden_classes_have_no_outlines(session: Session) -> None:
    palette = Palette(session)
    level = class_outlines((512, 512), session.labels, palette.shown_numbers)
    assert set(np.unique(level[:, :])) == {
        0,
        *(palette.number(name) for name in ("gland", "stroma", NO_CLASS)),
    }
    palette.hidden = {"gland"}
    assert palette.number("gland") not in np.unique(level[:, :])
    np.testing.assert_array_equal(level[10:200:2, 7], level[:, :][10:200:2, 7])


def test_outlines_of_tissue_classes_are_green_and_others_keep_their_colour(session: Session) -> None:
    palette = Palette(session)
    session.relabel([1], "mitosis")
    palette.refresh()
    assert [palette.outline_colour(name) for name in (NO_CLASS, "gland")] == [NUCLEUS] * 2
    assert palette.colour("gland") == (40, 90, 240)
    assert palette.outline_colour("mitosis") == palette.colour("mitosis") != NUCLEUS


def test_types_have_the_colours_of_the_slide_and_not_of_files(session: Session) -> None:
    session.published.__dict__["nucleus_types"] = {"inflammatory": (160, 90, 160), "gland": (1, 2, 3)}
    palette = Palette(session)
    assert palette.outline_colour("inflammatory") == SHOWN_TYPES["inflammatory"]
    assert palette.outline_colour("gland") == (1, 2, 3)
