"""Texts in HDF5 files lie in heaps; a damaged one must be found before the library reads it."""

import mmap
from pathlib import Path

from napari_microsr.errors import InputError

#: A global heap begins with its signature and its version.
BEGIN = b"GCOL\x01"
HEAD = 16


def check_heaps(path: Path) -> None:
    """Refuse a file with a heap in which an object has no size, or one beyond the heap.

    The HDF5 library (2.0) searches such a heap for ever, in C, where nothing can stop it. The layout is that
    of the HDF5 File Format Specification 3.0, section III.E.

    Raises
    ------
    InputError
        If there is such a heap.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(BEGIN)
        while at >= 0:
            end = at + _number(content, at + 8)
            # What ends beyond the file is no heap, or one that the library refuses itself.
            if end <= len(content) and not _is_sound(content, at + HEAD, end):
                raise InputError(f"{path} is damaged: its texts cannot be read.", "Export the table again.")
            at = content.find(BEGIN, at + len(BEGIN))


def _is_sound(content: mmap.mmap, at: int, end: int) -> bool:
    """Go from object to object: number, references, size, data to a multiple of 8; number 0 is free."""
    while at + HEAD <= end:
        number, size = int.from_bytes(content[at : at + 2], "little"), _number(content, at + 8)
        step = HEAD + -(-size // 8) * 8 if number else size
        if step == 0 or at + step > end:
            return False
        at += step
    return True


def _number(content: mmap.mmap, at: int) -> int:
    return int.from_bytes(content[at : at + 8], "little")
