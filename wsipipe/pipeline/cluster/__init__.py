"""Dask workers: start-up, restarts, and tasks that survive a lost worker.

Nothing here knows of slides: ``client`` starts or joins a cluster, ``nanny`` restarts its processes,
``workers`` asks them questions, ``task_pool`` and ``task_batch`` run tasks, and ``attempts`` counts how often
one was tried.
"""
