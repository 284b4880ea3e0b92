"""Whether an image suits a model; told before a run, so without torch."""

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.weights import ModelCard, list_cards
from napari_microsr.errors import InputError
from napari_microsr.superres.image_quality import Quality

#: In the card of a network that was trained on pairs from a microscope.
TAKEN = "pairs that were taken"
#: Blur in pixels and noise (share of the range) that a model for clean images bears: about what their
#: estimate is off, and where such a model has lost half of its gain.
BEARS_BLUR_PX, BEARS_NOISE = 0.7, 0.015
#: Share of pixels at the largest value above which single channels count as overexposed.
SATURATED = 0.01
#: Of 256 grey levels; an RGB image that spans fewer is darker or paler than any that was trained on.
SMALLEST_SPAN = 64
SAMPLE_PX = 500_000


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
            "Choose a model for single channels, such as fluorescence-x2, or convert the image to RGB.",
        )
    if card.channels == 1 and source.rgb:
        raise InputError(
            f"The model {card.id} works on single channels, and {source.name} is an RGB image.",
            "Choose a model for RGB, or split the image into channels.",
        )


def mismatches(card: ModelCard, source: ImageSource, quality: Quality | None = None) -> list[str]:
    """Say where an image lies outside what a model was trained on, one sentence each.

    Parameters
    ----------
    card : ModelCard
        Of the model.
    source : ImageSource
        The image; only its metadata are looked at.
    quality : Quality, optional
        Its blur and noise, where they are known.
    """
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
    if quality is not None and (fault := _fault(card, quality)):
        messages.append(
            f"This image looks {fault} ({quality}), and {card.id} was trained on sharp and clean ones: "
            f"expect little gain. {_advice(card, source, quality)}"
        )
    return messages


def intensity_faults(card: ModelCard, source: ImageSource) -> list[str]:
    """Say where an image's intensities are such as no model can do well on, from a sample of its pixels."""
    if card.normalisation == "identity" or source.dtype.kind not in "ui":
        return []
    values = np.concatenate([block.ravel() for _, block in source.sample(SAMPLE_PX)])
    if source.rgb:
        low, high = np.percentile(values, (0.1, 99.9))
        if source.dtype == np.uint8 and high - low < SMALLEST_SPAN:
            return [
                f"This image spans only {high - low:.0f} of 256 grey levels: {card.id} was trained on "
                "images of full contrast."
            ]
        return []
    # A camera's limit may lie below the type's: it is a largest value that very many pixels share.
    share = float(np.mean(values == values.max())) if values.max() > values.min() else 0.0
    if share > SATURATED:
        return [
            f"{100 * share:.2g} % of the pixels have the largest value {values.max()}: the image is "
            "overexposed, and what is lost there cannot come back."
        ]
    return []


def recommended(source: ImageSource, quality: Quality, factor: int | None = None) -> ModelCard | None:
    """Return the installed model that suits an image's kind, blur and noise best, None if there is none.

    Parameters
    ----------
    source : ImageSource
        The image.
    quality : Quality
        Its blur and noise.
    factor : int, optional
        Magnification wanted; without it the smallest one of more than 1.
    """
    domains = ("histology", "any") if source.rgb else ("fluorescence", "any")
    clean = quality.blur_px <= BEARS_BLUR_PX and quality.noise <= BEARS_NOISE

    def order(card: ModelCard) -> tuple[bool, bool, bool, int, float]:
        overall = card.metrics[0] if card.metrics else None
        beside = overall.baselines.get("bicubic") if overall else None
        gain = overall.model.psnr_db - beside.psnr_db if overall and beside else 0.0
        unfit = _fault(card, quality) is not None
        return unfit, card.domain == "any", card.conditioned == clean, card.factor, -gain

    cards = [
        card
        for card in list_cards()
        if card.task == "super-resolution"
        and card.domain in domains
        and card.channels in (None, source.channels)
        and (card.factor > 1 if factor is None else card.factor == factor)
    ]
    return min(cards, key=order, default=None)


def _fault(card: ModelCard, quality: Quality) -> str | None:
    """Say what of an image a model was not trained for."""
    if card.conditioned or card.degradation is None or card.task != "super-resolution":
        return None
    if TAKEN in card.degradation:
        return None  # they have the blur and noise of their microscope
    faults = {
        "blurred": quality.blur_px > BEARS_BLUR_PX and "blur" not in card.degradation,
        "noisy": quality.noise > BEARS_NOISE and "noise" not in card.degradation,
    }
    return " and ".join(word for word, found in faults.items() if found) or None


def _advice(card: ModelCard, source: ImageSource, quality: Quality) -> str:
    """Name a model that is better for such an image, or say that there is none."""
    better = recommended(source, quality, card.factor)
    if better is None or better.degradation is None:
        return "No installed model was trained on such images."
    return f"Use {better.id}."
