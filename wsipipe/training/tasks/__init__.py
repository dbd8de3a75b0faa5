"""What is learnt: nuclei maps or tissue classes, with their losses."""
