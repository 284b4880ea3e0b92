"""CSV of ThunderSTORM and of the SMLM challenge: nm from the corner of the first pixel, frames from 1."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.core.output import whole
from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import COLUMNS, Localizations

#: Positions in nm are the same in pixels of any size; this one is taken where none is known.
NOMINAL_PIXEL_NM = 100.0
_NM = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "mm": 1e6}
_PHOTON = ("", "photon", "photons")
# Headers of ThunderSTORM and of the challenge -> (column, kind of number, unit where none is written).
_HEADERS = {
    "frame": ("frame", "count", ""),
    "x": ("x", "length", ""),
    "y": ("y", "length", ""),
    "xnano": ("x", "length", "nm"),
    "ynano": ("y", "length", "nm"),
    "sigma": ("sigma_px", "length", ""),
    "intensity": ("photons", "photon", ""),
    "offset": ("background", "photon", ""),
    "uncertainty": ("x_err", "length", ""),
    "uncertainty_xy": ("x_err", "length", ""),
    "probability": ("probability", "count", ""),
}


def read(path: Path, pixel_nm: float | None) -> dict[str, Any]:
    """Read columns by the names and units in the header.

    Raises
    ------
    InputError
        If a needed column is missing or its unit is no length, or no photons.
    """
    import pandas as pd

    found: dict[str, tuple[int, float]] = {}
    in_pixels = False
    names = _header(path)
    for place, name in enumerate(names):
        match = re.fullmatch(r"\s*(.*?)\s*(?:\[(.*)\])?\s*", name)
        title, unit = (match[1].lower(), match[2]) if match else ("", None)
        if title not in _HEADERS:
            continue
        column, kind, implied = _HEADERS[title]
        unit = implied if unit is None else unit.strip()
        in_pixels |= kind == "length" and unit in ("px", "pixel")
        found.setdefault(column, (place, _factor(path, title, kind, unit, pixel_nm)))
    missing = [name for name in ("frame", "x", "y") if name not in found]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}.",
            'Its header must name them as ThunderSTORM does: "frame", "x [nm]", "y [nm]".',
        )
    places = [place for place, _ in found.values()]
    table = pd.read_csv(path, header=0, names=range(len(names)), index_col=False, usecols=places)
    size = pixel_nm or NOMINAL_PIXEL_NM
    columns: dict[str, Any] = {}
    for column, (place, factor) in found.items():
        columns[column] = table[place].to_numpy(np.float64) * factor
        if column in ("x", "y", "x_err", "sigma_px"):
            columns[column] /= size
    columns["x"] -= 0.5
    columns["y"] -= 0.5
    if "x_err" in columns:
        columns["y_err"] = columns["x_err"]
    columns["frame"] = _from_zero(path, columns["frame"])
    return {**columns, "pixel_nm": size}


def write_thunderstorm(path: Path, table: Localizations) -> None:
    """Write the columns that ThunderSTORM writes after a fit in 2D."""
    columns = {
        "id": np.arange(1, len(table) + 1),
        "frame": table.frame + 1,
        "x [nm]": table.x_nm,
        "y [nm]": table.y_nm,
        "sigma [nm]": table.sigma_nm,
        "intensity [photon]": table.photons,
        "offset [photon]": table.background,
        "bkgstd [photon]": np.sqrt(np.maximum(table.background, 0)),
        "uncertainty [nm]": table.uncertainty_nm,
    }
    _write(path, columns)


def write_challenge(path: Path, table: Localizations) -> None:
    """Write the columns of the challenge's tables of truth."""
    columns = {
        "Ground-truth": np.arange(1, len(table) + 1),
        "frame": table.frame + 1,
        "xnano": table.x_nm,
        "ynano": table.y_nm,
        "znano": np.zeros(len(table)),
        "intensity": table.photons,
    }
    _write(path, columns)


def _write(path: Path, columns: dict[str, Any]) -> None:
    import pandas as pd

    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        # As ThunderSTORM does: names in quotes, numbers bare.
        csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow(columns)
        pd.DataFrame(columns).to_csv(
            file, index=False, header=False, float_format="%.4f", lineterminator="\n"
        )


def _header(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file), [])
    # Some tables were saved twice: all their names stand in one pair of quotes.
    return next(csv.reader(names)) if len(names) == 1 and "," in names[0] else names


def _factor(path: Path, title: str, kind: str, unit: str, pixel_nm: float | None) -> float:
    """Return what a column is multiplied with to be in nm or in photons."""
    if kind == "length" and unit in ("px", "pixel"):
        if pixel_nm is None:
            raise InputError(f"{path} gives {title} in pixels.", "Give the size of a camera pixel in nm.")
        return pixel_nm
    if kind == "length" and unit not in _NM:
        named = f"in {unit!r}" if unit else "without a unit"
        raise InputError(f"{path} gives {title} {named}.", f"Name its unit, for example '{title} [nm]'.")
    if kind == "photon" and unit.lower() not in _PHOTON:
        raise InputError(
            f"{path} gives {title} in {unit!r}.", "Export it in photons, or leave that column out."
        )
    return _NM[unit] if kind == "length" else 1.0


def _from_zero(path: Path, frame: Any) -> Any:
    if not np.isfinite(frame).all() or (frame != np.rint(frame)).any():
        raise InputError(f"{path} has frames that are no whole numbers.", "Export the table again.")
    if len(frame) and frame.min() < 1:
        raise InputError(
            f"{path} counts frames from {frame.min():.0f}, its format counts from 1.",
            "Add 1 to the column frame.",
        )
    return frame.astype(COLUMNS["frame"]) - 1
