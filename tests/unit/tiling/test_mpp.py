import math

import pytest

from wsipipe.errors import MppError
from wsipipe.tiling.mpp import MppClues, mpp_from_resolution, resolve_mpp

ALL = MppClues(vendor=(0.25, 0.25), tiff=(0.5, 0.5), objective=20)


def test_the_option_wins_then_vendor_then_tiff_then_objective():
    assert resolve_mpp(ALL, 0.3) == (0.3, "option")
    assert resolve_mpp(ALL, None) == (0.25, "vendor")
    assert resolve_mpp(MppClues(tiff=(0.5, 0.5), objective=20), None) == (0.5, "tiff")


def test_objective_power_is_a_guess_with_a_warning():
    with pytest.warns(UserWarning, match=r"x\.svs.*objective power 40.*--mpp"):
        assert resolve_mpp(MppClues(objective=40), None, "x.svs") == (0.25, "objective")


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf, 0.049, 20.1])
@pytest.mark.parametrize("source", ["option", "vendor", "tiff", "objective"])
def test_absurd_values_are_refused_and_the_text_names_the_option(value, source):
    clues = {
        "option": MppClues(),
        "vendor": MppClues(vendor=(value, value)),
        "tiff": MppClues(tiff=(value, value)),
        "objective": MppClues(objective=10 / value if value else math.inf),
    }[source]
    with pytest.raises(MppError, match="--mpp"):
        resolve_mpp(clues, value if source == "option" else None)


def test_a_missing_value_is_refused():
    with pytest.raises(MppError, match=r"slide\.png.*states none.*--mpp"):
        resolve_mpp(MppClues(), None, "slide.png")


def test_anisotropy_beyond_5_percent_is_refused_unless_overruled():
    assert resolve_mpp(MppClues(vendor=(0.5, 0.52)), None) == (0.51, "vendor")
    with pytest.raises(MppError, match=r"square within 5 %.*--mpp"):
        resolve_mpp(MppClues(vendor=(0.5, 0.53)), None)
    assert resolve_mpp(MppClues(vendor=(0.5, 0.53)), 0.5) == (0.5, "option")


@pytest.mark.parametrize("dpi", [1, 72, 96, 300])
def test_default_dpi_counts_as_no_value(dpi):
    tiff = mpp_from_resolution(dpi, dpi, 2)
    with pytest.raises(MppError, match="states none"):
        resolve_mpp(MppClues(tiff=tiff), None)


def test_resolution_tags():
    assert mpp_from_resolution(20000, 10000, 3) == (0.5, 1.0)
    assert mpp_from_resolution(50800, 50800, 2) == (0.5, 0.5)
    assert mpp_from_resolution(20000, 20000, 1) is None
    assert mpp_from_resolution(0, 20000, 3) is None
