"""Registration, super-resolution and single-molecule localisation for microscopy."""

from importlib.metadata import version

__version__ = version("napari-microsr")
