"""The overviews, and which of them to try first for a field: where most of its features agree on a place."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import log

from napari_microsr.core.image import ImageSource
from napari_microsr.registration import features
from napari_microsr.registration.candidates import Bounds, finest_level
from napari_microsr.registration.inputs import Input
from napari_microsr.registration.job import RegisterOptions
from napari_microsr.registration.objectives import guess_ratios
from napari_microsr.registration.place import Field, Overview

#: Features of a field that vote, the votes that no wrong overview gets, and those that it may get by chance.
VOTERS, SURE_VOTES, FEW_VOTES = 600, 10, 4
#: How many of the usual ratios are searched where none has sure votes.
MOST_GUESSES = 3
_TOLERANCE_PX = 2.5


@dataclass(frozen=True, eq=False)
class Ground:
    """An overview that fields are laid on.

    Attributes
    ----------
    item : Input
        Where it came from.
    source : ImageSource
        The image.
    um : float or None
        Size of a pixel.
    ready : Overview
        Prepared for the search. An unknown pixel size counts as 1 there: lengths are in its pixels then.
    """

    item: Input
    source: ImageSource
    um: float | None
    ready: Overview

    @property
    def unit(self) -> float:
        """The pixel size, or 1."""
        return self.um or 1.0

    @property
    def shape_yx(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.source.height, self.source.width

    @classmethod
    def of(cls, item: Input, options: RegisterOptions, check: Callable[[], None]) -> "Ground":
        """Open an overview and prepare it."""
        source = item.open()
        um = item.size_um(source)
        return cls(item, source, um, Overview.prepare(source, um or 1.0, options.contrast, check))


@dataclass(frozen=True, eq=False)
class Attempt:
    """An overview and a ratio to try.

    Attributes
    ----------
    votes : int
        Features of the field that agree on a place there; 0 where none were compared.
    ground : Ground
        The overview.
    ratio : float
        Overview pixels per field pixel.
    """

    votes: int
    ground: Ground
    ratio: float


class Ballot:
    """The attempts to place one field, the likeliest first.

    Parameters
    ----------
    field, item : Field, Input
        The field.
    options : RegisterOptions
        How to search.
    mirrored : bool or None
        Whether the camera mirrors; None votes both ways.
    learned_um : sequence of float
        Pixel sizes of fields that were placed, for the fields that have none.
    """

    def __init__(
        self,
        field: Field,
        item: Input,
        options: RegisterOptions,
        mirrored: bool | None,
        learned_um: Sequence[float],
    ) -> None:
        self.field, self.item, self.options, self.learned_um = field, item, options, learned_um
        self.hands = (False, True) if mirrored is None else (mirrored,)
        self._features: dict[tuple[int, bool], features.Features] = {}

    def attempts(self, grounds: Sequence[Ground], check: Callable[[], None]) -> Iterator[Attempt]:
        """Yield what to try; an overview with sure votes before the others have been asked."""
        pairs = [(ground, ratio) for ground in grounds for ratio in self._ratios(ground)]
        if len(pairs) == 1 or not features.available():
            yield from (Attempt(0, ground, ratio) for ground, ratio in pairs)
            return
        others = []
        for ground, ratio in pairs:
            check()
            attempt = Attempt(self._vote(ground, ratio), ground, ratio)
            if attempt.votes >= SURE_VOTES:
                yield attempt
            else:
                others.append(attempt)
        others.sort(key=lambda attempt: -attempt.votes)
        guessed = len(pairs) > len(grounds)
        yield from others[: MOST_GUESSES if guessed else None]

    def _ratios(self, ground: Ground) -> list[float]:
        if ground.um and self.field.um and not looks_made_up(ground, self.field, self.options):
            return [self.field.um / ground.um]
        learned = [ground.unit / um for um in self.learned_um]
        return [1 / ratio for ratio in guess_ratios(ground.item, self.item, learned)]

    def _vote(self, ground: Ground, ratio: float) -> int:
        overview, best = ground.ready, 0
        if overview.picture is None:
            return 0
        base = max(1, round(finest_level(self.field.shape_yx, ratio) / ratio))
        picture = self.field.picture(overview.picture.tone, base)
        if picture is None:
            return 0
        factor = picture.factor_near(overview.base / ratio)
        for mirrored in self.hands:
            if (factor, mirrored) not in self._features:
                density = picture.level(factor)[:, :: -1 if mirrored else 1]
                self._features[factor, mirrored] = features.detect(density, factor, VOTERS)
            guess = features.guess(
                features.match(self._features[factor, mirrored], overview.features),
                tolerance=_TOLERANCE_PX * overview.base,
                scales=Bounds(ratio, self.options.max_scale_error, (0.0, 180.0)).scales,
                rotations_deg=(0.0, self.options.max_rotation_deg),
            )
            best = max(best, guess[1] if guess else 0)
        return best


def looks_made_up(ground: Ground, field: Field, options: RegisterOptions) -> bool:
    """Say whether both files name about one pixel size, with which no one would register: a default."""
    given = options.overview_um or options.field_um
    return not given and abs(log((field.um or 1) / (ground.um or 1))) < 0.01
