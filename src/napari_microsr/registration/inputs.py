"""The images of a registration: files, folders and patterns, opened so that a bad one stops no other."""

import glob
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.errors import InputError, MicroSRError

#: What a folder is searched for.
READABLE = (
    ".tif",
    ".tiff",
    ".btf",
    ".tf8",
    ".svs",
    ".ndpi",
    ".scn",
    ".zarr",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
)
#: Images too, so that a person is told that they cannot be read.
OTHERS = (".czi", ".lif", ".nd2", ".vsi", ".oib", ".oif", ".bmp", ".gif", ".jp2", ".heic")
_MAGNIFICATION = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s?x(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Input:
    """An image that was asked for.

    Attributes
    ----------
    name : str
        Its name in tables and layers, different from that of every other.
    path : Path or None
        Its file.
    source : ImageSource or None
        The image, None if it cannot be opened.
    um : float or None
        Size of a pixel, as given or as the file says.
    fault : str
        Why it cannot be opened.
    """

    name: str
    path: Path | None
    source: ImageSource | None
    um: float | None = None
    fault: str = ""

    @property
    def magnification(self) -> float | None:
        """The magnification in the name of the file or else its folder: 40 of `slide3_40x_02.tif`."""
        for text in (self.name, *([self.path.parent.name] if self.path else [])):
            if found := _MAGNIFICATION.findall(text):
                return float(found[-1])
        return None


def find_files(places: Sequence[str]) -> list[Path]:
    """Return the files that paths, folders and patterns stand for, in the order of their numbers.

    Parameters
    ----------
    places : sequence of str
        Files; folders, which stand for the images right in them; or patterns such as ``fields/*_40x.tif``.

    Returns
    -------
    list of Path
        Absolute, each once. A file that is named need not exist.

    Raises
    ------
    InputError
        If a folder or a pattern yields nothing.
    """
    found: dict[Path, None] = {}
    for place in places:
        path = Path(place).expanduser().absolute()
        if path.suffix == ".zarr" or path.is_file():
            files = [path]
        elif path.is_dir():
            files = [
                file for file in path.iterdir()
                if file.suffix.lower() in READABLE + OTHERS and not file.name.startswith(".")
            ]  # fmt: skip
        elif glob.has_magic(place):
            files = [Path(file) for file in glob.glob(str(path), recursive=True)]
        else:
            files = [path]
        if not files:
            raise InputError(f"There is no image in {place}.", "Check the folder or the pattern.")
        found.update(dict.fromkeys(sorted(files, key=_number_order)))
    return list(found)


def open_all(paths: Sequence[Path], um: float | None) -> list[Input]:
    """Open files, each for itself.

    Parameters
    ----------
    paths : sequence of Path
        The files.
    um : float or None
        Pixel size that overrides those of the files.
    """
    return _named([_open(path, um) for path in paths])


def take_all(sources: Sequence[ImageSource], um: float | None) -> list[Input]:
    """Take images that are open already, as `open_all` does files."""
    return _named([Input(source.name, source.path, source, um or _size(source)) for source in sources])


def _open(path: Path, um: float | None) -> Input:
    try:
        source = open_image(path)
    except MicroSRError as error:
        return Input(path.name.removesuffix(path.suffix) or path.name, path, None, fault=str(error))
    return Input(source.name, path, source, um or _size(source))


def _size(source: ImageSource) -> float | None:
    sizes = source.placement.pixel_size_um
    return None if sizes is None or min(sizes) <= 0 else sqrt(sizes[0] * sizes[1])


def _named(inputs: list[Input]) -> list[Input]:
    """Tell images of one name apart by their folder, else by a number."""
    times = Counter(item.name for item in inputs)
    inputs = [
        replace(item, name=f"{item.path.parent.name}/{item.name}")
        if times[item.name] > 1 and item.path is not None and item.path.parent.name
        else item
        for item in inputs
    ]
    seen: Counter[str] = Counter()
    result = []
    for item in inputs:
        seen[item.name] += 1
        number = seen[item.name]
        result.append(item if number == 1 else replace(item, name=f"{item.name} ({number})"))
    return result


def _number_order(path: Path) -> list[tuple[bool, int, str]]:
    """Sort field2 before field10."""
    parts = re.split(r"(\d+)", path.as_posix().lower())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
