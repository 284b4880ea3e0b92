"""How far a result agrees with its input and with other results: maps, and the numbers that go with them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_microsr.core.progress import Progress
from napari_microsr.core.sampling import choose_blocks
from napari_microsr.errors import InputError
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.normalise import measure
from napari_microsr.superres.reduction import Reduction

if TYPE_CHECKING:
    from napari_microsr.core.sink import ZarrSink
    from napari_microsr.superres.run import UpscaleRun

Array = NDArray[Any]
#: Input pixels that the numbers are taken from; smaller images are measured whole.
SAMPLE_PX = 1_000_000
_CUBIC_REACH = 2


def consistency_map(result: Array, image: Array, reduction: Reduction) -> NDArray[np.float32]:
    """Return how far a result, reduced again, lies from the image that it was made from.

    Zero does not prove a result: detail that the reduction removes, true or invented, leaves no trace.

    Parameters
    ----------
    result : ndarray, shape (f * H, f * W[, C])
        Beyond its edges the outermost pixels are repeated.
    image : ndarray, shape (H, W[, C])
        In the same intensities.
    reduction : Reduction
        What the model undoes; f is its factor, or 1 on the same grid.

    Returns
    -------
    ndarray, shape (H, W[, C]), float32
        In the image's intensities; positive where the result shows more than the image.

    Raises
    ------
    InputError
        If the shapes do not go together.
    """
    factor = 1 if reduction.same_grid else reduction.factor
    if result.shape != (factor * image.shape[0], factor * image.shape[1], *image.shape[2:]):
        raise InputError(
            f"A result of {result.shape} is not {factor} times an image of {image.shape}.",
            "Give the result with the image that it was made from.",
        )
    fine, low = (np.moveaxis(np.atleast_3d(a), 2, 0) for a in (result, image))
    # Where the result stays on the grid, that of the reduction may end beyond the image.
    over = [-side % reduction.grid_px for side in image.shape[:2]]
    rim = factor * reduction.reach_px
    fine = np.pad(fine, ((0, 0), *((rim, rim + factor * more) for more in over)), mode="edge")
    reduced = _reduced(fine, reduction)[:, : image.shape[0], : image.shape[1]]
    difference: NDArray[np.float32] = reduced - low.astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(difference, 0, 2).reshape(image.shape))


def _reduced(fine: Array, reduction: Reduction) -> NDArray[np.float32]:
    """Reduce (C, Y, X), which has the reduction's reach around it."""
    with torch.inference_mode():
        low: NDArray[np.float32] = reduction(torch.from_numpy(fine.astype(np.float32))[None])[0].numpy()
    return low


def note_evidence(run: "UpscaleRun", sinks: "Sequence[ZarrSink]", progress: Progress) -> dict[str, Any]:
    """Measure the filled stores on a sample, keep the numbers in each, and warn where they are bad.

    Returns
    -------
    dict
        "consistency": `rms` in the image's intensities and `rms_percent` of its intensity range, with
        `baseline_rms` of bicubic magnification (or of the input itself, for a restoring model) beside it.
        "disagreement", where it was asked for: `rms` and `rms_percent`.
    """
    stores = dict(zip(run.job.contents, sinks, strict=True))
    evidence: dict[str, Any] = {}
    if run.reduction is not None:
        evidence["consistency"] = _consistency(run, stores["result"], run.reduction)
    if "disagreement" in stores:
        evidence["disagreement"] = {
            **_numbers(run, _sampled(run, stores["disagreement"])),
            "with": run.compared,
        }
    for sink in sinks:
        sink.note("evidence", evidence)
    if (warning := _doubt(run, evidence)) is not None:
        progress.warn(warning)
    return evidence


def _doubt(run: "UpscaleRun", evidence: dict[str, Any]) -> str | None:
    """Warn of a result that strays further from its input than plain magnification does."""
    found = evidence.get("consistency")
    if found is None:
        return None
    # A network that is told the noise takes it away, and so strays by as much.
    span = max(np.subtract(run.normalisation.high, run.normalisation.low))
    noise = 0.0 if run.quality is None else run.quality.noise * float(span)
    rounding = 0.5 if run.source.dtype.kind in "ui" else 0.0
    if found["rms"] <= 1.1 * float(np.hypot(found["baseline_rms"], noise)) + rounding:
        return None
    return (
        f"Reduced again, the result lies {found['rms']:.3g} grey levels (rms) from its input, further than "
        f"{found['baseline']} ({found['baseline_rms']:.3g}): it shows what the input does not, or the input "
        "is not what the model was trained on."
    )


