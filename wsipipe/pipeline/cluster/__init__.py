"""Workers: Dask set-up, restarts, and tasks that are given to another process when one is lost."""
