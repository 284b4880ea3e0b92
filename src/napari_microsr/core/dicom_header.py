"""Which DICOM files make up a slide: told by their first elements."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_microsr.errors import InputError

#: The first bytes of a file, and what stands at their end in every DICOM file (PS3.10, 7.1).
PREAMBLE = 128
MAGIC = b"DICM"

_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
_SERIES_INSTANCE_UID = 0x0020000E
_ZARR = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


@dataclass(frozen=True)
class Header:
    """What tells which slide a file belongs to.

    Attributes
    ----------
    file : Path
        The file.
    kind : str
        Name of what it holds (SOP class).
    series : str
        Unique id of the series; the levels of a slide share it.
    slide : bool
        Whether it holds pixels of a slide: neither its label, nor an overview or a thumbnail.
    """

    file: Path
    kind: str
    series: str
    slide: bool


def is_dicom(start: bytes) -> bool:
    """Say whether a file begins as DICOM does."""
    return start[PREAMBLE : PREAMBLE + len(MAGIC)] == MAGIC


def holds_slide(folder: Path) -> bool:
    """Say whether a folder holds DICOM files, right in it."""
    if not folder.is_dir() or any((folder / name).is_file() for name in _ZARR):
        return False
    return bool(_files(folder, first=True))


def read_headers(path: Path) -> list[Header]:
    """Return the headers of the files that a slide consists of.

    Parameters
    ----------
    path : Path
        A folder, or one file.

    Raises
    ------
    InputError
        If pydicom is not installed, a file is damaged, or there is no slide or more than one.
    """
    headers = [_read(file) for file in (_files(path) if path.is_dir() else [path])]
    slides = [header for header in headers if header.slide]
    if not slides:
        kinds = sorted({header.kind for header in headers})
        raise InputError(
            f"{path} is in DICOM but no slide ({', '.join(kinds)}).",
            "Choose a whole-slide image, or convert it to TIFF.",
        )
    if len({header.series for header in slides}) > 1:
        raise InputError(
            f"{path} holds {len({header.series for header in slides})} slides.",
            "Give each a folder of its own, or choose one of the files.",
        )
    return slides


def _files(folder: Path, *, first: bool = False) -> list[Path]:
    """Return the DICOM files right in a folder, or the first one found; few of them have other endings."""
    found = []
    for file in sorted(folder.iterdir()):
        ending = file.suffix.lower()
        if file.name.startswith(".") or not (ending in ("", ".dcm", ".dicom") or ending[1:].isdigit()):
            continue
        if file.is_file() and file.name != "DICOMDIR" and is_dicom(_start(file)):
            found.append(file)
            if first:
                break
    return found


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(PREAMBLE + len(MAGIC))


def _read(file: Path) -> Header:
    pydicom = _library(file)
    try:
        with file.open("rb") as stream:
            found = pydicom.filereader.read_partial(
                stream, stop_when=lambda tag, _representation, _length: tag > _SERIES_INSTANCE_UID
            )
        if "SOPClassUID" not in found or "SeriesInstanceUID" not in found:
            raise ValueError("it ends before it says what it holds")
        kind, series = found.SOPClassUID, str(found.SeriesInstanceUID)
        slide = kind == _SLIDE and "VOLUME" in found.get("ImageType", ())
    except Exception as error:
        # pydicom has no error of its own: whatever a damaged length leads to comes through.
        raise InputError(
            f"{file} cannot be opened as DICOM: {str(error) or type(error).__name__}.",
            "The file seems damaged or incomplete: copy it again from where it was recorded.",
        ) from error
    return Header(file, str(kind.name), series, slide)


def _library(path: Path) -> Any:
    try:
        import pydicom.filereader
    except ImportError as error:
        raise InputError(
            f"{path} is in DICOM, and a package that reads it is not installed.",
            "Install it with: pip install 'napari-microsr[wsi]'.",
        ) from error
    return pydicom
