"""Opens stores of this package in their place: napari's own reader leaves out pixel size and colours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_microsr.core.output import made_here
from napari_microsr.widgets.stored import open_result

LayerData = tuple[Any, dict[str, Any], str]


def reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the function that opens `path`, None where it is not a store of ours."""
    if isinstance(path, list) or not made_here(Path(path)):
        return None
    return read


def read(path: str) -> list[LayerData]:
    """Return the layer of a store, its pixels read when they are shown."""
    arguments = open_result(Path(path))
    data = arguments.pop("data")
    return [(data, {"name": Path(path).name.removesuffix(".ome.zarr"), **arguments}, "image")]
