"""The stages, one file each, in the order of the data: tissue, tile, segment, classify, instances, table."""
