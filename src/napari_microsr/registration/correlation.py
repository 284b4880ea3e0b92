"""Correlation of patches with a whole picture by Fourier transform, and exactly where it is high.

Quick is the correlation over the energy of the picture in a disk of the patch's area, the same for every
angle; it says which places are worth an exact look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_microsr.registration.bands import Array, blurred
from napari_microsr.registration.compare import weighed

#: Upper width of the band-pass in pixels of the search.
HIGH_PX = 5.0
_LEAST_ENERGY = 0.15
# Shares of a patch on the picture from which on, and up to which, places are sought together: those at the
# edge would lose against those whole on the picture, of which there are many more to correlate by chance.
_SHARES = ((0.6, np.inf),)
_SHARES_OVER_THE_EDGE = ((0.9, np.inf), (0.2, 0.9))

Spectrum = NDArray[np.complex64]
Peak = tuple[float, int, int]


@dataclass(frozen=True, eq=False)
class Ground:
    """A picture that patches are sought on. See `lay`.

    Attributes
    ----------
    band : float32, (h, w)
        The picture band-passed, in a frame of unknown pixels.
    known : bool, (h, w)
        Where it is known.
    frame : int
        Width of the frame, in which the centres of patches may lie.
    reach : int
        Pixels from the centre of a patch to its edge.
    size : list of int
        Of the Fourier transform.
    spectrum, opposite : complex64
        Of the picture, shifted so that a patch is found where its centre lies: the patch as it is, and
        turned by 180°.
    strengths : list of float32, (h, w)
        What the correlation is multiplied with, for each kind of places that are sought together.
    """

    band: Array
    known: NDArray[np.bool_]
    frame: int
    reach: int
    size: list[int]
    spectrum: Spectrum
    opposite: Spectrum
    strengths: list[Array]

    @classmethod
    def lay(cls, picture: Array, reach: int, radius: float, over_the_edge: bool) -> "Ground":
        """Prepare a picture, NaN where it is unknown.

        Parameters
        ----------
        picture : float32, (h, w)
            On which to seek.
        reach : int
            Pixels from the centre of a patch to its edge.
        radius : float
            Of a disk of the area of what is drawn in the patches.
        over_the_edge : bool
            Seek too where most of a patch lies beside the picture, which takes longer.
        """
        frame, spare = (reach // 2, reach - reach // 2) if over_the_edge else (0, 0)
        ground = np.pad(picture, frame, constant_values=np.nan)
        band, known = band_passed(ground, 0.0, HIGH_PX), np.isfinite(ground)
        # What is spare on one side serves the patches that reach over either. Without it, the smaller part
        # of a patch that does is compared with the other side of the picture, and lost.
        size = [fft.next_fast_len(n + spare, real=True) for n in ground.shape]
        around = np.zeros(size, np.float32)
        around[: band.shape[0], : band.shape[1]] = band
        forth, back = (fft.rfft2(np.roll(around, (shift, shift), (0, 1))) for shift in (reach, -reach))
        shares = _SHARES_OVER_THE_EDGE if over_the_edge else _SHARES
        return cls(band, known, frame, reach, size, forth, back, _strengths(band, known, radius, shares))

    def peaks(self, patches: Array, both_ways: bool) -> list[list[Peak]]:
        """Find where patches correlate best.

        Parameters
        ----------
        patches : float32, (n, 2 * reach + 1, 2 * reach + 1)
            Each of mean 0 and norm 1.
        both_ways : bool
            Seek each patch turned by 180° too, right after it.

        Returns
        -------
        list
            For each patch the best (correlation, row, column) of each kind of places.
        """
        spectra = fft.fft(fft.rfft(patches, self.size[1], axis=2), self.size[0], axis=1)
        found = [self._highest(self.spectrum * spectra.conj())]
        if both_ways:
            # Turned by half a turn, the patch has the conjugate spectrum.
            found.append(self._highest(self.opposite * spectra))
        return [peaks for same_patch in zip(*found, strict=True) for peaks in same_patch]

    def likeness(self, patch: Array, y: int, x: int) -> float:
        """Return the correlation of a patch with what is known below it, less where that is little."""
        rows, columns = (np.arange(at - self.reach, at + self.reach + 1) for at in (y, x))
        on = (rows >= 0) & (rows < self.band.shape[0]), (columns >= 0) & (columns < self.band.shape[1])
        below = np.ix_(rows[on[0]], columns[on[1]])
        drawn = patch[np.ix_(*on)]
        common = (drawn != 0) & self.known[below]
        if not common.any():
            return 0.0
        own, other = (values - values.mean() for values in (drawn[common], self.band[below][common]))
        norms = max(float(np.linalg.norm(own) * np.linalg.norm(other)), 1e-9)
        return weighed(float(own @ other) / norms, float(common.sum() / np.count_nonzero(patch)))

    def from_picture(self, y: int, x: int) -> tuple[int, int]:
        """Return row and column on the picture, without the frame."""
        return y - self.frame, x - self.frame

    def _highest(self, spectra: Spectrum) -> list[list[Peak]]:
        h, w = self.band.shape
        matched = fft.irfft2(spectra, self.size)[:, :h, :w]
        families = []
        for strength in self.strengths:
            flat = (matched * strength).reshape(len(matched), -1)
            at = flat.argmax(axis=1)
            best, (rows, columns) = flat[np.arange(len(at)), at], np.unravel_index(at, (h, w))
            families.append(zip(best.tolist(), rows.tolist(), columns.tolist(), strict=True))
        return [list(peaks) for peaks in zip(*families, strict=True)]


def draw(
    template: Array, pitches: NDArray[np.float64], angles_deg: NDArray[np.float64], mirrored: bool, reach: int
) -> NDArray[np.float32]:
    """Draw a template into patches, its centre at theirs; each has mean 0 in it and norm 1.

    Parameters
    ----------
    template : float32, (h, w)
        What to draw.
    pitches : array of shape (n,)
        Pixels of the patch per pixel of the template.
    angles_deg : array of shape (n,)
        Turns, as in `geometry.Parts`.
    mirrored : bool
        Exchange left and right first.
    reach : int
        Patches have 2 * reach + 1 pixels a side.
    """
    centre = (np.array(template.shape) - 1) / 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    turns = np.radians(angles_deg)
    c, s = (wave(turns)[:, None, None] / pitches[:, None, None] for wave in (np.cos, np.sin))
    side = -1 if mirrored else 1
    places = np.stack([c * rows + s * columns + centre[0], side * (c * columns - s * rows) + centre[1]])
    h, w = template.shape
    inside = (places[0] >= 0) & (places[0] <= h - 1) & (places[1] >= 0) & (places[1] <= w - 1)
    drawn = ndimage.map_coordinates(template, places, order=1, output=np.float32, mode="nearest") * inside
    axes = (1, 2)
    drawn -= inside * (drawn.sum(axes, keepdims=True) / np.maximum(inside.sum(axes, keepdims=True), 1))
    drawn /= np.maximum(np.sqrt((drawn * drawn).sum(axes, keepdims=True)), 1e-9)
    return np.asarray(drawn, np.float32)


def _strengths(
    band: Array, known: NDArray[np.bool_], radius: float, shares: Sequence[tuple[float, float]]
) -> list[Array]:
    """Return what the correlation of a patch is multiplied with to be one of pictures of norm 1.

    The norms are those of what is known of the overview in a disk around each pixel, and of as large a share
    of the patch: a field that lies half beyond the overview correlates as well as one that lies on it whole.
    """
    r = ceil(radius)
    disk = np.hypot(*np.mgrid[-r : r + 1, -r : r + 1]) <= radius
    size = [fft.next_fast_len(n + 2 * r + 1, real=True) for n in band.shape]
    shape = fft.rfft2(disk.astype(np.float32), size)
    h, w = band.shape
    local, share = (
        fft.irfft2(fft.rfft2(image, size) * shape, size)[r : r + h, r : r + w]
        for image in (band * band, known.astype(np.float32) / np.float32(disk.sum()))
    )
    floor = _LEAST_ENERGY * max(float(np.percentile(local, 95)), 1e-9)
    seen = np.clip(share, min(least for least, _ in shares), 1)
    strength = 1 / np.sqrt(np.maximum(local, floor * seen) * np.sqrt(seen))
    return [np.asarray(strength * ((share > least) & (share <= most)), np.float32) for least, most in shares]


def band_passed(density: Array, low: float, high: float) -> Array:
    """Take the difference of two blurs of what is known, and 0 where nothing is."""
    known = np.isfinite(density)
    weight = None if known.all() else known.astype(np.float32)
    filled = np.where(known, density, np.float32(0))
    band = blurred(filled, low, weight) - blurred(filled, high, weight)
    return band if weight is None else band * weight
