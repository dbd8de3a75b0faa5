"""How the shipped weights are made: data, stain augmentation, losses, the fit loop and its scores."""
