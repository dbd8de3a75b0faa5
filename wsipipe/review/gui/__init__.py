"""The napari plugin: reader, viewer, layers and the panel for corrections."""
