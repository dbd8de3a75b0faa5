"""Tasks: nuclei maps and tissue classes, with their losses."""
