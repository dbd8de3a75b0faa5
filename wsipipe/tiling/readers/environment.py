"""State what decides how a slide is opened on this machine."""

import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from threading import Lock

from wsipipe.tiling.readers.jpeg_stream import library
from wsipipe.tiling.readers.plugins import GROUP

_LIBRARIES = ("openslide-python", "openslide-bin", "tifffile", "imagecodecs", "zarr", "pillow", "numpy")
_lock = Lock()


@cache
def reader_environment() -> dict[str, str] | None:
    """Return all that decides how slides are opened here, besides their files.

    Two machines, or one machine at two times, that return the same find the same facts in the same file.

    Returns:
        Versions of the libraries, readers of other packages, and whether tiles are decoded by wsipipe itself;
        None if the version of a library cannot be known.
    """
    try:
        found = {name: version(name) for name in _LIBRARIES}
    except PackageNotFoundError:
        # For example an OpenSlide of the system.
        return None
    for point in entry_points(group=GROUP):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        found[f"reader {point.name}"] = f"{point.value} {package}"
    # Filters of warnings belong to the process, and slides run in several threads.
    with _lock, warnings.catch_warnings():
        # The worker that opens a slide warns of a missing compiler.
        warnings.simplefilter("ignore", RuntimeWarning)
        found["decoder of tiles"] = "none" if library() is None else "compiled"
    return found
