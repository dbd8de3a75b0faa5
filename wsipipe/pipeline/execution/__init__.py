"""Execution of one shard of one stage in a worker process."""
