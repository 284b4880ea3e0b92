"""Images, and jobs that make some, which ship with the package."""

from pathlib import Path

#: H&E-stained skin, Aperio 20x, 0.499 µm per pixel, 2220 x 2967 RGB. CMU-1-Small-Region of the OpenSlide test
#: data (Carnegie Mellon University), CC0. No training set of a shipped model holds any of it.
SLIDE = Path(__file__).parent.parent / "samples" / "CMU-1-Small-Region.svs"

#: Job of the simulated stack of filaments.
FILAMENTS = SLIDE.with_name("filaments.yaml")
