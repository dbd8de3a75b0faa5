"""Three exact ways to compute a ring convolution, the choice among them, and the compiled kernels."""
