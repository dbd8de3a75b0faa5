"""A browser draws the pages in both schemes, and runs the script of the batch."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wsipipe.pipeline.reporting.html_report import machine_facts, write_report
from wsipipe.pipeline.reporting.slide_page import page_path, write_slide_page

Make = Callable[..., Any]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason=f"pages were not drawn: none of {', '.join(NAMES)} is there (apt install chromium)",
)
LIGHT, DARK = (255, 255, 255), (18, 22, 27)
CLICKS = """
const heads = document.querySelectorAll("#slides thead button");
heads[4].click(); heads[4].click();
document.querySelector("[name=words]").value = "s-";
document.getElementById("filters").dispatchEvent(new Event("input"));
"""
FORBIDDEN = "document.title = 'a script that the policy does not name has run';"


@dataclass(frozen=True)
class Drawn:
    """A page as a browser shows it.

    Attributes:
        html: Elements after all scripts.
        pixels: RGB (h, w, 3) uint8.
    """

    html: str
    pixels: np.ndarray

    def count(self, colour: tuple[int, int, int]) -> int:
        """Number of pixels of a colour."""
        return int((self.pixels == colour).all(-1).sum())


def drawn(folder: Path, page: Path, scheme: str, height: int) -> Drawn:
    """Draw a page without a window; one start takes a second."""
    assert BROWSER is not None
    dark = 0 if scheme == "dark" else 1
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"]
    options += [f"--blink-settings=preferredColorScheme={dark}", f"--window-size=900,{height}"]
    options += [f"--user-data-dir={folder / 'profile'}", f"--screenshot={folder / 'shot.png'}"]
    done = subprocess.run([BROWSER, *options, page.as_uri()], capture_output=True, timeout=120, check=True)
    return Drawn(done.stdout.decode(), np.asarray(Image.open(folder / "shot.png").convert("RGB")))


@pytest.fixture
def out(tmp_path: Path, content: dict[str, Any], entry: Make, run_of: Make) -> Path:
    """Folder with the pages of three slides."""
    slides = [entry("s-1", nuclei=5), entry("s-2", nuclei=40, codes=("PEN",)), entry("f-1", "failed")]
    (tmp_path / "page.json").write_text(json.dumps(content))
    write_slide_page(tmp_path, tmp_path / "page.json", slides[0], machine_facts())
    write_report(tmp_path, run_of(*slides))
    return tmp_path


def test_a_slide_is_drawn_in_the_light_scheme(out: Path) -> None:
    found = drawn(out, page_path(out, "s-1"), "light", 2000)
    assert tuple(found.pixels[3, 3]) == LIGHT
    # The made-up outline is a lime area over the whole slide, which is 800 px wide.
    assert found.count((0, 255, 0)) > 300_000
    # The map of classes is red, that of the density green.
    assert found.count((255, 0, 0)) > 10_000
    assert found.count((0, 128, 0)) > 10_000
    assert found.count(DARK) < 100


def test_the_table_is_sorted_and_filtered_in_the_dark_scheme(out: Path) -> None:
    text = (out / "report.html").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(CLICKS.encode()).digest()).decode()
    text = text.replace("script-src ", f"script-src 'sha256-{digest}' ")
    scripts = "".join(f"<script>{script}</script>" for script in (CLICKS, FORBIDDEN))
    (out / "clicked.html").write_text(text.replace("</body>", f"{scripts}</body>"), encoding="utf-8")
    found = drawn(out, out / "clicked.html", "dark", 900)
    assert tuple(found.pixels[3, 3]) == DARK
    assert found.count(DARK) > found.pixels.shape[0] * found.pixels.shape[1] / 2
    assert found.count(LIGHT) < 5_000
    assert re.findall(r'<tr id="([^"]+)"', found.html) == ["s-2", "s-1", "f-1"]
    assert re.findall(r'<tr id="([^"]+)"[^>]*hidden', found.html) == ["f-1"]
    assert "2 of 3 slides shown" in found.html
    assert found.html.count('aria-sort="descending"') == 1
    assert "<title>wsipipe run</title>" in found.html
