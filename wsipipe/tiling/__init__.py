"""Read slides: formats, resolution, resampling, canvas and tissue."""
