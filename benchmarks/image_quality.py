"""Fit the constants of the blur and noise estimate, or check them: true against estimated.

    python benchmarks/image_quality.py RGB_FOLDER SINGLE_CHANNEL_FOLDER [--fit] [--images 80]

Each folder holds the folders `train` and `val` of sharp images. An image is blurred by a Gaussian, reduced by
2 with an antialiased cubic kernel, and given white noise; the estimate sees that. With --fit the constants
are fitted on `train` and written; the tables are of `val`.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _common import print_table
from PIL import Image
from scipy.ndimage import gaussian_filter

from napari_microsr.core.image import ImageSource
from napari_microsr.superres.image_quality import (
    CONSTANTS,
    NOISE_FLOOR,
    Quality,
    estimate,
    features,
    polynomial,
)
from napari_microsr.superres.normalise import measure

BLURS_PX = (0.0, 0.5, 1.0, 1.5, 2.0)
NOISES = (0.0, 0.01, 0.03, 0.06)
FACTOR = 2
DRAWS = 8
#: Grey levels that the range of a single channel is spread over.
SINGLE_SPAN = 128
#: Weight of the constants' squares against the fit.
RIDGE = 3e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rgb", type=Path)
    parser.add_argument("single", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--images", type=int, default=80)
    options = parser.parse_args()
    folders = {"rgb": options.rgb, "single": options.single}
    if options.fit:
        fitted = {kind: fit(folder / "train", kind, options.images) for kind, folder in folders.items()}
        CONSTANTS.write_text(json.dumps(fitted, indent=1) + "\n", encoding="utf-8")
    for kind, folder in folders.items():
        check(list(images(folder / "val", kind, options.images // 2)), kind)


def images(folder: Path, kind: str, count: int) -> Iterator[np.ndarray]:
    """Yield up to `count` images in network units, (C, H, W), evenly chosen by name."""
    paths = sorted(folder.iterdir())
    for path in paths[:: max(1, len(paths) // count)]:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB") if kind == "rgb" else image, np.float32)
        if kind == "rgb":
            yield pixels.transpose(2, 0, 1) / 255
        else:
            low, high = np.percentile(pixels, (0.1, 99.9))
            yield ((pixels - low) / max(high - low, 1.0))[None]


def degraded(image: np.ndarray, quality: Quality, rng: np.random.Generator) -> ImageSource:
    """Blur, reduce and add noise, as 8-bit colours or as real numbers."""
    size = (image.shape[2] // FACTOR, image.shape[1] // FACTOR)
    whole = image[:, : size[1] * FACTOR, : size[0] * FACTOR]
    blurred = [gaussian_filter(p, quality.blur_px * FACTOR) if quality.blur_px else p for p in whole]
    low = np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in blurred])
    low = low + quality.noise * rng.normal(size=low.shape)
    # A camera counts: 8 bits of colour, and a fluorescence image that fills half of 8 bits.
    if len(low) == 3:
        return ImageSource.from_array((255 * low).round().clip(0, 255).astype(np.uint8), axes="cyx", rgb=True)
    return ImageSource.from_array((SINGLE_SPAN * low[0] + 64).round().clip(0).astype(np.uint16), axes="yx")


def widening(source: ImageSource) -> float:
    """Return the intensity range of a degraded image over that of the sharp one, which noise makes wider."""
    if source.rgb:
        return 1.0
    known = measure(source, "percentile")
    return (known.high[0] - known.low[0]) / SINGLE_SPAN


def fit(folder: Path, kind: str, count: int) -> dict[str, list[float]]:
    """Fit the polynomial by ridge regression on images of known blur and noise."""
    rng = np.random.default_rng(0)
    rows, truths = [], []
    for image in images(folder, kind, count):
        for _ in range(DRAWS):
            quality = Quality(
                0.0 if rng.random() < 0.3 else rng.uniform(0.2, 2.5),
                0.0 if rng.random() < 0.3 else 10 ** rng.uniform(-2.4, -1),
            )
            source = degraded(image, quality, rng)
            found = features(source)
            if found is not None:
                rows.append(found)
                noise = quality.noise / widening(source)
                truths.append((quality.blur_px, np.log10(noise + NOISE_FLOOR)))
    values = np.array(rows)
    mean, spread = values.mean(0), values.std(0)
    terms = np.stack([polynomial(row) for row in (values - mean) / spread])
    weights = RIDGE * len(terms) * np.diag([0.0] + [1.0] * (terms.shape[1] - 1))
    blur_px, log_noise = np.linalg.solve(terms.T @ terms + weights, terms.T @ np.array(truths)).T
    table = {"mean": mean, "spread": spread, "blur_px": blur_px, "log_noise": log_noise}
    return {name: [float(f"{value:.5g}") for value in row] for name, row in table.items()}


def check(sharp: list[np.ndarray], kind: str) -> None:
    """Print means and spreads of the estimates for each true blur and noise."""
    rng = np.random.default_rng(1)
    rows, errors = [], []
    for blur_px in BLURS_PX:
        for noise in NOISES:
            true = Quality(blur_px, noise)
            sources = [degraded(image, true, rng) for image in sharp]
            found = [(q, widening(s)) for s in sources if (q := estimate(s)) is not None]
            pairs = np.array([(q.blur_px, q.noise * wider) for q, wider in found])
            errors.append(pairs - (blur_px, noise))
            (blur, found_noise), (blur_sd, noise_sd) = pairs.mean(0), pairs.std(0)
            rows.append(
                [blur_px, f"{blur:.2f} ± {blur_sd:.2f}", noise, f"{found_noise:.3f} ± {noise_sd:.3f}"]
            )
    head = ["true blur px", "estimated", "true noise", "estimated"]
    print_table(f"{kind}: mean ± standard deviation over {len(sharp)} images not fitted on", head, rows)
    rms = np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0))
    print(f"\nroot mean square error: blur {rms[0]:.2f} px, noise {rms[1]:.4f}")


if __name__ == "__main__":
    main()
