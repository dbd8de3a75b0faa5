"""File names in the folder of a published slide."""

NUCLEI_TABLE = "nuclei.parquet"
NUCLEI_GEOJSON = "nuclei.geojson.gz"
TISSUE_GEOJSON = "tissue_class.geojson"
OVERVIEW = "overview.png"
CHECKS = "checks.json"
SUMMARY = "summary.csv"
"""Name of the summary in the folder of a slide, and of that of all slides in OUT."""