def _consistency(run: "UpscaleRun", result: "ZarrSink", reduction: Reduction) -> dict[str, Any]:
    """Compare the stored result, and plain magnification, with the input."""
    factor, reach, grid = run.plan.factor, reduction.reach_px, reduction.grid_px
    plain = Bicubic(factor=factor) if factor > 1 else torch.nn.Identity()
    strayed: list[tuple[int, Array]] = []
    base: list[tuple[int, Array]] = []
    for channel, plane, y, x in _blocks(run):
        # Whole cells of the reduction's grid, of which only those pixels count that lie in the image.
        y, x = (slice(s.start - s.start % grid, s.stop + -s.stop % grid) for s in (y, x))
        height, width = min(y.stop, run.plan.height) - y.start, min(x.stop, run.plan.width) - x.start
        rim = reach + _CUBIC_REACH
        low = _source(run, plane, _wide(y, rim, 1), _wide(x, rim, 1)).astype(np.float32)
        image = low[:, rim : rim + height, rim : rim + width]
        cut = slice(factor * _CUBIC_REACH, -factor * _CUBIC_REACH)
        enlarged = plain(torch.from_numpy(low)[None])[0, :, cut, cut].numpy()
        fine = _stored(result, plane, _wide(y, reach, factor), _wide(x, reach, factor))
        for pixels, differences in ((fine, strayed), (enlarged, base)):
            differences.append((channel, _reduced(pixels, reduction)[:, :height, :width] - image))
    return {
        **_numbers(run, strayed),
        "baseline": "bicubic magnification" if factor > 1 else "the input itself",
        "baseline_rms": _numbers(run, base)["rms"],
        "reduction": str(reduction),
    }


def _numbers(run: "UpscaleRun", blocks: Iterable[tuple[int, Array]]) -> dict[str, float]:
    """Return the root mean square over blocks of differences, in intensities and in percent of the range."""
    squares: dict[int, float] = defaultdict(float)
    counts: dict[int, int] = defaultdict(int)
    for channel, block in blocks:
        values = block[np.isfinite(block)].astype(np.float64)
        squares[channel] += float(np.square(values).sum())
        counts[channel] += values.size
    total = max(sum(counts.values()), 1)
    spans = _spans(run)
    shares = sum(squares[channel] / spans[channel] ** 2 for channel in squares)
    return {"rms": (sum(squares.values()) / total) ** 0.5, "rms_percent": 100 * (shares / total) ** 0.5}


def _spans(run: "UpscaleRun") -> list[float]:
    """Intensity range of each channel."""
    known = run.normalisation
    if run.card.normalisation == "identity":
        known = measure(run.source, "range" if run.source.rgb else "percentile")
    return [high - low for low, high in zip(known.low, known.high, strict=True)]


def _blocks(run: "UpscaleRun") -> Iterator[tuple[int, int, slice, slice]]:
    """Choose channel, plane and place of the blocks that stand for the image."""
    channels = [run.source.channel_of(plane) for plane in range(run.source.n_planes)]
    for plane, y, x in choose_blocks(channels, run.plan.height, run.plan.width, SAMPLE_PX):
        yield channels[plane], plane, y, x


def _sampled(run: "UpscaleRun", sink: "ZarrSink") -> Iterator[tuple[int, Array]]:
    factor = run.plan.factor
    for channel, plane, y, x in _blocks(run):
        yield channel, _stored(sink, plane, _wide(y, 0, factor), _wide(x, 0, factor))


def _wide(span: slice, reach: int, factor: int) -> slice:
    return slice(factor * (span.start - reach), factor * (span.stop + reach))


def _stored(sink: "ZarrSink", plane: int, y: slice, x: slice) -> Array:
    """Read (C, Y, X) of an open store; beyond its edges the outermost pixels are repeated."""
    level, layout = sink.store.levels[0], sink.layout
    height, width = layout.sizes()[0]
    (rows, above), (cols, beside) = _clipped(y, height), _clipped(x, width)
    block = np.asarray(level[layout.index(plane, rows, cols)])
    return np.pad(block.reshape(-1, *block.shape[-2:]), ((0, 0), above, beside), mode="edge")


def _source(run: "UpscaleRun", plane: int, y: slice, x: slice) -> Array:
    """Read (C, Y, X) of the input, likewise."""
    (rows, above), (cols, beside) = _clipped(y, run.plan.height), _clipped(x, run.plan.width)
    return np.pad(run.source.read(plane, rows, cols), ((0, 0), above, beside), mode="edge")


def _clipped(span: slice, size: int) -> tuple[slice, tuple[int, int]]:
    """Return the part of a span inside an image, and how many pixels lack before and after it."""
    first, last = max(span.start, 0), min(span.stop, size)
    return slice(first, last), (first - span.start, span.stop - last)
