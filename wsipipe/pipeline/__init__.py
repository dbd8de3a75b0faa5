"""A workflow and slides in, published results out.

``run`` starts a run and keeps failures apart, ``slide_run`` takes one slide through its stages,
``planning`` decides what is computed, ``execution`` computes one shard in a worker, ``cluster`` holds the
workers (and knows nothing of slides), ``publishing`` finishes a slide, ``reporting`` shows what became of it.
"""
