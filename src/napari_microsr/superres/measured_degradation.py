"""The degradation that lies between registered pairs: blur, noise, gain and offset of the low images.

The model is low = gain * (blur applied to the shrunk high image) + offset + noise. The cross-spectrum of the
two, divided by the power of the shrunk high image, is gain times the transfer function of the blur: the noise
of the low image, which knows nothing of the high one, averages out (the least-squares estimate of a linear
filter; Bendat and Piersol, Random Data, 4th ed., chapter 6). A Gaussian is fitted to it over rings of spatial
frequency, and what is left of the low image's power is the noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError
from napari_microsr.superres.degrade import Pixels, bicubic_down
from napari_microsr.superres.samples import to_units
from napari_microsr.superres.sources import TrainingImage

#: Side of the squares whose spectra are averaged, in low pixels, and how many of a pair at most.
SQUARE_PX, LARGEST_PX, MOST_SQUARES = 32, 128, 64
#: Spatial frequencies (cycles per low pixel) between which is fitted; below is shading, above aliasing.
LOWEST, HIGHEST = 0.03, 0.4
#: Above this frequency what the model leaves counts as noise.
NOISE_FROM = 0.25
#: Standard deviations of the blur that are tried, in low pixels.
BLURS = np.arange(0.0, 6.0, 0.01)
#: Blurs and noise of a pair below these are none.
LEAST_BLUR_PX, LEAST_NOISE = 0.1, 0.4


@dataclass(frozen=True)
class PairDegradation:
    """What was measured on one pair.

    Attributes
    ----------
    name : str
        Of the pair.
    blur_px : float
        Standard deviation of the blur in low pixels, beyond the reduction's own.
    noise : float
        Standard deviation of the noise in 1/255 of the image's range.
    gain, offset : float
        low = gain * high + offset, in intensities.
    unexplained : float
        Share of the low image's contrast that neither blur nor gain explain; noise is part of it.
    """

    name: str
    blur_px: float
    noise: float
    gain: float
    offset: float
    unexplained: float


@dataclass(frozen=True)
class MeasuredDegradation:
    """What was measured on all pairs.

    Attributes
    ----------
    factor : int
        Of the pairs.
    pairs : tuple of PairDegradation
        One by one.
    """

    factor: int
    pairs: tuple[PairDegradation, ...]

    @property
    def text(self) -> str:
        """The degradation to make such low images of sharp ones; its ranges are those of the pairs.

        Gain and offset are left out: a network should keep the intensities of its input.
        """
        blurs = [pair.blur_px * self.factor for pair in self.pairs]
        steps = [_step("blur", blurs, LEAST_BLUR_PX)]
        steps += ["bicubic"] if self.factor > 1 else []
        steps += [_step("noise", [pair.noise for pair in self.pairs], LEAST_NOISE)]
        return " > ".join(step for step in steps if step) or "blur(0)"


def measure_degradation(images: Sequence[TrainingImage]) -> MeasuredDegradation:
    """Measure what lies between the low and the high images of pairs.

    Parameters
    ----------
    images : sequence of TrainingImage
        Pairs of one factor; registered ones are measured where they fit.

    Raises
    ------
    InputError
        If they are no pairs, or too small or too different to be compared.
    """
    if any(image.low is None for image in images):
        raise InputError("These are no pairs of low and high images.", "Give registered pairs.")
    factors = sorted({image.factor for image in images})
    if len(factors) > 1:
        raise InputError(
            f"The pairs are of the factors {', '.join(map(str, factors))}.", "Measure those of one factor."
        )
    return MeasuredDegradation(factors[0], tuple(_measure_pair(image) for image in images))


def _measure_pair(image: TrainingImage) -> PairDegradation:
    assert image.low is not None
    zero, one = image.low.zero, image.low.one
    squares = [tuple(to_units(part, zero, one) for part in pair) for pair in _squares(image)]
    spectra = [_spectra(low, high, image.factor) for low, high in squares]
    cross, power, whole, count = (np.sum(parts, axis=0) for parts in zip(*spectra, strict=True))
    frequency, window_power = _rings(len(squares[0][0]))[1:]
    fitted = (frequency >= LOWEST) & (frequency <= HIGHEST) & (power > 0)
    if not power[fitted].sum() > 0:
        raise InputError(f"The pair {image.name} shows nothing.", "Leave it out.")
    blur_px, gain = _fit_gaussian(frequency[fitted], cross[fitted] / power[fitted], power[fitted])
    if gain <= 0:
        raise InputError(
            f"The low and the high image of {image.name} do not show the same.",
            "Register them, or leave it out.",
        )
    transfer = gain * np.exp(-2 * (np.pi * blur_px * frequency) ** 2)
    rest = np.maximum(whole - 2 * transfer * cross + transfer**2 * power, 0)
    high_rings = frequency >= NOISE_FROM
    density = rest[high_rings].sum() / count[high_rings].sum() / window_power
    means = [np.mean([pair[n].mean() for pair in squares]) for n in (0, 1)]
    offset = (means[0] - gain * means[1]) * (one - zero) + zero * (1 - gain)
    unexplained = float(rest[fitted].sum() / whole[fitted].sum())
    return PairDegradation(
        image.name, blur_px, 255 * float(np.sqrt(density)), float(gain), float(offset), unexplained
    )


def _squares(image: TrainingImage) -> list[tuple[Pixels, Pixels]]:
    """Cut squares of a pair, all of one size, at equal distances."""
    assert image.low is not None
    side = image.place_px or min(LARGEST_PX, *image.low.shape)
    if side < SQUARE_PX // 2:
        raise InputError(
            f"The pair {image.name} is compared in squares of {side} low pixels, too few for a spectrum.",
            f"Give pairs of at least {SQUARE_PX // 2} pixels.",
        )
    if image.places is not None:
        places = [(int(y), int(x)) for y, x in image.places]
    else:
        rows, cols = (range(0, size - side + 1, side) for size in image.low.shape)
        places = [(y, x) for y in rows for x in cols]
    chosen = places[:: -(-len(places) // MOST_SQUARES)]
    f = image.factor
    return [
        (
            image.low.read(slice(y, y + side), slice(x, x + side)),
            image.high.read(slice(y * f, (y + side) * f), slice(x * f, (x + side) * f)),
        )
        for y, x in chosen
    ]


def _spectra(low: Pixels, high: Pixels, factor: int) -> tuple[NDArray[Any], ...]:
    """Return sums over rings: cross-spectrum, power of the shrunk high image, power of the low one, count."""
    shrunk = bicubic_down(high, factor) if factor > 1 else high
    ring, frequency, _ = _rings(len(low))
    soft, sharp = (_transform(np.atleast_3d(part)) for part in (low, shrunk))
    product = (soft * sharp.conj()).sum(axis=2)
    # What is left of a shift is a slope of the phase; taken out, since no blur is in it.
    product *= np.exp(-1j * _phase(product))
    terms = (product.real, (abs(sharp) ** 2).sum(axis=2), (abs(soft) ** 2).sum(axis=2))
    counts = np.full(ring.shape, soft.shape[2], float)
    return tuple(np.bincount(ring.ravel(), t.ravel(), len(frequency)) for t in (*terms, counts))


def _transform(image: Pixels) -> NDArray[np.complex128]:
    window = np.hanning(len(image) + 2)[1:-1]
    taper = (window[:, None] * window)[..., None]
    # The mean is that under the window, so that none of it leaks into the rings.
    flat = image.astype(np.float64) - (image * taper).sum(axis=(0, 1)) / taper.sum()
    return np.asarray(np.fft.fft2(flat * taper, axes=(0, 1)))


def _rings(side: int) -> tuple[NDArray[np.int64], NDArray[np.float64], float]:
    """Return the ring of each frequency, the mean frequency of each ring, and the power of the window."""
    axis = np.fft.fftfreq(side)
    radius = np.hypot(axis[:, None], axis)
    ring = np.rint(radius * side).astype(np.int64)
    frequency = np.bincount(ring.ravel(), radius.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    window = np.hanning(side + 2)[1:-1]
    return ring, frequency, float((window**2).sum() ** 2)


def _phase(product: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Return the plane of phases that a shift below a pixel makes, fitted to the low frequencies.

    Weighted least squares on the phase of the cross-spectrum (Foroosh et al., IEEE Trans. Image Process. 11
    (2002) 188).
    """
    axis = np.fft.fftfreq(len(product))
    fy, fx = np.meshgrid(axis, axis, indexing="ij")
    near = np.hypot(fy, fx) < NOISE_FROM
    weight = np.where(near, abs(product), 0)
    angle = np.angle(product)
    moments = np.array([[(weight * a * b).sum() for b in (fy, fx)] for a in (fy, fx)])
    right = np.array([(weight * a * angle).sum() for a in (fy, fx)])
    slope = np.linalg.lstsq(moments, right, rcond=None)[0]
    plane: NDArray[np.float64] = fy * slope[0] + fx * slope[1]
    return plane


def _fit_gaussian(frequency: NDArray[Any], ratio: NDArray[Any], weight: NDArray[Any]) -> tuple[float, float]:
    """Fit gain * exp(-2 (pi sigma f)^2): the gain is linear, sigma is tried in small steps."""
    shapes = np.exp(-2 * (np.pi * BLURS[:, None] * frequency) ** 2)
    gains = (weight * ratio * shapes).sum(axis=1) / (weight * shapes**2).sum(axis=1)
    errors = (weight * (ratio - gains[:, None] * shapes) ** 2).sum(axis=1)
    best = int(errors.argmin())
    return float(BLURS[best]), float(gains[best])


def _step(name: str, values: Sequence[float], least: float) -> str:
    """Write a step whose range holds the middle four fifths of the values."""
    low, high = np.percentile(values, (10, 90))
    if high < least:
        return ""
    texts = sorted({f"{max(value, 0):.2g}" for value in (low, high)}, key=float)
    return f"{name}({'..'.join(texts)})"
