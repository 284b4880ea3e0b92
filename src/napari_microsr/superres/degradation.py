"""Stacks of degradations, drawn at random within ranges, and the text that a job and a form hold.

    blur(0.3..1.2) > bicubic|area > poisson(50..2000)? > noise(0..4)

Steps follow each other; `|` separates those of which one is drawn, `a..b` is a range that a parameter is
drawn from, and `?` takes the step half of the time (`?0.2`: one time in five).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import exp, hypot, lcm, log

import numpy as np

from napari_microsr.errors import JobError
from napari_microsr.superres.degrade import (
    KINDS,
    Kind,
    Pixels,
    add_noise,
    as_type,
    blur,
    count_photons,
    down,
    down_up,
)

_NUMBER = r"\d+(?:\.\d+)?"
_OPTION = re.compile(rf"([a-z-]+)\s*(?:\(\s*({_NUMBER})\s*(?:\.\.\s*({_NUMBER})\s*)?\))?")
_STEP = re.compile(rf"(.*?)\s*(?:(\?)\s*({_NUMBER})?)?", re.DOTALL)


@dataclass(frozen=True)
class Option:
    """A kind of step and the range of its parameter; (0, 0) where the job's factor is meant."""

    name: str
    smallest: float = 0.0
    largest: float = 0.0

    @property
    def kind(self) -> Kind:
        """What it does."""
        return KINDS[self.name]

    def value(self, factor: int) -> float:
        """Return the largest parameter, the factor where there is none."""
        return self.largest or (factor if self.kind.filter_ is not None else 0.0)

    def draw(self, factor: int, rng: np.random.Generator) -> float:
        """Draw the parameter; a fixed one draws nothing."""
        if self.smallest == self.largest:
            return self.value(factor)
        if self.kind.logarithmic:
            return exp(rng.uniform(log(self.smallest), log(self.largest)))
        return float(rng.uniform(self.smallest, self.largest))

    def __str__(self) -> str:
        if not self.largest:
            return self.name if self.kind.filter_ is not None else f"{self.name}(0)"
        return f"{self.name}({span(self.smallest, self.largest, '..')})"


@dataclass(frozen=True)
class Step:
    """One step: the options of which one is drawn, and how often it is done at all."""

    options: tuple[Option, ...]
    share: float = 1.0

    @property
    def reduces(self) -> bool:
        """Whether the image becomes smaller."""
        return any(option.kind.reduces for option in self.options)

    def draw(self, rng: np.random.Generator) -> Option | None:
        """Draw the option, None where the step is left out; without choice nothing is drawn."""
        if self.share < 1 and rng.random() >= self.share:
            return None
        return self.options[int(rng.integers(len(self.options))) if len(self.options) > 1 else 0]

    def __str__(self) -> str:
        chance = "" if self.share == 1 else "?" if self.share == 0.5 else f"?{self.share:g}"
        return "|".join(map(str, self.options)) + chance


@dataclass(frozen=True, eq=False)
class Degraded:
    """A low-resolution image, and what it went through beside the resampling.

    Attributes
    ----------
    low : ndarray, (h, w[, C])
        Of the sharp image's type.
    blur_px : float
        Standard deviation of the Gaussian blur, in pixels of `low`.
    noise : float
        Standard deviation of the noise in network units, at the mean intensity of `low`.
    """

    low: Pixels
    blur_px: float
    noise: float


