"""Find the RGB channels of an OME-Zarr.

Channels are recognised by name, then by colour.
"""

import re
from collections.abc import Mapping, Sequence

_NAMES = {"red": 0, "r": 0, "green": 1, "g": 1, "blue": 2, "b": 2}
_COLOURS = {"FF0000": 0, "00FF00": 1, "0000FF": 2}
_NUMBERED = re.compile(r"(channel|ch|c|image|[\s:_-]|\d)*", re.IGNORECASE)


def rgb_order(channels: Sequence[Mapping[str, object]]) -> list[int]:
    """Return the indices of the red, green and blue channels.

    Without usable names or colours, they are in file order.

    Args:
        channels: Entries of ``omero.channels`` of the image, with ``label`` and ``color``; may be empty.

    Raises:
        ValueError: The channels have other names, so they are stains, not colours.

    Source: OME-Zarr 0.4 and 0.5, ``omero``.
    """
    if len(channels) != 3:
        return [0, 1, 2]
    labels = [str(channel.get("label", "")).strip() for channel in channels]
    places = [_NAMES.get(label.lower()) for label in labels]
    if sorted(place for place in places if place is not None) != [0, 1, 2]:
        if len(set(labels)) == 3 and not any(_NUMBERED.fullmatch(label) for label in labels):
            raise ValueError(f"its channels are called {', '.join(labels)}, not red, green and blue")
        places = [_COLOURS.get(str(channel.get("color", "")).upper()[:6]) for channel in channels]
    if sorted(place for place in places if place is not None) != [0, 1, 2]:
        return [0, 1, 2]
    return [places.index(0), places.index(1), places.index(2)]
