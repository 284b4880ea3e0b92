"""One image whose planes lie in many files, told apart by their names."""

from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.core.file_array import FileImage
from napari_microsr.core.name_pattern import AXES, NamePattern, in_number_order
from napari_microsr.core.placement import Placement
from napari_microsr.errors import InputError

#: Files kept open, for neighbouring tiles share them.
OPEN_FILES = 8


def names_series(path: Path) -> bool:
    """Say whether a path is the pattern of a series, with `{channel}`, `{z}` or `{time}` in its name."""
    return any(f"{{{name}" in path.name for name in AXES)


def read_series(path: Path, level: int = 0) -> FileImage:
    """Describe the image that the files of a pattern make up.

    Parameters
    ----------
    path : Path
        Its last part holds `{time}`, `{channel}` and `{z}`, each at most once.
    level : int
        Of each file.

    Returns
    -------
    FileImage
        Axes t, c and z as far as the pattern has them, then those of the single files.

    Raises
    ------
    InputError
        If there are no such files, one is missing or is there twice, or the first cannot be opened.
    """
    from napari_microsr.core.files import read_file

    names = [name for name in AXES if f"{{{name}" in path.name]
    files = _find(path)
    values = [in_number_order({place[axis] for place in files}) for axis in range(len(names))]
    for place in product(*values):
        if place not in files:
            missing = ", ".join(f"{name} {value}" for name, value in zip(names, place, strict=True))
            raise InputError(f"{path} has no file for {missing}.", "Copy the missing file beside the others.")
    first = read_file(next(iter(files.values())), level)
    inner = first.axes or ("yxc" if first.rgb else "yx")
    outer = "".join(AXES[name] for name in names)
    shape = tuple(first.array.shape)
    if len(inner) != len(shape) or set(inner) & set(outer):
        raise InputError(
            f"The files of {path} hold the axes '{inner}' each, to which '{outer}' cannot be added.",
            "Choose a pattern without those placeholders, or convert the files.",
        )
    array = FileSeries(
        np.array([files[place] for place in product(*values)], object).reshape([len(v) for v in values]),
        shape,
        np.dtype(first.array.dtype),
        level,
    )
    placement = first.placement or Placement.of_sizes(inner.replace("c", "") if first.rgb else inner, {})
    return FileImage(array, outer + inner, bool(first.rgb), _stacked(placement, outer))


def _find(path: Path) -> dict[tuple[str, ...], Path]:
    """Return the files of a pattern by the values of its placeholders, in the order of `AXES`."""
    pattern = NamePattern(path.name)
    files: dict[tuple[str, ...], Path] = {}
    for file in sorted(path.parent.iterdir()) if path.parent.is_dir() else ():
        values = pattern.match(file.name)
        if values is None:
            continue
        place = tuple(values[name] for name in AXES if name in values)
        if place in files:
            raise InputError(
                f"{file} and {files[place].name} both fit {path.name} as the same plane.",
                "Make the pattern tell them apart, or move one of them away.",
            )
        files[place] = file
    if not files:
        raise InputError(f"There are no files {path}.", "Check the folder and the pattern.")
    return files


def _stacked(placement: Placement, outer: str) -> Placement:
    """Return the placement of single files with axes in front of theirs."""
    n = len(outer)
    return Placement(
        (*outer, *placement.axis_labels),
        ("pixel",) * n + placement.units,
        (1.0,) * n + placement.scale,
        (0.0,) * n + placement.translate,
    )


class FileSeries:
    """The pixels of many files as one array; only what is asked for is opened.

    Parameters
    ----------
    files : ndarray of Path
        One per position along the leading axes.
    shape, dtype, level
        Of each file.
    """

    def __init__(
        self, files: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], level: int = 0
    ) -> None:
        self.files, self._inner, self._level = files, shape, level
        self.shape, self.dtype = (*files.shape, *shape), dtype
        self.ndim = len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        n = self.files.ndim
        chosen = self.files[index[:n]]
        if isinstance(chosen, Path):
            return self._read(chosen, index[n:])
        blocks = [self._read(file, index[n:]) for file in chosen.flat]
        return np.stack(blocks).reshape(*chosen.shape, *blocks[0].shape)

    def _read(self, file: Path, index: tuple[Any, ...]) -> NDArray[Any]:
        array = _open(file, self._level, file.stat().st_mtime_ns)
        if (tuple(array.shape), np.dtype(array.dtype)) != (self._inner, self.dtype):
            raise InputError(
                f"{file} is {array.shape} {array.dtype}, unlike the other files of its series"
                f" ({self._inner} {self.dtype}).",
                "Leave it out, or convert it.",
            )
        block: NDArray[Any] = np.asarray(array[index])
        return block


@lru_cache(maxsize=OPEN_FILES)
def _open(file: Path, level: int, _changed: int) -> Any:
    from napari_microsr.core.files import read_file

    return read_file(file, level).array
