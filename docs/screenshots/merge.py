"""Make the picture of merged fields: python docs/screenshots/merge.py."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from napari_microsr import ImageSource, MergeJob, merge, open_image
from napari_microsr.registration.placement import FieldPlacement, OverviewInfo, Placements
from napari_microsr.registration.sample import sample

PICTURE = Path(__file__).parent.parent / "images" / "merge.jpg"


def main() -> None:
    """Merge the sample's fields where they truly lie, without and with matched colours, side by side."""
    overview, fields = sample()
    images = {field.name: ImageSource.from_array(field.image, name=field.name) for field in fields}
    images["overview"] = ImageSource.from_array(overview.image, name="overview")
    info = OverviewInfo("overview", None, overview.image.shape[:2], overview.um)
    placed = [
        FieldPlacement(
            field.name, None, "overview", field.image.shape[:2], "placed", matrix_yx=field.truth_yx
        )
        for field in fields
        if field.truth_yx is not None
    ]
    halves = []
    with tempfile.TemporaryDirectory() as folder:
        for match in (False, True):
            path = Path(folder) / f"{match}.ome.zarr"
            job = MergeJob(placements="sample", output=path, um=overview.um, match_colours=match)
            result = open_image(merge(job, placements=Placements([info], placed), images=images))
            halves.append(result.read(0, slice(0, result.height), slice(0, result.width)))
    pixels = np.concatenate(halves, -1).transpose(1, 2, 0)
    picture = Image.fromarray(pixels)
    picture.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
    picture.save(PICTURE, quality=85)


if __name__ == "__main__":
    main()
