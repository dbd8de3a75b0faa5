"""Import nuclei of other programs as a result of wsipipe."""
