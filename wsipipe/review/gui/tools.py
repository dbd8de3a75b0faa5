"""Mouse tools of the review panel."""

SELECT, PAINT, ERASE, DRAW, CUT, TISSUE = TOOLS = ("select", "paint", "erase", "draw", "cut", "tissue")
PAINT_MODES = {PAINT: "paint", ERASE: "erase", DRAW: "polygon"}
"""Tools that work on the paint layer, and its napari mode for each."""
