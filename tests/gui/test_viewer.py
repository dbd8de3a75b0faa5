"""Layers have the right place and meaning, read only what is shown, and appear on a screen."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from wsipipe.common.about import RESEARCH_USE_NOTICE
from wsipipe.errors import ConfigError, StorageError
from wsipipe.review.gui import viewer as review
from wsipipe.review.gui.layers import NUCLEUS_COLOUR
from wsipipe.store.result import open_result

# The models of napari and its npe2 use what pydantic 2 calls deprecated, and say so when first imported.
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")

LAYERS = ["image", "p(nucleus)", "p(stroma)", "p(gland)", "tissue", "tissue_class", "nuclei"]


@pytest.fixture
def model():
    """napari's viewer without a window."""
    pytest.importorskip("napari", reason="napari is absent: pip install 'wsipipe-gmr[review]'")
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture(scope="module")
def window(display):
    """napari's viewer on the virtual display; each test brings its own layers."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(700, 560)
    yield viewer
    viewer.close()


def shot(viewer, path):
    """The canvas as (height, width, 3) int, also saved as a picture."""
    pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    Image.fromarray(pixels).save(path)
    return pixels.astype(int)


def green(pixels):
    """Where the colour of nuclei is, bool (height, width)."""
    return np.abs(pixels - 255 * np.array(NUCLEUS_COLOUR[:3])).max(-1) < 12


def test_every_layer_is_there_in_order_and_only_what_one_looks_for_first_is_shown(model, finished):
    layers = review.add_layers(model, finished)
    assert [layer.name for layer in layers] == [layer.name for layer in model.layers] == LAYERS
    assert [layer.name for layer in layers if layer.visible] == ["image", "tissue_class", "nuclei"]
    assert all(layer.multiscale for layer in layers)
    assert model.layers["image"].rgb
    assert model.layers["image"].data[0].shape == (512, 512, 3)
    assert model.layers["nuclei"].contour > 0


def test_a_pixel_of_every_layer_lies_where_its_pixels_of_the_image_lie(model, finished):
    review.add_layers(model, finished)
    for name, downsample in {
        "image": 1,
        "tissue": 16,
        "tissue_class": 32,
        "nuclei": 1,
        "p(gland)": 32,
    }.items():
        layer, first = model.layers[name], np.arange(downsample)
        assert np.allclose(
            layer.data_to_world((2, 3)),
            ((first + 2 * downsample).mean() * 0.5, (first + 3 * downsample).mean() * 0.5),
        )
        assert {str(unit) for unit in layer.units} == {"micrometer"}


def test_classes_have_the_store_s_colours_and_names_and_not_computed_has_none(model, finished):
    review.add_layers(model, finished)
    layer = model.layers["tissue_class"]
    assert np.allclose(
        layer.colormap.map(np.array([0, 1], np.uint8)),
        np.array([[230, 60, 200, 255], [40, 90, 240, 255]]) / 255,
    )
    assert layer.colormap.map(255)[3] == layer.colormap.map(254)[3] == 0
    assert "stroma" in layer.get_status((10, 10), world=True)["value"]
    assert model.layers["tissue"].colormap.map(0)[3] == 0


def test_a_probability_that_was_not_computed_shows_nothing(model, finished):
    review.add_layers(model, finished)
    levels = model.layers["p(gland)"].data
    assert np.asarray(finished.arrays.probabilities["tissue_class"])[1, -1].tolist() == [255] * 16
    assert np.asarray(levels[0])[-1].tolist() == [0] * 16
    assert (
        np.asarray(levels[0]).max() == np.asarray(finished.arrays.probabilities["tissue_class"])[1, :-1].max()
    )


def without_pixels(result, folder, *arrays):
    """A copy of a result whose named arrays have lost every shard; reading any of their pixels raises."""
    copy = shutil.copytree(result.folder, folder / "bare")
    for array in arrays:
        shutil.rmtree(copy / "slide.zarr" / array / "c")
    return open_result(copy)


def test_layers_are_added_without_reading_the_finest_level_or_what_is_hidden(model, finished, tmp_path):
    hidden = ("probabilities/nucleus/0", "probabilities/tissue_class/0", "labels/tissue/0", "labels/tissue/1")
    bare = without_pixels(finished, tmp_path, "0", "labels/nuclei/0", *hidden)
    review.add_layers(model, bare)
    with pytest.raises(Exception, match="not found"):
        np.asarray(model.layers["image"].data[0][:8, :8])


def test_a_missing_level_that_is_shown_raises_instead_of_looking_like_background(model, finished, tmp_path):
    with pytest.raises(Exception, match="not found"):
        review.add_layers(model, without_pixels(finished, tmp_path, "1"))


def test_a_slide_without_image_gives_its_labels_alone(model, make_result, tmp_path):
    review.add_layers(model, make_result(tmp_path, image=False))
    assert [layer.name for layer in model.layers] == LAYERS[1:]


def test_image_and_outlines_of_nuclei_appear_on_the_screen(window, finished, tmp_path):
    window.layers.clear()
    review.add_layers(window, finished)
    window.reset_view()
    window.canvas.overlays.scale_bar.visible = False
    window.scene.camera.zoom *= 2
    shown = shot(window, tmp_path / "shown.png")
    window.layers["nuclei"].contour = 0
    filled = shot(window, tmp_path / "filled.png")
    window.layers["nuclei"].visible = False
    window.layers["tissue_class"].visible = False
    plain = shot(window, tmp_path / "image.png")
    assert 0.01 < green(shown).mean() < 0.7 * green(filled).mean()
    assert not green(plain).any()
    assert np.unique(plain.reshape(-1, 3), axis=0).shape[0] > 1000
    pink = (plain[..., 0] > plain[..., 1] + 20) & (plain[..., 2] > plain[..., 1])
    assert pink.mean() > 0.2


def test_class_zero_is_a_class_and_is_seen(window, finished, tmp_path):
    window.layers.clear()
    review.add_layers(window, finished)
    for layer in window.layers:
        layer.visible = layer.name == "tissue_class"
    window.layers["tissue_class"].opacity = 1.0
    window.reset_view()
    pixels = shot(window, tmp_path / "classes.png").reshape(-1, 3)
    for colour in ((230, 60, 200), (40, 90, 240)):
        assert (np.abs(pixels - colour).max(-1) < 3).mean() > 0.1


def test_view_opens_a_window_that_names_the_slide_and_the_notice(window, finished, monkeypatch):
    import napari

    seen, said = [], []

    def opened(title):
        window.layers.clear()
        window.title = title
        return window

    def look():
        seen.append((window.window._qt_window.windowTitle(), len(window.layers)))

    monkeypatch.setattr(napari, "Viewer", opened)
    monkeypatch.setattr(napari, "run", look)
    review.view(finished.folder, review=False, say=said.append)
    assert seen == [(f"synthetic-3 - {RESEARCH_USE_NOTICE}", len(LAYERS))]
    assert said == ["Starting napari ...", "Opening the window ..."]


def test_missing_napari_tells_what_to_install(finished, monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    with pytest.raises(ConfigError, match=r"pip install 'wsipipe-gmr\[review\]'"):
        review.view(finished.folder)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a display")
def test_a_machine_without_display_says_so(finished, monkeypatch):
    pytest.importorskip("napari", reason="napari is absent: pip install 'wsipipe-gmr[review]'")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="no display"):
        review.view(finished.folder)


def test_a_folder_that_is_no_finished_slide_is_refused(tmp_path):
    with pytest.raises(StorageError, match="no result of wsipipe"):
        review.view(tmp_path)
