"""Whether an image suits a model; told before a run, so without torch."""

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.weights import ModelCard
from napari_microsr.errors import InputError


def check_channels(card: ModelCard, source: ImageSource) -> None:
    """Refuse an image whose kind of channels a model cannot work on.

    Raises
    ------
    InputError
        If the model is for RGB and the image is not, or the other way round.
    """
    if card.channels == 3 and not source.rgb:
        raise InputError(
            f"The model {card.id} works on RGB colour images, and {source.name} has separate channels.",
            "Choose a model for single channels, such as bicubic, or convert the image to RGB.",
        )
    if card.channels == 1 and source.rgb:
        raise InputError(
            f"The model {card.id} works on single channels, and {source.name} is an RGB image.",
            "Choose a model for RGB, or split the image into channels.",
        )


def mismatches(card: ModelCard, source: ImageSource) -> list[str]:
    """Say where an image lies outside what a model was trained on, one sentence each."""
    messages = []
    size, known = source.placement.pixel_size_um, card.pixel_size_range_um
    if size is not None and known is not None and not known[0] <= size[0] <= known[1]:
        messages.append(
            f"{card.id} was trained at {known[0]:g} to {known[1]:g} µm per pixel, and this image has "
            f"{size[0]:.3g} µm: expect less from it."
        )
    if card.dtype is not None and source.dtype != np.dtype(card.dtype):
        messages.append(
            f"{card.id} was trained on {card.dtype} images, and this one is {source.dtype}: its intensities "
            "are normalised by percentiles."
        )
    return messages
