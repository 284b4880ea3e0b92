"""`python -m napari_microsr.cli`."""

from napari_microsr.cli import main

main()
