"""Reading slides: formats, um per px, resampling, the canvas, and the tissue on it."""
