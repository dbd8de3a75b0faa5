"""Names of the shipped weights for nuclei, by their purpose."""

DEFAULT_NUCLEI = "nuclei_gmr_unet_0.5_general"
"""Weights of workflows that name none."""
FINE_NUCLEI = "nuclei_gmr_unet_0.25"
"""Weights for slides with 0.25 um/px, four times the work; they adapt colours too."""
ADAPTING_NUCLEI = "nuclei_gmr_unet_0.5_restained"
"""Weights that adapt the colours of a slide to the training data."""
