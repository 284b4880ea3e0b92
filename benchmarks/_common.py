"""What the benchmarks share: an endless image, a table, a note on the machine."""

import os
import platform
from collections.abc import Sequence

import numpy as np

from napari_microsr.core.image import ImageSource
from napari_microsr.core.samples import SLIDE


class EndlessSlide:
    """An RGB image of any size, the shipped slide region repeated; nothing of it is held but one copy.

    Attributes
    ----------
    shape : tuple of int
        (height, width, 3).
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, side_px: int) -> None:
        import tifffile

        # A part that is mostly tissue: empty background would flatter the compression.
        self._patch = tifffile.imread(SLIDE)[1500:2524, 800:1824]
        self.shape = (side_px, side_px, 3)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        y, x, c = index
        rows = np.arange(y.start, y.stop) % self._patch.shape[0]
        cols = np.arange(x.start, x.stop) % self._patch.shape[1]
        return self._patch[np.ix_(rows, cols)][..., c]


def endless_source(side_px: int) -> ImageSource:
    """Return the endless slide as an image."""
    return ImageSource.from_array(EndlessSlide(side_px), axes="yxc", rgb=True, name=f"{side_px} px")


def tiled_slide(side_px: int) -> ImageSource:
    """Return the same image held in memory."""
    whole = EndlessSlide(side_px)[slice(0, side_px), slice(0, side_px), slice(0, 3)]
    return ImageSource.from_array(whole, axes="yxc", rgb=True, name=f"{side_px} px")


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n{title}\n")
    print("| " + " | ".join(head) + " |")
    print("|" + "-|" * len(head))
    for row in rows:
        print("| " + " | ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in row) + " |")


def machine() -> str:
    """Say on what the figures were taken."""
    import torch

    tuned = "tuned by MALLOC_*" if any(k.startswith("MALLOC_") for k in os.environ) else "default"
    return (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {'/'.join(platform.libc_ver())} allocator {tuned}"
    )
