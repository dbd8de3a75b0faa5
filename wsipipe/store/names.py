"""File names in the folder of a published slide."""

NUCLEI_TABLE = "nuclei.parquet"
NUCLEI_GEOJSON = "nuclei.geojson.gz"
TISSUE_GEOJSON = "tissue_class.geojson"
OVERVIEW = "overview.png"
CHECKS = "checks.json"
