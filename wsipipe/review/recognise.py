"""Recognise a result by one small file, without slow imports."""

import json
from pathlib import Path


def is_result(path: Path) -> bool:
    """Return whether ``OUT/SLIDE`` or its ``slide.zarr`` is a result of wsipipe."""
    store = path if path.name.endswith(".zarr") else path / "slide.zarr"
    try:
        return "wsipipe" in json.loads((store / "zarr.json").read_bytes()).get("attributes", {})
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return False
