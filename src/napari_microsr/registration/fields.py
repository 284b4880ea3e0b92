"""Many fields on many overviews: each on all of them, and the doubtful again with what the others taught."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import log

from napari_microsr.errors import MicroSRError
from napari_microsr.registration.geometry import apply, corners, parts
from napari_microsr.registration.grounds import FEW_VOTES, Ballot, Ground, looks_made_up
from napari_microsr.registration.inputs import Input
from napari_microsr.registration.job import RegisterOptions
from napari_microsr.registration.objectives import Objective, learn
from napari_microsr.registration.parallel import Crew, Shelf
from napari_microsr.registration.place import SURE_SCORE, Field, Prior, Search, place
from napari_microsr.registration.placement import FieldPlacement

Report = Callable[[int, FieldPlacement], None]

#: How closely a field is searched with what is known of its objective, and how closely a doubtful one that
#: was found without that knowledge must agree with it to be believed: by chance one in some thousand does.
NARROW = {"max_rotation_deg": 3.0, "max_scale_error": 0.03}
AGREES_DEG, AGREES_SCALE = 1.0, 0.01
#: Share of the fields of a magnification that must agree for a weak match at another angle to be chance.
STEADY = 0.8
CONTRADICTED = (
    "Only a weak match was found, with another angle or scale than the fields of its objective have:"
    " the field may be of another slide or region."
)
# Pixels of fields from files that are kept between the steps; others are read again.
_KEPT_BYTES = 400_000_000
# Fields that decide whether the camera mirrors and which ratios there are.
_PILOTS = 4
_RANK = {"not_found": 0, "uncertain": 1, "placed": 2}


class Finder:
    """Finds fields one at a time; can be asked from several threads.

    Parameters
    ----------
    items : sequence of Input
        The fields; they are known by their numbers here.
    grounds : sequence of Ground
        The overviews.
    options : RegisterOptions
        How to search.
    crew : Crew
        Whose check is called between steps.
    """

    def __init__(
        self, items: Sequence[Input], grounds: Sequence[Ground], options: RegisterOptions, crew: Crew
    ) -> None:
        self.items, self.grounds, self.options, self.crew = items, grounds, options, crew
        self.search = Search(options.transform, options.max_rotation_deg, options.max_scale_error)
        self.narrow = Search(
            options.transform,
            min(NARROW["max_rotation_deg"], options.max_rotation_deg),
            min(NARROW["max_scale_error"], options.max_scale_error),
        )
        #: Whether the camera mirrors, one answer for all fields; None while it is not known.
        self.mirrored: bool | None = None
        self.learned: list[Objective] = []
        #: Fields that cannot be read.
        self.broken: set[int] = set()
        self.shelf = Shelf(self._prepare, _KEPT_BYTES)

    def find(self, number: int) -> FieldPlacement:
        """Search a field on every overview, until one holds it whole."""
        item = self.items[number]
        try:
            field = self.shelf[number]
            best = nowhere(item, field.shape_yx)
            ballot = Ballot(field, item, self.options, self.mirrored, [one.um for one in self.learned])
            for attempt in ballot.attempts(self.grounds, self.crew.check):
                ground = attempt.ground
                if placed(best) and (attempt.votes < FEW_VOTES or best.overview == ground.item.name):
                    continue
                found = self._place(field, ground, self.search, Prior(attempt.ratio, None, self.mirrored))
                best = better(best, found)
                if placed(found) and found.score > SURE_SCORE and _whole(found, ground):
                    return found
        except MicroSRError as error:
            self.broken.add(number)
            return unseen(item, str(error))
        return best

    def find_again(self, number: int, found: FieldPlacement) -> FieldPlacement:
        """Search a doubtful field with what is known of the objectives; believe one that agrees with them."""
        if found.status == "uncertain" and any(agrees(found, objective) for objective in self.learned):
            return replace(
                found, status="placed", reason="Its scale and angle are those of the other fields."
            )
        best = found
        try:
            for ground in self.grounds:
                for objective in self.learned:
                    if self.may_be(self.shelf[number], ground, objective):
                        prior = Prior(objective.um / ground.unit, objective.rotation_deg, objective.mirrored)
                        best = better(best, self._place(self.shelf[number], ground, self.narrow, prior))
        except MicroSRError as error:
            self.broken.add(number)
            return unseen(self.items[number], str(error))
        if best is found and found.status == "uncertain" and self._contradicted(number):
            return nowhere(self.items[number], found.shape_yx, CONTRADICTED)
        return best

    def _place(self, field: Field, ground: Ground, search: Search, prior: Prior) -> FieldPlacement:
        self.crew.check()
        return place(field, ground.ready, search, prior, self.crew.check)

    def _contradicted(self, number: int) -> bool:
        """Say whether the other fields leave no doubt of the scale and angle that this one must have."""
        field = self.shelf[number]
        own = [one for one in self.learned if any(self.may_be(field, ground, one) for ground in self.grounds)]
        return bool(own) and all(one.share >= STEADY for one in own)

    def may_be(self, field: Field, ground: Ground, objective: Objective) -> bool:
        """Say whether the nominal pixel size allows an objective."""
        if not (ground.um and field.um) or looks_made_up(ground, field, self.options):
            return True
        reach = log(1 + self.options.max_scale_error) + 0.03
        return abs(log(objective.um / field.um)) < reach

    def _prepare(self, number: int) -> tuple[Field, int]:
        item = self.items[number]
        source = item.open()
        size = (
            source.height * source.width * source.channels * source.dtype.itemsize
            if item.source is None
            else 0
        )
        return Field.prepare(source, item.size_um(source), self.options.contrast), size


def find_all(finder: Finder, numbers: Sequence[int], report: Report) -> dict[int, FieldPlacement]:
    """Find fields on the overviews.

    The first few decide for all whether the camera mirrors. Those that stay doubtful are searched again with
    the scale and angle that the placed ones share.

    Parameters
    ----------
    finder : Finder
        Knows the images.
    numbers : sequence of int
        The fields to find.
    report : callable
        Told of each field when it is found, and again when it is found better.

    Raises
    ------
    Cancelled
        If the progress was cancelled.
    """
    found: dict[int, FieldPlacement] = {}

    def keep(number: int, placement: FieldPlacement) -> None:
        if placement is not found.get(number):
            found[number] = placement
            report(number, placement)

    crew, total = finder.crew, len(numbers)
    pilots = list(numbers[:: max(1, total // _PILOTS)][:_PILOTS])
    crew.run("fields", finder.find, pilots, keep, 0, total)
    for _ in ("after the pilots", "after the others"):
        if finder.mirrored is None and any(map(placed, found.values())):
            hands = [_mirrored(item) for item in found.values() if placed(item)]
            finder.mirrored = 2 * sum(hands) > len(hands)
            other = [n for n, item in found.items() if placed(item) and _mirrored(item) != finder.mirrored]
            crew.run("fields", finder.find, other, keep, len(found) - len(other), total)
        finder.learned = learn(item for _, item in sorted(found.items()))
        rest = [number for number in numbers if number not in found]
        crew.run("fields", finder.find, rest, keep, total - len(rest), total)
    finder.learned = learn(item for _, item in sorted(found.items()))
    if finder.options.joint and finder.learned:
        doubtful = [n for n, p in sorted(found.items()) if not placed(p) and n not in finder.broken]
        crew.run("doubtful fields", lambda n: finder.find_again(n, found[n]), doubtful, keep)
    return found


def unseen(item: Input, reason: str) -> FieldPlacement:
    """Return the placement of a field that was not read. Its size, if not known, is that of one pixel."""
    source = item.source
    return nowhere(item, (1, 1) if source is None else (source.height, source.width), reason)


def nowhere(item: Input, shape_yx: tuple[int, int], reason: str = "") -> FieldPlacement:
    """Return the placement of a field that is not found."""
    path = None if item.path is None else str(item.path)
    return FieldPlacement(item.name, path, None, shape_yx, "not_found", reason)


def placed(placement: FieldPlacement) -> bool:
    """Say whether a field is placed."""
    return placement.status == "placed"


def better(one: FieldPlacement, other: FieldPlacement) -> FieldPlacement:
    """Return the surer of two; the first where they are equal, but never one without a reason."""
    if not placed(one) and not one.reason:
        return other
    if (_RANK[other.status], other.score) > (_RANK[one.status], one.score):
        return other
    return one


def agrees(placement: FieldPlacement, objective: Objective) -> bool:
    """Say whether a placement has the scale and angle of an objective."""
    assert placement.matrix_yx is not None
    assert placement.field_um is not None
    own = parts(placement.matrix_yx)
    turn = (own.rotation_deg - objective.rotation_deg + 180) % 360 - 180
    return (
        own.mirrored == objective.mirrored
        and abs(turn) <= AGREES_DEG
        and abs(log(placement.field_um / objective.um)) <= AGREES_SCALE
    )


def _mirrored(placement: FieldPlacement) -> bool:
    return placement.matrix_yx is not None and parts(placement.matrix_yx).mirrored


def _whole(placement: FieldPlacement, ground: Ground) -> bool:
    """Say whether an overview holds a field whole: no other then holds more of it."""
    assert placement.matrix_yx is not None
    there = apply(placement.matrix_yx, corners(placement.shape_yx))
    return bool(((there >= -1) & (there <= ground.shape_yx)).all())
