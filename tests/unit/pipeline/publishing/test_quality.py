"""Quality is published everywhere, and warnings follow from it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsipipe.pipeline.publishing.published import read_quality
from wsipipe.pipeline.publishing.quality_warnings import quality_warnings
from wsipipe.pipeline.reporting.quality_rows import quality_rows
from wsipipe.pipeline.reporting.run_record import RUN_JSON
from wsipipe.pipeline.reporting.slide_page import page_path
from wsipipe.pipeline.run import Resources, run
from wsipipe.store.result import Result

GOOD = {"pen_share": 0.0, "blur_share": 0.05, "od_p50": 0.5, "glass_red": 243.0, "glass_green": 243.0}


def codes(**more: float) -> list[str]:
    return [warning.code for warning in quality_warnings(GOOD | more, ())]


def test_an_ordinary_slide_has_no_warning() -> None:
    assert codes() == []
    assert quality_warnings({}, ()) == ()


@pytest.mark.parametrize(
    ("measure", "value", "code"),
    [
        ("pen_share", 0.02, "PEN"),
        ("fold_share", 0.06, "FOLD"),
        ("blur_share", 0.3, "BLUR"),
        ("od_p50", 0.08, "PALE_STAIN"),
        ("od_p50", 1.6, "DARK_STAIN"),
        ("glass_red", 225.0, "GLASS_COLOUR"),
    ],
)
def test_each_fault_is_named(measure: str, value: float, code: str) -> None:
    assert codes(**{measure: value}) == [code]


def test_the_remedy_is_named_until_it_is_taken() -> None:
    quality = GOOD | {"pen_share": 0.02}
    assert "--set quality.leave_out=[pen]" in quality_warnings(quality, ())[0].message
    assert "it is left out of all results" in quality_warnings(quality, ("pen",))[0].message


def test_rows_of_the_report_have_units() -> None:
    rows = quality_rows({"pen_share": 0.125, "tissue_mm2": 3.14159, "od_p50": 0.5123})
    assert rows == [("od p50", "0.512"), ("pen", "12.50 %"), ("tissue", "3.14 mm²")]


def test_results_without_quality_have_none(tmp_path: Path) -> None:
    assert read_quality(tmp_path) == {}


def test_ink_is_found_and_left_out(scheduler: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = np.full((512, 768, 3), 244, np.uint8)
    pixels[64:448, 64:704] = np.array([200, 120, 170]) + rng.integers(-30, 30, (384, 640, 1))
    # Translucent ink: tissue under it is rough, so that it is part of the tissue mask.
    pixels[160:352, 320:512] = np.rint(pixels[160:352, 320:512] * np.array([0.12, 0.35, 0.8]))
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    resources = Resources(scheduler=scheduler)
    made = [
        run(
            "quality_only",
            tmp_path / "picture.png",
            tmp_path / name,
            settings=settings,
            mpp=0.5,
            resources=resources,
        )
        for name, settings in (("found", []), ("left", ["quality.leave_out=pen"]))
    ]
    slides = [each.slides[0] for each in made]
    results = [Result(each.out / slide.slide_id) for each, slide in zip(made, slides, strict=True)]
    quality, left = (np.asarray(result.arrays.labels["quality"][0][...]) for result in results)
    tissue, without = (np.asarray(result.arrays.labels["tissue"][0][...]) for result in results)
    assert (quality == left).all()
    assert (quality[11:21, 21:31] == 2).all()
    assert (quality[5:9, 5:40] == 1).all()
    assert set(np.unique(quality)) <= {0, 1, 2}
    assert (tissue[11:21, 21:31] == 1).all()
    np.testing.assert_array_equal(without, np.where((quality == 2) & (tissue == 1), 0, tissue))
    assert slides[0].quality["pen_share"] == ((quality == 2) & (tissue == 1)).sum() / (tissue == 1).sum()
    assert slides[0].quality == read_quality(results[0].folder)
    recorded = json.loads((made[0].out / RUN_JSON).read_text())["slides"][0]
    assert recorded["quality"] == slides[0].quality
    page = page_path(made[0].out, slides[0].slide_id).read_text()
    assert "Quality of the slide</h2>" in page
    share = f"{100 * slides[0].quality['pen_share']:.2f} %"
    assert f'<th scope="row">pen</th><td class="number">{share}</td>' in page
    assert "PEN" in {warning.code for warning in slides[0].warnings}
