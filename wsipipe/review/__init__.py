"""Where a person looks at a finished slide; the only package that knows napari."""
