"""The authors' release, GMR-Conv 1.0.3, as an oracle and a peer; never a dependency.

Install it apart: ``pip install --no-deps --target DIR GMR-Conv==1.0.3``. Its package imports torchvision and
torchio for data augmentation alone; empty stand-ins serve where those are not installed.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

from torch import nn

STAND_INS = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchio")


def release(folder: Path) -> ModuleType:
    """The package in ``folder``."""
    if importlib.util.find_spec("torchvision") is None:
        sys.modules.update({name: MagicMock(name=name) for name in STAND_INS[:-1]})
    if importlib.util.find_spec("torchio") is None:
        sys.modules["torchio"] = MagicMock(name="torchio")
    sys.path.insert(0, str(folder))
    return importlib.import_module("GMR_Conv")


def release_conv(
    package: ModuleType, in_channels: int, out_channels: int, side: int, groups: int = 1
) -> nn.Module:
    """The release's layer, bias-free, same size out."""
    return package.GMR_Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False)
