"""Write images from Python where a job file can name them."""

from pathlib import Path

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.output import whole
from napari_microsr.errors import OutputError
from napari_microsr.superres.images import Given
from napari_microsr.superres.sources import HIGH, LOW


def keep_images(given: Given, folder: Path) -> Path:
    """Write images or pairs as TIFF files such that a training on the folder is the same as one on them.

    Parameters
    ----------
    given : mapping
        ImageSource by name, or pairs (low, high). The names of sharp ones end in `.tif`, as files' do.
    folder : Path
        Is made; files of the same names are replaced.

    Returns
    -------
    Path
        `folder`, for the job's `data`.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    for name, what in given.items():
        if isinstance(what, tuple):
            for kind, image in zip((LOW, HIGH), what, strict=True):
                _write(folder / kind / f"{name}.tif", image)
        else:
            _write(folder / name, what)
    return folder


def _write(path: Path, image: ImageSource) -> None:
    import tifffile

    pixels = np.asarray(image.array[...])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            tifffile.imwrite(
                partial, pixels, ome=True, photometric="rgb" if image.rgb else "minisblack",
                metadata={"axes": image.axes.upper().replace("C", "S") if image.rgb else image.axes.upper()},
            )  # fmt: skip
    except OSError as error:
        raise OutputError(
            f"The image {path} cannot be written ({error.strerror}).", "Choose another folder."
        ) from error
