"""What a run will take, before it is started: tissue, shards, disk space and time."""
