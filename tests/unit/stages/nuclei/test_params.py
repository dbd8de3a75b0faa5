import pytest
from pydantic import ValidationError

from wsipipe.errors import ConfigError
from wsipipe.models.cards.weights import read_card
from wsipipe.stages.nuclei.params import InstanceParams, with_card


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
    with pytest.raises(ValidationError, match="Lower the first or raise the second"):
        InstanceParams(min_area_um2=50, max_area_um2=40)


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="grow_px"):
        InstanceParams(grow_px=3)


def test_what_the_user_leaves_open_is_the_cards():
    card = read_card("nuclei_gmr_unet_0.5").model_copy(
        update={
            "thresholds": {"nucleus": 0.4, "centre": 0.3},
            "instance_params": {"grow_um": 3.0, "min_area_um2": 9.0},
        }
    )
    params = with_card(InstanceParams(nucleus_threshold=0.6, grow_um=8.0), card)
    assert (params.nucleus_threshold, params.centre_threshold) == (0.6, 0.3)
    # 8.0 is the default, but it was said.
    assert (params.grow_um, params.min_area_um2) == (8.0, 9.0)


def test_user_and_card_that_contradict_are_told():
    card = read_card("nuclei_gmr_unet_0.5").model_copy(update={"instance_params": {"min_area_um2": 700.0}})
    with pytest.raises(ConfigError, match=r"nuclei_gmr_unet_0.5.*no nucleus could be kept"):
        with_card(InstanceParams(), card)
    odd = card.model_copy(update={"instance_params": {"growth": 3.0}})
    with pytest.raises(ConfigError, match="wrong at growth"):
        with_card(InstanceParams(), odd)
