"""The result of one slide on disk.

``arrays`` writes the sharded Zarr arrays, ``ledger`` records finished shards, ``manifest`` holds the
checksums of a published slide, ``result`` opens it, ``ome_metadata`` has the OME attributes. ``geoparquet``
and ``geojson`` write nuclei and classes for other tools; docs/extend/exporter.md tells how to add a format.
"""
