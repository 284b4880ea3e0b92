"""The images of a comparison on the grid of their truth: checked, registered, with what all of them show."""

from math import hypot
from typing import Any

from numpy.typing import NDArray

from napari_microsr.core.image import ImageSource
from napari_microsr.errors import InputError
from napari_microsr.superres.baselines import Candidates, Enlargements
from napari_microsr.superres.metrics.window import luminance
from napari_microsr.superres.shift import (
    LEAST_CORRELATION,
    LEAST_PX,
    Shift,
    find_shift,
    shared_region,
    shifted,
)

#: Two pixel sizes that differ by less than this are the same, written with fewer digits.
_SAME_SIZE = 0.01
#: Smaller images have too little in them to be registered.
_SMALLEST_PX = 16


def as_candidates(name: str, image: ImageSource) -> Candidates:
    """Return an image as the one candidate of that name."""

    def read(plane: int, y: slice, x: slice) -> dict[str, NDArray[Any]]:
        return {name: image.read(plane, y, x)}

    return read


def check_same(result: ImageSource, reference: ImageSource) -> None:
    """Refuse a result whose pixels are not those of the reference.

    Raises
    ------
    InputError
        If they differ in size, planes, channels or pixel size.
    """
    _check_kind(result, reference)
    if (result.height, result.width) != (reference.height, reference.width):
        raise InputError(
            f"{result.name} has {result.height} x {result.width} pixels, the reference {reference.name} "
            f"{reference.height} x {reference.width}.",
            "Compare images of one size: crop or enlarge one of them first.",
        )
    ours, theirs = result.placement.pixel_size_um, reference.placement.pixel_size_um
    if ours and theirs and any(abs(a / b - 1) > _SAME_SIZE for a, b in zip(ours, theirs, strict=True)):
        raise InputError(
            f"The pixels of {result.name} are {ours[0]:.4g} x {ours[1]:.4g} µm, those of the reference "
            f"{reference.name} {theirs[0]:.4g} x {theirs[1]:.4g} µm.",
            "Compare images of one pixel size, or correct the size that is wrong.",
        )


def input_factor(low: ImageSource, reference: ImageSource) -> int:
    """Return how many pixels of the reference lie along a pixel of the input.

    Raises
    ------
    InputError
        If that is no whole number, or they differ in planes or channels.
    """
    _check_kind(low, reference)
    factor = max(round(reference.height / low.height), 1)
    # A reference that is no whole multiple has a rest below one pixel of the input.
    if (reference.height // factor, reference.width // factor) != (low.height, low.width):
        raise InputError(
            f"The reference {reference.name} ({reference.height} x {reference.width} pixels) is no whole "
            f"multiple of the input {low.name} ({low.height} x {low.width}).",
            "Give the image that the result was made from.",
        )
    return factor


class Scene:
    """What is to be compared.

    Parameters
    ----------
    reference : ImageSource
        The truth.

    Attributes
    ----------
    candidates : list of callable
        The images where the reference lies.
    shifts : dict
        Of those that were registered, how far they lay off, (y, x) in pixels.
    notes : list of str
        What was done about it.
    """

    def __init__(self, reference: ImageSource) -> None:
        self._reference = reference
        self._size = reference.height, reference.width
        self._grid = self._size
        self.candidates: list[Candidates] = []
        self.shifts: dict[str, tuple[float, float]] = {}
        self.notes: list[str] = []

    def add(self, name: str, image: ImageSource, *, align: bool) -> None:
        """Add a result, registered if asked for."""
        self._add(name, as_candidates(name, image), name, self._size, align)

    def add_input(self, enlarged: Enlargements, *, align: bool) -> None:
        """Add the enlarged forms of the input, registered by the smoothest of them if asked for."""
        self._grid = enlarged.height, enlarged.width
        smooth = "bicubic" if enlarged.factor > 1 else "input"
        self._add("input", enlarged, smooth, self._grid, align)

    def region(self, rim_px: int) -> tuple[slice, slice]:
        """Return rows and columns of the reference that all images show, without a rim.

        Raises
        ------
        InputError
            If nothing is left.
        """
        y, x = shared_region([Shift(*shift) for shift in self.shifts.values()], *self._grid)
        y, x = (
            slice(max(part.start, rim_px), min(part.stop, size - rim_px))
            for part, size in zip((y, x), self._size, strict=True)
        )
        if y.start >= y.stop or x.start >= x.stop:
            raise InputError(
                f"Nothing of the reference {self._reference.name} is left within a rim of {rim_px} pixels.",
                "Choose a smaller rim, or do not register.",
            )
        return y, x

    def _add(self, name: str, read: Candidates, shown: str, size: tuple[int, int], align: bool) -> None:
        shift = self._find(name, read, shown, size) if align and min(size) >= _SMALLEST_PX else Shift()
        self.candidates.append(shifted(read, shift, *size))

    def _find(self, name: str, read: Candidates, shown: str, size: tuple[int, int]) -> Shift:
        plane = self._reference.n_planes // 2
        shift, correlation = find_shift(
            lambda y, x: luminance(read(plane, y, x)[shown]),
            lambda y, x: luminance(self._reference.read(plane, y, x)),
            *size,
        )
        if hypot(shift.y, shift.x) < LEAST_PX:
            return Shift()
        if correlation < LEAST_CORRELATION:
            self.notes.append(
                f"{name} has too little in common with the reference to be registered (correlation "
                f"{correlation:.2f}): it is compared as it lies."
            )
            return Shift()
        self.notes.append(
            f"{name} lay {shift.y:+.2f} pixels (y) and {shift.x:+.2f} pixels (x) off the reference, and was "
            "registered."
        )
        self.shifts[name] = (shift.y, shift.x)
        return shift


def _check_kind(image: ImageSource, reference: ImageSource) -> None:
    if image.rgb != reference.rgb:
        colour, grey = (image, reference) if image.rgb else (reference, image)
        raise InputError(
            f"{colour.name} is an RGB image, and {grey.name} has separate channels.",
            "Compare images of one kind.",
        )
    if image.plane_shape != reference.plane_shape:
        ours, theirs = (" x ".join(map(str, it.plane_shape)) or "1" for it in (image, reference))
        raise InputError(
            f"{image.name} has {ours} planes, the reference {reference.name} {theirs}.",
            "Compare images of the same planes.",
        )
