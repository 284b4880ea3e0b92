"""An overview and a field, ready to be compared."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, sqrt
from typing import Literal

from napari_microsr.core.image import ImageSource
from napari_microsr.registration import features
from napari_microsr.registration.bands import Contrast, Tone, measure_tone, texture
from napari_microsr.registration.features import Features
from napari_microsr.registration.picture import Picture, no_check

# Overview pixels in which features are sought, and where more are needed before the shrink grows beyond 3.
_FEATURE_PX, _MANY_FEATURE_PX = 1_200_000, 12_000_000
_PX_PER_FEATURE, _MOST_FEATURES = 80, 100_000

ContrastChoice = Literal["auto", "absorption", "fluorescence"]


@dataclass(eq=False)
class Overview:
    """An overview, ready for fields to be placed on it. See `prepare`."""

    name: str
    shape_yx: tuple[int, int]
    um: float | None
    picture: Picture | None
    base: int

    @classmethod
    def prepare(
        cls,
        source: ImageSource,
        um: float | None = None,
        contrast: ContrastChoice = "auto",
        check: Callable[[], None] = no_check,
    ) -> "Overview":
        """Shrink an overview and find its features.

        Parameters
        ----------
        source : ImageSource
            The image; it may be larger than memory.
        um : float, optional
            Size of a pixel.
        contrast : str
            See `RegisterJob.contrast`.
        check : callable
            Called between steps; raises to stop.
        """
        tone = measure_tone(source, contrast)
        pixels = source.height * source.width
        base = min(3, ceil(sqrt(pixels / _FEATURE_PX)))
        base = max(base, ceil(sqrt(pixels / _MANY_FEATURE_PX)))
        picture = Picture(source, tone, check) if tone else None
        overview = cls(source.name, (source.height, source.width), um, picture, base)
        if picture is not None:
            picture.level(base)
            if features.available():
                _ = overview.features
        return overview

    @cached_property
    def features(self) -> Features:
        """Features of the whole overview."""
        assert self.picture is not None
        density = self.picture.level(self.base)
        count = min(_MOST_FEATURES, density.size // _PX_PER_FEATURE)
        return features.detect(density, self.base, count)

    @cached_property
    def texture(self) -> tuple[float, float]:
        """Strength of its texture and share of fine detail, see `bands.texture`."""
        assert self.picture is not None
        return texture(self.picture.level(self.base))


@dataclass(eq=False)
class Field:
    """A field, ready to be placed. See `prepare`."""

    name: str
    path: str | None
    source: ImageSource
    um: float | None
    contrast: ContrastChoice
    _pictures: dict[tuple[Contrast, int], Picture | None] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls, source: ImageSource, um: float | None = None, contrast: ContrastChoice = "auto"
    ) -> "Field":
        """Describe a field; its pixels are read when it is placed.

        Parameters
        ----------
        source : ImageSource
            The image.
        um : float, optional
            Size of a pixel.
        contrast : str
            "auto" takes the contrast of the overview that it is placed on.
        """
        path = None if source.path is None else str(source.path)
        return cls(source.name, path, source, um, contrast)

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.source.height, self.source.width

    def picture(self, like: Tone, base: int) -> Picture | None:
        """Return the field as density, kept at the shrink `base` and its multiples; None if it is blank.

        A field narrower than `base` is shrunk to a single row or column.
        """
        base = min(base, *self.shape_yx)
        contrast = like.contrast if self.contrast == "auto" else self.contrast
        if (contrast, base) not in self._pictures:
            tone = measure_tone(self.source, contrast)
            picture = Picture(self.source, tone) if tone else None
            if picture is not None:
                picture.level(base)
            self._pictures[contrast, base] = picture
        return self._pictures[contrast, base]
