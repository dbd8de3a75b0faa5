"""One shard of one stage in a worker process: read, compute, write, digest."""
