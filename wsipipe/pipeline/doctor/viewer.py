"""Viewer: napari and a screen to show it on."""

import os
from importlib.metadata import PackageNotFoundError, version

from wsipipe.pipeline.doctor.finding import Finding

TOPIC = "review"


def viewer() -> list[Finding]:
    """Look for napari and for a screen."""
    try:
        found = version("napari")
    except PackageNotFoundError:
        remedy = "Install the extra 'review' for wsipipe view; runs do not need it."
        return [Finding(TOPIC, "napari", "note", "not installed", remedy)]
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        return [Finding(TOPIC, "napari", "ok", f"{found}, with a screen")]
    remedy = "Review on a computer with a screen, or connect with ssh -X; runs do not need it."
    return [Finding(TOPIC, "napari", "note", f"{found}, without a screen", remedy)]
