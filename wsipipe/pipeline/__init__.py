"""From a workflow and slides to published results.

``run`` starts a run, ``run_slides`` runs its slides and contains their failures, ``slide_run`` takes one
slide through its stages. ``planning`` decides what is computed, ``execution`` computes one shard in a worker,
``cluster`` manages the workers (and knows nothing of slides), ``publishing`` finishes a slide, and
``reporting`` records and shows progress and outcomes.
"""
