"""Slides in DICOM need the extra `wsi`."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

if find_spec("wsidicom") is None:
    collect_ignore_glob = ["test_*"]
