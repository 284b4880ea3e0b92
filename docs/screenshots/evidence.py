"""Make the figure of the evidence maps from the real widget.

    QT_QPA_PLATFORM=offscreen python docs/screenshots/evidence.py [FOLDER]

Super-resolves a part of the shipped slide with both maps and writes evidence.jpg to FOLDER (docs/images): a
detail of the layers in their own colours, and below it what the consistency map shows of planted inventions.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MODEL = "histology-x2"
ROWS, COLS = slice(1600, 1984), slice(900, 1284)
DETAIL = (slice(150, 262), slice(150, 262))
#: Where inventions are painted into the result, in pixels of the detail of the input.
BLOB, STRIPES = (36, 36), (76, 76)
PLANTED_PX = 14
SHOWN_PX = 336
CAPTION_PX = 26


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "images")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "napari.yaml")
        os.environ["MICROSR_HOME"] = scratch
        show(folder, Path(scratch))


def show(folder, scratch):
    from napari_microsr.core.weights import find
    from napari_microsr.superres.evidence import consistency_map
    from napari_microsr.superres.reduction import reduction_of

    image, layers, message = run(scratch)
    print(message)
    result = finest(layers["result"])
    planted = plant(result)
    strayed = consistency_map(planted, image, reduction_of(find(MODEL)[0])).mean(axis=2)
    maps = layers["consistency"]
    rows = [
        {
            "slide, 20x": picture(image, 1),
            MODEL: picture(result, 2),
            "consistency map": picture(coloured(maps, finest(maps)), 1),
            "disagreement with bicubic": picture(
                coloured(layers["disagreement"], finest(layers["disagreement"])), 2
            ),
        },
        {
            "planted: a blob and fine stripes": picture(planted, 2),
            "its consistency map": picture(coloured(maps, strayed), 1),
        },
    ]
    width = len(rows[0]) * (SHOWN_PX + 8) - 8
    sheet = Image.new("RGB", (width, 2 * (SHOWN_PX + CAPTION_PX + 8) - 8), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for row, panels in enumerate(rows):
        for col, (caption, panel) in enumerate(panels.items()):
            left, top = col * (SHOWN_PX + 8), row * (SHOWN_PX + CAPTION_PX + 8)
            draw.text((left + 4, top + 4), caption, fill="black", font=font)
            sheet.paste(panel, (left, top + CAPTION_PX))
    sheet.save(folder / "evidence.jpg", quality=90)


def run(scratch):
    """Run the widget on a part of the slide; return the part, the layers by content, and the message."""
    import napari
    from napari.components import ViewerModel

    from napari_microsr.widgets.samples import slide
    from napari_microsr.widgets.upscale import UpscaleWidget

    application = napari.qt.get_qapp()
    (data, arguments, _), *_ = slide()
    part = np.ascontiguousarray(data[ROWS, COLS])
    viewer = ViewerModel()
    viewer.add_image(part, **arguments)
    widget = UpscaleWidget(viewer)
    widget.models.put(MODEL)
    widget.output.choose_folder(str(scratch))
    widget.form.editors["consistency"].put(True)
    widget.advanced.editors["compare_with"].put("bicubic")
    widget.run()
    while widget.task is not None:
        application.processEvents()
        time.sleep(0.01)
    assert "Done" in widget.message.text(), widget.message.text()
    made = viewer.layers[1:]
    return part, {it.metadata["microsr"]["content"]: it for it in made}, widget.message.text()


def plant(result):
    """Paint a blob that is no nucleus, and stripes one pixel wide."""
    planted = result.astype(int)
    for centre, stripes in ((BLOB, False), (STRIPES, True)):
        rows, cols = (
            slice(2 * (d.start + c), 2 * (d.start + c + PLANTED_PX))
            for d, c in zip(DETAIL, centre, strict=True)
        )
        y, x = np.mgrid[-1 : 1 : 2j * PLANTED_PX, -1 : 1 : 2j * PLANTED_PX]
        shape = (-1.0) ** np.arange(2 * PLANTED_PX) * np.ones_like(x) if stripes else (x**2 + y**2 < 1) * -1.0
        planted[rows, cols] += np.rint(30 * shape[..., None]).astype(int)
    return planted.clip(0, 255).astype(np.uint8)


def finest(layer):
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def coloured(layer, values):
    """Show values as the layer would."""
    low, high = layer.contrast_limits
    return (255 * layer.colormap.map(((values - low) / (high - low)).clip(0, 1).ravel())[:, :3]).reshape(
        *values.shape, 3
    )


def picture(image, factor):
    detail = image[tuple(slice(factor * d.start, factor * d.stop) for d in DETAIL)]
    return Image.fromarray(detail.astype(np.uint8)).resize((SHOWN_PX,) * 2, Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
