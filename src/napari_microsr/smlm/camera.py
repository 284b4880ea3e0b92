"""The camera: counts to photons and back, with its noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_microsr.errors import InputError

#: A number, or a map that broadcasts with frames of the shape (n, H, W).
Map = float | NDArray[np.floating[Any]]
Frames = NDArray[np.float32]

MAX_COUNT = 65535


@dataclass(frozen=True)
class Camera:
    """What turns photons into counts.

    Electrons are Poisson(qe * photons); an EM register multiplies them with a gamma-distributed gain
    (excess noise 2); read noise is added; counts are electrons / e_per_adu + offset, rounded to uint16.

    Attributes
    ----------
    offset : float or numpy.ndarray
        Counts of a dark pixel [ADU].
    e_per_adu : float or numpy.ndarray
        Electrons, after the EM register, per count.
    em_gain : float or numpy.ndarray
        Mean gain of the EM register; 1 is a camera without one.
    qe : float or numpy.ndarray
        Electrons per photon, 0 to 1. With 1, photons are detected photons.
    read_noise_e : float or numpy.ndarray
        Standard deviation of the read noise [electrons, after the EM register].

    Raises
    ------
    InputError
        If a number cannot be one of a camera.
    """

    offset: Map = 100.0
    e_per_adu: Map = 1.0
    em_gain: Map = 1.0
    qe: Map = 1.0
    read_noise_e: Map = 0.0

    def __post_init__(self) -> None:
        faults = [
            name
            for name, valid in (
                ("offset", np.isfinite(self.offset)),
                ("e_per_adu", np.isfinite(self.e_per_adu) & (np.asarray(self.e_per_adu) > 0)),
                ("em_gain", np.isfinite(self.em_gain) & (np.asarray(self.em_gain) >= 1)),
                ("qe", (np.asarray(self.qe) > 0) & (np.asarray(self.qe) <= 1)),
                ("read_noise_e", np.isfinite(self.read_noise_e) & (np.asarray(self.read_noise_e) >= 0)),
            )
            if not np.all(valid)
        ]
        if faults:
            raise InputError(
                f"The camera has an impossible {', '.join(faults)}.",
                "Give e_per_adu > 0, em_gain >= 1, 0 < qe <= 1 and read_noise_e >= 0, as on its data sheet.",
            )

    @property
    def photons_per_adu(self) -> Map:
        """Photons that one count above the offset stands for."""
        return self.e_per_adu / (np.asarray(self.em_gain) * self.qe)

    @property
    def noise_factor(self) -> Map:
        """Variance per photon of the mean [photons]: 1/qe, and twice that with an EM register."""
        excess: Map = np.where(np.asarray(self.em_gain) > 1, 2.0, 1.0) / self.qe
        return excess

    @property
    def read_variance(self) -> Map:
        """Variance of the read noise [photons squared]."""
        variance: Map = (self.read_noise_e / (np.asarray(self.em_gain) * self.qe)) ** 2
        return variance

    def to_photons(self, counts: NDArray[Any]) -> Frames:
        """Return photons: what the camera shows, free of offset and gain.

        A number whose variance equals its mean, as maximum likelihood wants it, is
        `photons / noise_factor + read_variance / noise_factor**2`.

        Parameters
        ----------
        counts : numpy.ndarray, shape (..., H, W)
            Of any real type.

        Returns
        -------
        numpy.ndarray of float32
            Of the same shape. Read noise makes some negative.
        """
        offset, gain = (np.asarray(value, np.float32) for value in (self.offset, self.photons_per_adu))
        photons: Frames = (counts.astype(np.float32) - offset) * gain
        return photons

    def expose(self, rng: np.random.Generator, photons: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
        """Return the counts of one exposure, with noise.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of the noise.
        photons : numpy.ndarray, shape (..., H, W)
            Expected photons per pixel.

        Returns
        -------
        numpy.ndarray of uint16
            Saturated at 0 and 65535.
        """
        electrons = rng.poisson(self.qe * photons).astype(np.float64)
        gain = np.broadcast_to(self.em_gain, electrons.shape)
        multiplied = (gain > 1) & (electrons > 0)
        if multiplied.any():
            electrons[multiplied] = rng.gamma(electrons[multiplied], gain[multiplied])
        if np.any(self.read_noise_e):
            electrons += self.read_noise_e * rng.standard_normal(electrons.shape, np.float32)
        counts = np.rint(electrons / self.e_per_adu + self.offset)
        return np.clip(counts, 0, MAX_COUNT).astype(np.uint16)


#: Typical cameras. The numbers of the own one are on its data sheet or in the metadata of its files.
PRESETS: dict[str, Camera] = {
    "photons": Camera(offset=0.0),
    "challenge": Camera(offset=100.0),
    "scmos": Camera(offset=100.0, e_per_adu=0.46, read_noise_e=1.6),
    "emccd": Camera(offset=100.0, e_per_adu=15.0, em_gain=300.0, read_noise_e=60.0),
}
