"""A bar chart of figures as a picture, drawn with Pillow: one panel per figure, one bar per image."""

import math
from collections.abc import Collection, Mapping

from PIL import Image, ImageDraw, ImageFont

from napari_microsr.superres.metrics import FIGURES

Rows = Mapping[str, Mapping[str, float]]

#: Bars of results, and of what they have to be better than.
RESULT, BASELINE = "#2f7ebc", "#a9b2bd"
_INK, _FAINT, _PAPER = "#1d2329", "#6b747e", "#ffffff"
# Twice the size that it is looked at, for sharp screens.
_FONT_PX, _BAR_PX, _GAP_PX, _PANEL_PX, _PAD_PX = 24, 30, 12, 520, 28
_COLUMNS = 2


def bar_chart(figures: Rows, results: Collection[str]) -> Image.Image:
    """Draw figures.

    Parameters
    ----------
    figures : mapping
        Of each image the values of `metrics.FIGURES`.
    results : collection of str
        Names of the images that are judged; the others are drawn paler.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    shown = [key for key in FIGURES if any(math.isfinite(row[key]) for row in figures.values())]
    font, small = ImageFont.load_default(_FONT_PX), ImageFont.load_default(_FONT_PX - 4)
    label_px = math.ceil(max((font.getlength(name) for name in figures), default=0))
    panel = label_px + _PANEL_PX, (len(figures) + 3) * (_BAR_PX + _GAP_PX) + _PAD_PX
    rows = -(-len(shown) // _COLUMNS)
    size = _COLUMNS * panel[0] + _PAD_PX * (_COLUMNS + 1), max(rows, 1) * panel[1] + _PAD_PX
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    for number, key in enumerate(shown):
        left = _PAD_PX + number % _COLUMNS * (panel[0] + _PAD_PX)
        top = _PAD_PX + number // _COLUMNS * panel[1]
        figure = FIGURES[key]
        draw.text((left, top), figure.title, _INK, font)
        draw.text((left, top + _BAR_PX), f"{figure.better} is better", _FAINT, small)
        values = {name: row[key] for name, row in figures.items()}
        _bars(draw, values, key, results, (left, top + 2 * (_BAR_PX + _GAP_PX)), label_px, font)
    return picture


def _bars(
    draw: ImageDraw.ImageDraw,
    values: Mapping[str, float],
    key: str,
    results: Collection[str],
    corner: tuple[int, int],
    label_px: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Draw one bar per value, from 0, or from below the smallest where all are close together."""
    from napari_microsr.superres.report import as_text

    finite = [value for value in values.values() if math.isfinite(value)]
    start, stop = span(finite)
    left, top = corner
    room = _PANEL_PX - 150
    for name, value in values.items():
        draw.text((left + label_px, top + _BAR_PX // 2), name, _INK, font, anchor="rm")
        begin = left + label_px + 12
        share = (min(value, stop) - start) / (stop - start) if not math.isnan(value) else 0.0
        end = begin + max(round(room * share), 2)
        if not math.isnan(value):
            draw.rectangle((begin, top, end, top + _BAR_PX), RESULT if name in results else BASELINE)
        draw.text((end + 8, top + _BAR_PX // 2), as_text(key, value), _INK, font, anchor="lm")
        top += _BAR_PX + _GAP_PX
    if start:
        begin = left + label_px + 12
        draw.text((begin, top), f"bars begin at {start:.3g}", _FAINT, font)


def span(values: Collection[float]) -> tuple[float, float]:
    """Return where bars begin and end: at 0, but where all values lie within a quarter of the largest."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high <= 0:
        return 0.0, 1.0
    if low > 0.75 * high and high > low:
        step = 10 ** math.floor(math.log10(high - low))
        return max(math.floor((low - (high - low) / 2) / step) * step, 0.0), high
    return 0.0, high
