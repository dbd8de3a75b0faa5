"""Progress, slide logs, ``run.json`` and ``report.html``."""
