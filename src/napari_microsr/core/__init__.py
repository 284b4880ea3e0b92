"""Machinery that knows no microscopy task, no napari and no Qt."""
