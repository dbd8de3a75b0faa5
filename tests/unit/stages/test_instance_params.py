import pytest
from pydantic import ValidationError

from wsipipe.stages.instance_params import InstanceParams


def test_thresholds_become_stored_values():
    params = InstanceParams(nucleus_threshold=0.5, centre_threshold=0.58)
    assert (params.nucleus_level, params.centre_level) == (125, 145)
    assert InstanceParams(nucleus_threshold=1e-6).nucleus_level == 1


def test_lengths_and_areas_become_pixels():
    params = InstanceParams()
    assert params.grow_px(0.5) == 16
    assert params.grow_px(100) == 1
    assert params.min_seedless_px(0.5) == 64
    assert params.area_limits_px(0.5) == (20, 2400)
    assert InstanceParams(min_seed_um2=0).min_seed_px(0.5) == 1


def test_areas_out_of_order_are_refused():
    with pytest.raises(ValidationError, match="lower the first or raise the second"):
        InstanceParams(min_area_um2=50, max_area_um2=40)


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="grow_px"):
        InstanceParams(grow_px=3)
