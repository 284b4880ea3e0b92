"""Nuclei for the segmentation study: fields with labels, ways to segment them, and how labels are matched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage as ndi
from skimage import filters, measure, morphology, segmentation
from skimage.color import rgb2hed
from skimage.feature import peak_local_max

#: Side of a simulated field, and of the parts that a large field is cut into.
FIELD_PX = 256
SUFFIXES = {".png", ".tif", ".tiff", ".webp"}
#: Objects of less are no nuclei, in pixels of the full size.
SMALLEST_PX2 = 20.0
#: Smoothing before the threshold, and the least distance of two nuclei's middles, in pixels of the full size.
SMOOTH_PX, APART_PX = 1.0, 5.0
#: Window of the threshold of stained tissue, whose ground is uneven.
LOCAL_PX = 101


@dataclass(frozen=True)
class Field:
    """A sharp image (H, W[, 3]) uint8 and its labels (H, W), None where nobody drew them.

    Fields of one `group` come from one image: they are no independent samples.
    """

    image: np.ndarray
    labels: np.ndarray | None
    group: str


def simulated_fields(count: int) -> Iterator[Field]:
    """Yield fields of small, often touching, textured nuclei, blurred by a microscope and with its noise."""
    for number in range(count):
        rng = np.random.default_rng(number)
        labels = np.zeros((FIELD_PX, FIELD_PX), np.int32)
        light = np.zeros(labels.shape)
        y, x = np.mgrid[:FIELD_PX, :FIELD_PX]
        clusters = rng.uniform(0, FIELD_PX, (12, 2))
        for label in range(1, 111):
            centre = clusters[rng.integers(12)] + rng.normal(0, 22, 2)
            a, b = rng.uniform(4, 8), rng.uniform(4, 8)
            turn = rng.uniform(0, np.pi)
            dy, dx = y - centre[0], x - centre[1]
            u, v = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
            inside = (u / a) ** 2 + (v / b) ** 2 < 1
            # Nuclei touch, but lie on each other only a little: else there is no true label.
            if inside.sum() < 40 or (labels[inside] > 0).mean() > 0.1:
                continue
            inside &= labels == 0
            labels[inside] = label
            light[inside] = rng.uniform(60, 160)
        texture = ndi.gaussian_filter(rng.normal(size=labels.shape), 1.2)
        light *= 1 + 0.15 * texture / texture.std()
        photons = rng.poisson(4 * (ndi.gaussian_filter(light, 0.9).clip(0) + 8)) / 4
        yield Field(
            (photons + rng.normal(0, 1, labels.shape)).clip(0, 255).astype(np.uint8), labels, str(number)
        )


def folder_fields(images: Path, masks: Path | None, limit: int) -> Iterator[Field]:
    """Yield the images of a folder with their labels, large ones in parts."""
    paths = sorted(p for p in images.iterdir() if p.suffix.lower() in SUFFIXES)
    for path in paths[:: max(1, len(paths) // limit)]:
        image = _eight_bit(np.asarray(Image.open(path)))
        labels = None if masks is None else np.asarray(Image.open(masks / path.name)).astype(np.int32)
        height, width = (max(side // FIELD_PX, 1) for side in image.shape[:2])
        # Without labels, one part stands for an image.
        parts = [(0, 0)] if labels is None else np.ndindex(height, width)
        for row, col in parts:
            window = tuple(slice(place * FIELD_PX, (place + 1) * FIELD_PX) for place in (row, col))
            yield Field(_even(image[window]), None if labels is None else _even(labels[window]), path.stem)


def _even(image: np.ndarray) -> np.ndarray:
    return image[: image.shape[0] // 4 * 4, : image.shape[1] // 4 * 4]


def _eight_bit(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image[:, :, :3] if image.ndim == 3 else image
    low, high = np.percentile(image, (0.1, 99.9))
    return (255 * (image - low) / max(high - low, 1)).clip(0, 255).astype(np.uint8)


def segment(image: np.ndarray, px: float = 1.0) -> np.ndarray:
    """Return labels of nuclei: threshold, then watershed on the distance from the ground.

    `px` is the size of a pixel in pixels of the full size. Of colours the stain of the nuclei is taken
    (Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001) 291).
    """
    if image.ndim == 3:
        plane = filters.gaussian(rgb2hed(image)[..., 0], SMOOTH_PX / px)
        window = round(LOCAL_PX / px) // 2 * 2 + 1
        above = plane > np.maximum(filters.threshold_local(plane, window), filters.threshold_otsu(plane))
    else:
        plane = filters.gaussian(image.astype(float), SMOOTH_PX / px)
        above = plane > filters.threshold_otsu(plane)
    above = ndi.binary_fill_holes(morphology.remove_small_objects(above, max_size=SMALLEST_PX2 / px**2))
    distance = filters.gaussian(ndi.distance_transform_edt(above), 1 / px)
    middles = peak_local_max(
        distance, min_distance=max(round(APART_PX / px), 1), labels=measure.label(above), exclude_border=False
    )
    markers = np.zeros(above.shape, np.int32)
    markers[tuple(middles.T)] = np.arange(1, len(middles) + 1)
    return np.asarray(segmentation.watershed(-distance, markers, mask=above))


def star_convex() -> Callable[[np.ndarray, float], np.ndarray]:
    """Return StarDist's pretrained models as a segmenter (Schmidt et al., MICCAI 2018)."""
    from csbdeep.utils import normalize
    from stardist.models import StarDist2D

    models = {}

    def segmenter(image: np.ndarray, px: float = 1.0) -> np.ndarray:
        name = "2D_versatile_he" if image.ndim == 3 else "2D_versatile_fluo"
        model = models.setdefault(name, None) or StarDist2D.from_pretrained(name)
        models[name] = model
        return np.asarray(model.predict_instances(normalize(image), scale=px)[0])

    return segmenter


def matched(found: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return F1 at an IoU above one half, and the mean over labelled nuclei of their best IoU.

    Above one half, an object can overlap with only one other so far: the matching is unique.
    """
    overlaps = np.zeros((labels.max() + 1, found.max() + 1))
    np.add.at(overlaps, (labels.ravel(), found.ravel()), 1)
    true_px, found_px = overlaps.sum(1)[1:], overlaps.sum(0)[1:]
    kept_true, kept_found = true_px > 0, found_px > 0
    both = overlaps[1:, 1:][np.ix_(kept_true, kept_found)]
    union = true_px[kept_true][:, None] + found_px[kept_found][None] - both
    iou = both / union
    if iou.size == 0:
        return (1.0, 1.0) if not kept_true.any() and not kept_found.any() else (0.0, 0.0)
    f1 = 2 * float((iou > 0.5).sum()) / sum(iou.shape)
    return f1, float(iou.max(axis=1).mean())
