"""The measured table of implementations.

It can be read, names only implementations, and never one that cannot run.
"""

import pytest
import torch

from wsipipe.models.gmr import GMRConv2d, GMRConv3d
from wsipipe.models.kernels import choice
from wsipipe.models.kernels.choice import choose, table

CPU = torch.device("cpu")


def test_the_table_is_well_formed() -> None:
    assert "default" in table()
    for purposes in table().values():
        for purpose, sides in purposes.items():
            assert purpose.split()[0] in ("inference", "training")
            for rows in sides.values():
                assert rows[0][0] == 0
                assert [least for least, _ in rows] == sorted(least for least, _ in rows)
                assert {name for _, name in rows} <= {"dense", "two_step", "fused"}


def test_the_row_of_the_channels_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"5": [[0, "dense"], [16, "two_step"]]}
    monkeypatch.setattr(choice, "table", lambda: {"default": {"inference float32": rows}})
    small, large = (GMRConv2d(channels, 4, 5).as_rings() for channels in (8, 16))
    assert choose(small, CPU, torch.float32, training=False) == "dense"
    assert choose(large, CPU, torch.float32, training=False) == "two_step"
    assert choose(large, CPU, torch.float32, training=True) == "dense"


@pytest.mark.parametrize("layer", [GMRConv2d(4, 4, 5, groups=4), GMRConv3d(2, 2, 3), GMRConv2d(2, 2, 1)])
def test_what_was_not_measured_goes_the_dense_way(layer: GMRConv2d | GMRConv3d) -> None:
    assert choose(layer.as_rings(), CPU, torch.float32, training=False) == "dense"


def test_a_kernel_that_cannot_run_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice.fused, "library", lambda: None)
    assert choose(GMRConv2d(64, 64, 9).as_rings(), CPU, torch.float32, training=False) == "dense"


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(("side", "channels"), [(9, 48), (9, 96), (5, 128), (5, 192)])
def test_wide_layers_of_the_unet_train_fused_on_avx2(
    side: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps make a training step 2.5 times as long."""
    monkeypatch.setattr(choice, "device_kind", lambda device: "cpu avx2")
    rings = GMRConv2d(channels, 32, side).as_rings()
    assert choose(rings, CPU, torch.float32, training=True) == "fused"
