"""QuPath: the affine transform of each field as QuPath's own JSON writes a java.awt.geom.AffineTransform.

x' = m00 x + m01 y + m02 and y' = m10 x + m11 y + m12 carry a point of the field to the overview, both in
pixels of the finest level with the corner of the first pixel at (0, 0): half a pixel from our centres.
"""

import json
from pathlib import Path

import numpy as np

from napari_microsr.errors import InputError
from napari_microsr.registration.formats.exchange import SWAP, found, imported, lost, needed
from napari_microsr.registration.formats.files import read_json, write_text
from napari_microsr.registration.geometry import Matrix
from napari_microsr.registration.placement import Placements

KEYS = (("m00", "m01", "m02"), ("m10", "m11", "m12"))
# From the pixel's centre at integers to the corner of the first pixel at zero.
TO_CORNER = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])


def write(placements: Placements, path: Path) -> list[str]:
    """Write one file with an object per field.

    Returns
    -------
    list of str
        What the format cannot hold.

    Raises
    ------
    InputError
        If no field has a place.
    OutputError
        If it cannot be written.
    """
    document = {}
    for field, overview, matrix in found(placements):
        xy = TO_CORNER @ SWAP @ matrix @ SWAP @ np.linalg.inv(TO_CORNER)
        numbers = {key: float(xy[row, col]) for row, keys in enumerate(KEYS) for col, key in enumerate(keys)}
        document[field.name] = {"overview": overview.name, **numbers}
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return lost(placements)


def read(path: Path, known: Placements | None = None) -> Placements:
    """Read the file; `known` says which fields it speaks of.

    Raises
    ------
    InputError
        If it is missing or damaged, or names other fields.
    """
    known = needed(known, path)
    matrices: dict[str, tuple[str | None, Matrix]] = {}
    for name, entry in read_json(path).items():
        try:
            rows = [[float(entry[key]) for key in keys] for keys in KEYS]
            overview = entry.get("overview")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"The entry {name} of {path} is no affine transform.",
                "It needs m00, m10, m01, m11, m02 and m12.",
            ) from error
        xy = np.array([*rows, [0.0, 0.0, 1.0]])
        matrices[name] = (overview, SWAP @ np.linalg.inv(TO_CORNER) @ xy @ TO_CORNER @ SWAP)
    return imported(known, matrices, path)
