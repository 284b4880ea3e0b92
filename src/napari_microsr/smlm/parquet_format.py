"""Parquet: all columns as they are in memory, the field in the metadata."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_microsr.core.output import whole
from napari_microsr.errors import InputError
from napari_microsr.smlm.localizations import COLUMNS, Localizations

KEY = b"microsr"


def read(path: Path, pixel_nm: float | None) -> dict[str, Any]:
    """Read columns of these names; another program's table must have them in pixels.

    Raises
    ------
    InputError
        If pyarrow is not installed, columns are missing, or nobody names the pixel size.
    """
    table = _pyarrow("pyarrow.parquet").read_table(path)
    field = json.loads((table.schema.metadata or {}).get(KEY, b"{}"))
    missing = [name for name in ("frame", "x", "y") if name not in table.column_names]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}.", "Export the table again.")
    size = pixel_nm or field.get("pixel_nm")
    if size is None:
        raise InputError(f"{path} names no pixel size.", "Give the size of a camera pixel in nm.")
    columns = {name: table[name].to_numpy() for name in COLUMNS if name in table.column_names}
    return {**columns, **field, "pixel_nm": size}


def write(path: Path, table: Localizations) -> None:
    """Write all columns."""
    pyarrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    field = {"pixel_nm": table.pixel_nm, "shape_yx": table.shape_yx, "n_frames": table.n_frames}
    content = pyarrow.table(table.columns()).replace_schema_metadata({KEY: json.dumps(field)})
    with whole(path) as partial:
        parquet.write_table(content, partial)


def _pyarrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise InputError(
            "Parquet needs pyarrow, which is not installed.", "Run: pip install 'napari-microsr[parquet]'."
        ) from error
