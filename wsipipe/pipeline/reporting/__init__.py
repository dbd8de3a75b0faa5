"""Progress, the log of a slide, ``run.json`` and ``report.html``."""
