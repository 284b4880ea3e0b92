"""The plugin's dock widgets: the only folder that imports napari and Qt."""
