"""Rows held by a layer: those that were written, wherever they were moved."""

import torch

from wsipipe.models.streaming.lines import Lines


def test_rows_keep_their_values_while_lines_grow_and_are_dropped() -> None:
    lines, written = Lines(-3, (2, 7), 4, torch.float32), {}
    for step in range(60):
        new = lines.grow(lines.end + step % 7)
        new.copy_(torch.randn(new.shape))
        written |= {lines.end - len(new) + i: row.clone() for i, row in enumerate(new)}
        lines.drop_before(lines.start + step * 5 % 9)
        assert lines.rows.is_contiguous()
        assert lines.rows.shape == (lines.end - lines.start, 5, 4)
        assert all(torch.equal(row, written[lines.start + i]) for i, row in enumerate(lines.rows))


def test_memory_is_used_again() -> None:
    lines = Lines(0, (0, 1), 1, torch.float32)
    places = set()
    for _ in range(50):
        lines.grow(lines.end + 4)
        lines.drop_before(lines.end - 3)
        places.add(lines.rows.untyped_storage().data_ptr())
    assert len(places) <= 3


def test_sister_a_view_of_rows_does_not_outlive_the_next_growth() -> None:
    lines = Lines(0, (0, 1), 1, torch.float32)
    for _ in range(4):
        lines.grow(lines.end + 4).fill_(1)
        lines.drop_before(lines.end - 1)
    seen = lines.rows
    for _ in range(4):
        lines.grow(lines.end + 4).fill_(2)
        lines.drop_before(lines.end - 1)
    assert seen.eq(2).all()
