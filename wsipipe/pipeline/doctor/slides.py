"""Readers of slides: native libraries, compressions, added formats."""

import tempfile
from functools import partial
from pathlib import Path

from wsipipe.pipeline.doctor.finding import Finding, examined
from wsipipe.tiling.readers.plugins import added_formats
from wsipipe.tiling.self_test import KINDS, native_versions, self_test

TOPIC = "slides"
_REMEDY = "Install openslide-bin, tifffile and imagecodecs again; slides of this kind cannot be read."


def readers() -> list[Finding]:
    """Write and read a tiny slide of each kind, and load the added formats."""
    with tempfile.TemporaryDirectory(prefix="wsipipe-") as folder:
        tested = [
            examined(TOPIC, f"TIFF with {kind}", _REMEDY, partial(self_test, kind, Path(folder)))
            for kind in KINDS
        ]
    return [
        examined(TOPIC, "native libraries", _REMEDY, native_versions),
        *tested,
        examined(TOPIC, "added formats", "Correct or remove that package.", _added),
    ]


def _added() -> str:
    return ", ".join(each.name for each in added_formats()) or "none"
