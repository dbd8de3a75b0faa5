"""Quality of a slide: focus, ink, folds, stain and compression."""
