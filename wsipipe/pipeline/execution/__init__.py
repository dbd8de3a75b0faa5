"""Execution of one shard in a worker process."""