@dataclass(frozen=True)
class Degradation:
    """A stack of steps."""

    steps: tuple[Step, ...]

    @property
    def same_grid(self) -> bool:
        """Whether the result has the input's size (restoration) or is smaller by the factor."""
        return not any(step.reduces for step in self.steps)

    @property
    def plain(self) -> bool:
        """Whether it is a single resampling, which needs no floats."""
        return len(self.steps) == 1 and all(o.kind.filter_ is not None for o in self.steps[0].options)

    def shrink(self, factor: int) -> int:
        """Return by how much the result is smaller than the input."""
        return 1 if self.same_grid else factor

    def period_px(self, factor: int) -> int:
        """Return the grid of sharp pixels on which images must begin and end."""
        values = [o.value(factor) for step in self.steps for o in step.options if o.kind.filter_ is not None]
        return lcm(*(Fraction(value).limit_denominator(100).numerator for value in values))

    def reach_px(self, factor: int) -> int:
        """Return the sharp pixels around a patch that it depends on."""
        reach, scale = 0, 1
        for step in self.steps:
            reach += scale * max(option.kind.reach_px(option.value(factor)) for option in step.options)
            scale *= factor if step.reduces else 1
        return reach

    def degrade(
        self,
        image: Pixels,
        factor: int,
        rng: np.random.Generator | None = None,
        zero: float = 0.0,
        one: float = 255.0,
    ) -> Degraded:
        """Degrade an image.

        Parameters
        ----------
        image : ndarray, (H, W[, C])
            H and W are multiples of `period_px`.
        factor : int
            Of the reduction.
        rng : numpy.random.Generator, optional
            Draws options, parameters and noise; a fixed one if not given.
        zero, one : float
            Intensities that are black and white: the unit of noise is 1/255 of what lies between.

        Raises
        ------
        InputError
            If the image does not have such a size.
        """
        rng = rng or np.random.default_rng(0)
        if self.plain:
            option = self.steps[0].draw(rng)
            assert option is not None
            return Degraded(_resampled(image, option, option.draw(factor, rng)), 0.0, 0.0)
        x = ((image.astype(np.float64) - zero) * (255 / (one - zero))).astype(np.float32)
        blurs, noises, scale = [0.0], [0.0], 1
        for step in self.steps:
            option = step.draw(rng)
            if option is None:
                continue
            value = option.draw(factor, rng)
            if option.kind.apply is None:
                x, scale = _resampled(x, option, value), scale * (factor if option.kind.reduces else 1)
                continue
            x = option.kind.apply(x, value, rng) if value else x
            rest = self.shrink(factor) / scale  # by how much the image still becomes smaller
            if option.kind.apply is blur:
                blurs.append(value / rest)
            elif option.kind.apply in (add_noise, count_photons):
                noises.append(_noise(option.kind, value, x) / rest)
        low = as_type(x.astype(np.float64) * ((one - zero) / 255) + zero, image.dtype)
        return Degraded(low, hypot(*blurs), hypot(*noises))

    def apply(self, image: Pixels, factor: int) -> Pixels:
        """Return an image degraded by one draw that is always the same."""
        return self.degrade(image, factor).low

    def describe(self, factor: int) -> str:
        """Return what a model card says."""
        parts = []
        for step in self.steps:
            texts = []
            for option in step.options:
                text = option.kind.summary.format(span(option.smallest, option.largest, "-"))
                texts.append(
                    text if option.kind.filter_ is None else _with_factor(text, option.value(factor))
                )
            share = "" if step.share == 1 else f" ({step.share:.0%} of the images)"
            parts.append(" or ".join(texts) + share)
        return ", ".join(parts)

    def __str__(self) -> str:
        return " > ".join(map(str, self.steps))


def span(smallest: float, largest: float, sign: str) -> str:
    """Write a range."""
    return f"{smallest:g}" if smallest == largest else f"{smallest:g}{sign}{largest:g}"


def _with_factor(text: str, factor: float) -> str:
    """Name a resampling with its factor: xN stands for whole ones, which evidence can undo."""
    return f"x{factor:g} {text}" if factor == int(factor) else f"{text} by {factor:g}"


def _resampled(image: Pixels, option: Option, value: float) -> Pixels:
    assert option.kind.filter_ is not None
    return (down_up if option.kind.back else down)(image, value, option.kind.filter_)


def _noise(kind: Kind, value: float, image: Pixels) -> float:
    """Return the standard deviation in network units that a kind of noise has in an image on average."""
    if kind.apply is add_noise:
        return value / 255
    return float(np.sqrt(max(float(image.mean()), 0.0) / 255 / value))


@cache
def parse_degradation(text: str) -> Degradation:
    """Read a degradation from its text.

    Raises
    ------
    JobError
        That names the part which is wrong.
    """
    degradation = Degradation(tuple(_parse_step(part.strip()) for part in text.split(">")))
    reducing = [str(step) for step in degradation.steps if step.reduces]
    if len(reducing) > 1:
        raise JobError(
            f"The degradation reduces the image twice ({' and '.join(reducing)}).", "Keep one reduction."
        )
    return degradation


def _parse_step(text: str) -> Step:
    match = _STEP.fullmatch(text)
    body, mark, share = match.groups() if match else (text, None, None)
    step = Step(
        tuple(_parse_option(part.strip()) for part in body.split("|")),
        1.0 if mark is None else float(share or 0.5),
    )
    if not 0 < step.share <= 1:
        raise JobError(f"The share in '{text}' is not between 0 and 1.", "Write for example 'noise(2)?0.3'.")
    if step.reduces and (step.share < 1 or not all(option.kind.reduces for option in step.options)):
        raise JobError(
            f"The step '{text}' reduces the image only at times.",
            "Make it always, and choose between reductions only.",
        )
    return step


def _parse_option(text: str) -> Option:
    match = _OPTION.fullmatch(text)
    if not match or match[1] not in KINDS:
        raise JobError(
            f"There is no degradation named {text!r}.",
            f"Known are {', '.join(KINDS)}; combine them as in 'blur(0.3..1.2) > bicubic > noise(0..4)'.",
        )
    name, kind = match[1], KINDS[match[1]]
    if match[2] is None:
        if kind.filter_ is None:
            raise JobError(f"The degradation '{name}' wants its {kind.parameter}.", f"Write '{name}(1..2)'.")
        return Option(name)
    smallest, largest = float(match[2]), float(match[3] or match[2])
    if not kind.parameter:
        raise JobError(f"The degradation '{name}' has no parameter.", f"Write '{name}'; factor is the job's.")
    if not kind.smallest <= smallest <= largest <= kind.largest:
        raise JobError(
            f"The {kind.parameter} in '{text}' is wrong.",
            f"Give a number or a range, the smaller one first, from {kind.smallest:g} to {kind.largest:g}.",
        )
    if kind.back and smallest != largest:
        raise JobError(f"The factor in '{text}' is a range.", "Give one factor, or several with '|'.")
    return Option(name, smallest, largest)
