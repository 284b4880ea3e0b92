"""How good the image is that DSIR's network makes of frames that it was not trained on."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_microsr.smlm.datasets import DsirDataset
from napari_microsr.smlm.evaluation import DENSITIES_UM2, VALIDATION_SEED
from napari_microsr.smlm.networks.dsir import FACTOR, DsirAutoencoder
from napari_microsr.smlm.simulate import Scene

#: Frames per density.
FRAMES = 24
#: Image and truth are blurred by this much before they are correlated: nobody hits every fine pixel.
BLUR_CAMERA_PX = 0.25
#: Light farther from every molecule than this belongs to none.
ASTRAY_CAMERA_PX = 1.0

Image = NDArray[np.float32]


def image_figures(network: DsirAutoencoder, scene: Scene, side: int) -> dict[str, float]:
    """Return the figures of a card by name, from frames of `side` camera pixels with scenes like this."""
    named: dict[str, float] = {}
    for number, density in enumerate(DENSITIES_UM2):
        frames = DsirDataset(replace(scene, density_um2=(density, density)), side, VALIDATION_SEED + number)
        correlation, astray = judge_images(_drawn(network, frames))
        named[f"correlation with the truth at {density:g} per µm²"] = round(correlation, 2)
        named[f"share of light beyond a pixel of any molecule at {density:g} per µm²"] = round(astray, 3)
    return {name: value for name, value in named.items() if np.isfinite(value)}


def judge_images(pairs: Iterable[tuple[Image, Image]]) -> tuple[float, float]:
    """Compare images with the truth.

    Parameters
    ----------
    pairs : iterable of (numpy.ndarray, numpy.ndarray)
        Image and truth, (H, W) each, fine pixels; the truth is positive where a molecule is.

    Returns
    -------
    correlation : float
        Pearson's, of all pixels of all pairs, image and truth blurred.
    astray : float
        Share of all light that is far from every molecule; NaN without light.
    """
    images: list[Image] = []
    truths: list[Image] = []
    light = far = 0.0
    for image, truth in pairs:
        blurred = (gaussian_filter(plane, BLUR_CAMERA_PX * FACTOR) for plane in (image, truth))
        for plane, kept in zip(blurred, (images, truths), strict=True):
            kept.append(plane.ravel())
        empty = truth <= 0
        distance = distance_transform_edt(empty) if not empty.all() else np.full(truth.shape, np.inf)
        light += float(image.sum())
        far += float(image[distance > ASTRAY_CAMERA_PX * FACTOR].sum())
    with np.errstate(invalid="ignore"):  # NaN for an image of one value
        correlation = float(np.corrcoef(np.concatenate(images), np.concatenate(truths))[0, 1])
    return correlation, far / light if light else float("nan")


def _drawn(network: DsirAutoencoder, frames: DsirDataset) -> Iterable[tuple[Image, Image]]:
    network.eval()
    for index in range(FRAMES):
        frame, truth = frames[index]
        with torch.no_grad():
            image = network(frame[None])[0, 0]
        yield image.numpy(), truth[0].numpy()
