"""The images of a registration: files, folders and patterns, opened one by one when their turn comes."""

import glob
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path

from napari_microsr.core.dicom_header import holds_slide
from napari_microsr.core.file_series import names_series
from napari_microsr.core.image import ImageSource, name_of, open_image
from napari_microsr.core.output import inside_store
from napari_microsr.errors import InputError

#: What a folder is searched for.
READABLE = (
    ".tif",
    ".tiff",
    ".btf",
    ".tf8",
    ".svs",
    ".ndpi",
    ".scn",
    ".dcm",
    ".zarr",
    ".png",
    ".jpg",
    ".jpeg",
    ".webp",
)
#: Images too, so that a person is told that they cannot be read.
OTHERS = (".czi", ".lif", ".nd2", ".vsi", ".oib", ".oif", ".bmp", ".gif", ".jp2", ".heic")
_MAGNIFICATION = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)\s?x(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Input:
    """An image that was asked for, and that may turn out not to be one.

    Attributes
    ----------
    name : str
        Its name in tables and layers, different from that of every other.
    path : Path or None
        Its file.
    source : ImageSource or None
        The image, where it is open already.
    um : float or None
        Pixel size that a person gave.
    """

    name: str
    path: Path | None
    source: ImageSource | None = None
    um: float | None = None

    def open(self) -> ImageSource:
        """Return the image under its name here.

        Raises
        ------
        InputError
            As `open_image` does.
        """
        source = self.source
        if source is None:
            assert self.path is not None
            source = open_image(self.path)
        return replace(source, name=self.name)

    def size_um(self, source: ImageSource) -> float | None:
        """Return the size of a pixel as given, else as the image says, else None."""
        sizes = source.placement.pixel_size_um
        return self.um or (sqrt(sizes[0] * sizes[1]) if sizes else None) or None

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
        Files; folders, which are a slide in DICOM or stand for the images right in them; or patterns such
        as ``fields/*_40x.tif``.

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
        stored = path.suffix == ".zarr" or inside_store(path) or holds_slide(path)
        if stored or path.is_file() or names_series(path):
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


def from_files(paths: Sequence[Path], um: float | None) -> list[Input]:
    """Return files as images, not opened yet, all with a pixel size that was given or None."""
    return _named([Input(name_of(path), path, um=um) for path in paths])


def from_sources(sources: Sequence[ImageSource | Path], um: float | None) -> list[Input]:
    """Return open images as `from_files` does files, which may be among them."""
    return _named(
        [
            Input(name_of(it), it, um=um) if isinstance(it, Path) else Input(it.name, it.path, it, um)
            for it in sources
        ]
    )


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
