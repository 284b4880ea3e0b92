"""Pairs that were taken, not made: folders `low` and `high`, and the export of a registration."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_microsr.errors import InputError
from napari_microsr.superres.sources import (
    HIGH,
    LOW,
    TrainingImage,
    list_files,
    pair_images,
    read_source,
)

#: Version of the list of registered pairs that is read.
FORMAT = 1


def open_paired_folders(folder: Path, channels: int) -> list[TrainingImage]:
    """Pair the images of `folder/low` and `folder/high` by their names without the ending.

    Raises
    ------
    InputError
        If an image has no partner, or does not go with it.
    """
    files = {kind: {_stem(path): path for path in list_files(folder / kind)} for kind in (LOW, HIGH)}
    alone = sorted(files[LOW].keys() ^ files[HIGH].keys())
    if alone or not files[LOW]:
        counts = f"{len(files[LOW])} images in low, {len(files[HIGH])} in high"
        names = f"; without a partner: {', '.join(alone[:3])}{' ...' if alone[3:] else ''}" if alone else ""
        raise InputError(
            f"The folders low and high in {folder} do not pair ({counts}{names}).",
            "Give the two images of a pair the same name, and remove what has no partner.",
        )
    return [
        image
        for name in sorted(files[LOW])
        for image in pair_images(
            name, read_source(files[LOW][name]), read_source(files[HIGH][name]), channels
        )
    ]


def open_registered(manifest: Path, channels: int) -> list[TrainingImage]:
    """Open the fields that an export of registered pairs lists, with the patches that fit.

    Raises
    ------
    InputError
        If the list or an image cannot be read, or no patch is in it.
    """
    try:
        document = json.loads(manifest.read_text("utf-8"))
        version, patch_px = document["format"], int(document["patch_px"])
        fields = [_entry(field) for field in document["fields"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The list of pairs {manifest} cannot be read ({error}).", "Export the pairs again."
        ) from error
    if version != FORMAT:
        raise InputError(
            f"The list of pairs {manifest} is of format {version}, not {FORMAT}.", "Export the pairs again."
        )
    images = []
    for name, low, high, places in fields:
        if len(places):
            pair = read_source(manifest.parent / low), read_source(manifest.parent / high)
            images += pair_images(name, *pair, channels, places, patch_px)
    if not images:
        raise InputError(
            f"No field in {manifest} has a patch that fits.",
            "Export again with a larger max_shift_px or a smaller min_correlation.",
        )
    return images


def _entry(field: dict[str, Any]) -> tuple[str, str, str, Any]:
    places = np.array([(patch["y"], patch["x"]) for patch in field["patches"]], int).reshape(-1, 2)
    return str(field["name"]), field[LOW], field[HIGH], places


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix).removesuffix(".ome")
