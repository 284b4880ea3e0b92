"""Which images are trained on and which are held out: whole slides, wells or fields, never patches."""

import re
from collections.abc import Sequence

import numpy as np

from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.data_options import DataOptions
from napari_microsr.superres.sources import TrainingImage


def group_of(name: str, pattern: str) -> str:
    """Return the slide, well or field that an image belongs to, by its name.

    Parameters
    ----------
    name : str
        Of the image.
    pattern : str
        Regular expression, found anywhere in the name: its first group is what counts, or all of it.
        Empty: the name up to the first underscore, or without its ending.

    Raises
    ------
    JobError
        If the pattern is wrong, or not in the name.
    """
    if not pattern:
        return name.split("_")[0] if "_" in name else re.sub(r"\.\w+$", "", name)
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise JobError(
            f"The group_pattern {pattern!r} is no regular expression ({error}).",
            r"Write for example '(slide\d+)' or '_([A-H]\d\d)_'.",
        ) from error
    if match is None:
        raise JobError(
            f"The group_pattern {pattern!r} is not in the name {name}.",
            "Correct it, or leave the image out with 'exclude'.",
        )
    return match[1] if match.re.groups else match[0]


def split(
    images: Sequence[TrainingImage], options: DataOptions, seed: int
) -> tuple[list[TrainingImage], list[TrainingImage]]:
    """Return the images to train on and those that are held out.

    Held out are those of which the name or the group begins with one of `hold_out`, or, where that is empty,
    a share of the groups that `seed` chooses.

    Raises
    ------
    InputError
        If a side has no image.
    JobError
        If a group would be on both sides.
    """
    kept = [image for image in images if not image.name.startswith(options.exclude)]
    if not kept:
        raise InputError(f"No training image is left of {len(images)}.", "Leave fewer out with 'exclude'.")
    if options.hold_out:
        held = [image for image in kept if _begins(image.name, options)]
        if options.group_pattern:
            _check_groups(kept, held, options)
    else:
        held = _share(kept, options, seed)
    chosen = {id(image) for image in held}
    rest = [image for image in kept if id(image) not in chosen]
    for side, what in ((rest, "trained on"), (held, "held out")):
        if not side:
            raise InputError(
                f"No training image is left that is {what}, of {len(images)} in all.",
                "Correct 'hold_out' and 'exclude': they are beginnings of names, such as "
                f"{images[0].name!r}.",
            )
    return rest, held


def _begins(name: str, options: DataOptions) -> bool:
    if name.startswith(options.hold_out):
        return True
    return bool(options.group_pattern) and group_of(name, options.group_pattern) in options.hold_out


def _check_groups(kept: Sequence[TrainingImage], held: Sequence[TrainingImage], options: DataOptions) -> None:
    names = {image.name for image in held}
    sides = [
        {group_of(i.name, options.group_pattern) for i in kept if (i.name in names) == side}
        for side in (True, False)
    ]
    if both := sorted(sides[0] & sides[1]):
        raise JobError(
            f"The group {both[0]} would be trained on and held out at once.",
            f"Put the whole group into hold_out: {both[0]!r}.",
        )


def _share(kept: Sequence[TrainingImage], options: DataOptions, seed: int) -> list[TrainingImage]:
    groups = sorted({group_of(image.name, options.group_pattern) for image in kept})
    if len(groups) < 2:
        raise InputError(
            f"All {len(kept)} training images belong to one group ({''.join(groups)}): none can be held out.",
            "Add another slide, well or field; or say with 'group_pattern' what the groups are, or with "
            "'hold_out' which images to hold out.",
        )
    count = min(max(1, round(options.hold_out_share * len(groups))), len(groups) - 1)
    chosen = set(np.random.default_rng(seed).permutation(groups)[:count])
    return [image for image in kept if group_of(image.name, options.group_pattern) in chosen]
