"""napari reader for results of wsipipe and slide files."""

from collections.abc import Callable
from pathlib import Path

from wsipipe.review.recognise import is_result

SLIDE_ENDINGS = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
"""File endings of slides, as in ``napari.yaml``; other images are left to other readers."""


def get_reader(path: str | list[str]) -> Callable[[str], list[tuple[object, ...]]] | None:
    """Return a reader for a result or a slide file, else None.

    At most one small file is read.
    """
    if not isinstance(path, str):
        return None
    place = Path(path)
    if place.is_dir():
        return read_result if is_result(place) else None
    return read_slide if place.suffix.lower() in SLIDE_ENDINGS and place.is_file() else None


def read_result(path: str) -> list[tuple[object, ...]]:
    """Return the layers of a result, in µm.

    Raises:
        StorageError: A newer wsipipe wrote it.
    """
    from wsipipe.review.gui.layers import result_layers
    from wsipipe.review.published import open_published

    published = open_published(path)
    layers = result_layers(published.result, outlines=True)
    for _, settings, _ in layers:
        settings["metadata"] = {"wsipipe": str(published.folder)}
    return list(layers)


def read_slide(path: str) -> list[tuple[object, ...]]:
    """Return the pyramid of a slide file, in µm.

    Raises:
        SlideError: The file does not open.
    """
    from wsipipe.review.gui.layers import slide_layers

    return list(slide_layers(Path(path)))


def sample() -> list[tuple[object, ...]]:
    """Return the layers of a small synthetic result.

    The result is written to a temporary folder, which is kept.
    """
    import tempfile

    from wsipipe.review.sample import make_sample

    return read_result(str(make_sample(Path(tempfile.mkdtemp(prefix="wsipipe-sample-"))).folder))
