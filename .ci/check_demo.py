"""Check what `microsr demo --json` wrote: valid stores, pictures, a real gain, fields in their places."""

import json
import sys
from pathlib import Path

import numpy as np
import yaozarrs
import zarr
from PIL import Image

report = Path(sys.argv[1])
result = json.loads(report.read_text())
outputs = [report.parent / path for path in result["outputs"]]
stores = [path for path in outputs if path.suffix == ".zarr"]
pictures = [path for path in outputs if path.suffix == ".png"]
assert stores, outputs
assert pictures, outputs
for store in stores:
    yaozarrs.validate_zarr_store(str(store))
assert zarr.open_array(stores[0] / "0").shape == (3, 2 * 2967, 2 * 2220)
for picture in pictures:
    assert np.asarray(Image.open(picture)).std() > 10, picture
figures = result["figures"]
gain = figures["histology-x2"]["psnr_db"] - figures["bicubic"]["psnr_db"]
assert gain > 0.5, figures
registered = result["registration"]
assert registered["placed"] == registered["fields"], registered
assert registered["not_found"] == registered["others"], registered
assert registered["largest_error_px"] < 0.3, registered
print(
    f"demo: {len(stores)} stores, {len(pictures)} pictures, {gain:+.2f} dB over bicubic, "
    f"{registered['placed']} fields within {registered['largest_error_px']} px"
)
