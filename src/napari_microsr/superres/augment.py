"""Changes of a patch that leave its truth a truth: turns, stain, gamma, gain and offset."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_microsr.superres.degrade import Pixels, as_type


@dataclass(frozen=True)
class Augmentation:
    """What is varied; 0 leaves a thing alone.

    Attributes
    ----------
    turn : bool
        Rotate by quarters and mirror.
    stain : float
        Largest relative change of each stain of an RGB image (haematoxylin, eosin, DAB).
    gamma : float
        Largest change of the logarithm of a gamma.
    gain : float
        Largest relative change of the intensities' range, and of its place, in network units.
    """

    turn: bool = True
    stain: float = 0.0
    gamma: float = 0.0
    gain: float = 0.0

    def turned(self, images: Sequence[Pixels], rng: np.random.Generator) -> list[Pixels]:
        """Turn and mirror images alike, at random."""
        if not self.turn:
            return [np.ascontiguousarray(image) for image in images]
        quarters, mirror = int(rng.integers(4)), rng.random() < 0.5
        turned = [np.rot90(image, quarters) for image in images]
        return [np.ascontiguousarray(image[:, ::-1] if mirror else image) for image in turned]

    def coloured(
        self, images: Sequence[Pixels], zero: float, one: float, rng: np.random.Generator
    ) -> list[Pixels]:
        """Change stains and gamma of images alike; `zero` and `one` are black and white."""
        changed = list(images)
        if self.stain and images[0].ndim == 3:
            factors = rng.uniform(1 - self.stain, 1 + self.stain, 3)
            changed = [jitter_stain(image, factors) for image in changed]
        if self.gamma:
            power = float(np.exp(rng.uniform(-self.gamma, self.gamma)))
            changed = [apply_gamma(image, power, zero, one) for image in changed]
        return changed

    def rescaled(self, zero: float, one: float, rng: np.random.Generator) -> tuple[float, float]:
        """Vary the intensities that become 0 and 1, as their measurement on another image would."""
        if not self.gain:
            return zero, one
        span = (one - zero) * (1 + rng.uniform(-self.gain, self.gain))
        start = zero + span * rng.uniform(-self.gain, self.gain) / 2
        return start, start + span


def jitter_stain(image: Pixels, factors: ArrayLike) -> Pixels:
    """Multiply the amounts of haematoxylin, eosin and DAB of an 8-bit RGB image by three factors.

    Colour deconvolution after Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291; as an
    augmentation: Tellez et al., IEEE Trans. Med. Imaging 37 (2018) 2126.
    """
    from skimage.color import hed_from_rgb, rgb_from_hed

    density = -np.log10(np.maximum(image.astype(np.float32), 1) / 255)
    mixed = density @ (hed_from_rgb * np.asarray(factors)[None] @ rgb_from_hed).astype(np.float32)
    return as_type(255 * 10**-mixed, image.dtype)


def apply_gamma(image: Pixels, power: float, zero: float, one: float) -> Pixels:
    """Raise intensities between `zero` and `one` to a power; what lies below `zero` stays."""
    units = (image.astype(np.float32) - zero) / (one - zero)
    units = np.where(units > 0, np.maximum(units, 0) ** power, units)
    return as_type(units * (one - zero) + zero, image.dtype)
