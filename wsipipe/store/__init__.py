"""One slide's result on disk.

``arrays`` writes the sharded Zarr arrays, ``ledger`` keeps the list of finished shards, ``manifest`` the
checksums of a published slide, ``result`` opens it. ``geoparquet`` and ``geojson`` write nuclei and classes
for other tools.
"""
