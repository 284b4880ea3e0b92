"""What a first user sees: the shipped slide region super-resolved, and how good that is."""

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from napari_microsr.core.image import ImageSource, open_image
from napari_microsr.core.progress import Progress
from napari_microsr.core.samples import SLIDE
from napari_microsr.superres.degrade import bicubic_down
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.metrics import crop_rim, psnr, ssim

Pixels = NDArray[np.uint8]

MODEL = "histology-x2"
# A part of the slide with nuclei and fibres for the pictures, and the part that is reduced and restored.
DETAIL = (slice(1980, 2140), slice(1120, 1360))
TRIAL = (slice(1600, 2112), slice(900, 1412))
CAPTION_PX = 26


def run_demo(folder: Path, progress: Progress) -> dict[str, Any]:
    """Super-resolve the shipped slide region, and a reduced part of it against the truth.

    Parameters
    ----------
    folder : pathlib.Path
        Where the stores and pictures go; a former demo there is replaced.
    progress : Progress
        Told of each tile.

    Returns
    -------
    dict
        `outputs`: the files written; `psnr_db`, `ssim`: of the model and of bicubic on the reduced part.
    """
    slide = open_image(SLIDE)
    truth = _pixels(slide.read(0, *TRIAL))
    low = bicubic_down(truth, 2)
    trial = ImageSource.from_array(low, rgb=True, name="reduced part")
    slide_x2 = _enlarge(slide, MODEL, folder / f"slide-{MODEL}.ome.zarr", progress)
    trials = {
        model: _enlarge(trial, model, folder / f"reduced-{model}.ome.zarr", progress)
        for model in ("bicubic", MODEL)
    }
    bicubic, restored = map(_finest, trials.values())
    figures = {name: _figures(image, truth) for name, image in ((MODEL, restored), ("bicubic", bicubic))}

    y, x = DETAIL
    detail = _pixels(slide.read(0, y, x))
    enlarged = _finest(slide_x2, slice(2 * y.start, 2 * y.stop), slice(2 * x.start, 2 * x.stop))
    before_after = folder / "before-after.png"
    _picture({"slide, 20x": _nearest(detail, 4), f"{MODEL}": _nearest(enlarged, 2)}).save(before_after)
    evidence = folder / "evidence.png"
    y, x = slice(150, 310), slice(150, 310)
    columns = {"reduced 2x": _nearest(low, 2), "bicubic": bicubic, MODEL: restored, "truth": truth}
    captions = {name: f"{name} {figures[name]['psnr_db']:.2f} dB" for name in figures}
    _picture({captions.get(name, name): _nearest(im[y, x], 2) for name, im in columns.items()}).save(evidence)
    return {
        "task": "demo",
        "outputs": [*map(str, (slide_x2, *trials.values(), before_after, evidence))],
        "figures": figures,
    }


def _enlarge(source: ImageSource, model: str, output: Path, progress: Progress) -> Path:
    job = UpscaleJob(source=str(SLIDE), output=output, model=model, restart=True)
    return upscale(job, source=source, progress=progress)[0]


def _pixels(block: NDArray[Any]) -> Pixels:
    return np.ascontiguousarray(block.transpose(1, 2, 0))


def _finest(store: Path, y: slice = slice(None), x: slice = slice(None)) -> Pixels:
    return _pixels(np.asarray(zarr.open_array(store / "0", mode="r")[:, y, x]))


def _figures(image: Pixels, truth: Pixels) -> dict[str, float]:
    inside, reference = crop_rim(image, 4), crop_rim(truth, 4)
    return {"psnr_db": round(psnr(inside, reference), 2), "ssim": round(ssim(inside, reference), 4)}


def _nearest(image: Pixels, factor: int) -> Pixels:
    return image.repeat(factor, 0).repeat(factor, 1)


def _picture(columns: dict[str, Pixels]) -> Image.Image:
    """Put images of one height side by side, each below its caption."""
    gap = 8
    width = sum(image.shape[1] + gap for image in columns.values()) - gap
    height = max(image.shape[0] for image in columns.values()) + CAPTION_PX
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(16)
    x = 0
    for caption, image in columns.items():
        draw.text((x + 4, 4), caption, fill="black", font=font)
        picture.paste(Image.fromarray(image), (x, CAPTION_PX))
        x += image.shape[1] + gap
    return picture
