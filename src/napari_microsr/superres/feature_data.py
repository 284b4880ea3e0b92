"""Patches of fields with the class that they belong to."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from napari_microsr.errors import InputError
from napari_microsr.superres.feature_job import TrainFeaturesJob
from napari_microsr.superres.planes import Plane
from napari_microsr.superres.sources import list_files, open_file

#: Patches that a held-out field is measured on, at most: those that show most.
PATCHES = 4


@dataclass(frozen=True, eq=False)
class LabelledField:
    """An image and its class.

    Attributes
    ----------
    name : str
        Of the file.
    label : int
        Place of its class among all.
    plane : Plane
        Its pixels.
    """

    name: str
    label: int
    plane: Plane


@dataclass(frozen=True, eq=False)
class Fields:
    """The images of a training.

    Attributes
    ----------
    trained, held : list of LabelledField
        Those that are trained on, and those that are not.
    classes : list of str
        Names of the classes; where fields are told apart, of the trained ones.
    labelled : bool
        Whether the classes are more than the fields themselves.
    """

    trained: list[LabelledField]
    held: list[LabelledField]
    classes: list[str]
    labelled: bool


def open_fields(job: TrainFeaturesJob) -> Fields:
    """Find the images of a training.

    Raises
    ------
    InputError
        If there are none on one side, fewer than two classes, held-out ones of an unknown class, or no class
        of an image in the label file.
    """
    told = _read_labels(job) if job.labels == "file" else {}
    channels = job.arguments.get("channels", 3)
    named: dict[bool, list[tuple[str, str, Plane]]] = {True: [], False: []}
    for path in _files(job):
        if path.name.startswith(job.exclude):
            continue
        for image in open_file(path, channels):
            if min(image.high.shape) >= job.patch_px:
                label = _label(path, image.name, job, told)
                named[path.name.startswith(job.hold_out)].append((image.name, label, image.high))
    if not named[True] or not named[False]:
        raise InputError(
            f"In {job.data} {len(named[False])} fields of at least {job.patch_px} pixels are left to train"
            f" on and {len(named[True])} to hold out.",
            "Point 'data' to a folder of images, and correct 'hold_out' and 'exclude'.",
        )
    classes = sorted({label for _, label, _ in named[False]})
    labelled = job.labels != "fields"
    unknown = {label for _, label, _ in named[True]} - set(classes)
    if len(classes) < 2 or (labelled and unknown):
        raise InputError(
            f"There is no training image of the class {sorted(unknown)[0]}."
            if labelled and unknown
            else f"All fields are of one class ({classes[0]}).",
            f"Check 'labels' (now {job.labels}): the classes are {', '.join(classes[:20])}.",
        )
    places = {name: number for number, name in enumerate(classes)}
    trained, held = (
        [LabelledField(name, places.get(label, -1), plane) for name, label, plane in named[side]]
        for side in (False, True)
    )
    return Fields(trained, held, classes, labelled)


def _files(job: TrainFeaturesJob) -> list[Path]:
    if job.labels != "folders":
        return list_files(job.data)
    return [path for folder in sorted(job.data.glob("*/")) for path in list_files(folder)]


def _read_labels(job: TrainFeaturesJob) -> dict[str, str]:
    """Return the class of each image by the name of its file."""
    remedy = "Point 'label_file' to a CSV table with the columns image and class, in UTF-8."
    if job.label_file is None:
        raise InputError("Labels are to come from a file, and none is named.", remedy)
    try:
        with job.label_file.open(encoding="utf-8-sig", newline="") as file:
            return {row["image"].strip(): row["class"].strip() for row in csv.DictReader(file)}
    except OSError as error:
        raise InputError(
            f"The label file {job.label_file} cannot be read ({error.strerror}).", remedy
        ) from error
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The label file {job.label_file} is no table of classes.", remedy) from error


def _label(path: Path, name: str, job: TrainFeaturesJob, told: Mapping[str, str]) -> str:
    if job.labels == "folders":
        return path.parent.name
    if job.labels == "file":
        if path.name not in told:
            raise InputError(
                f"The label file {job.label_file} has no class of {path.name}.",
                "Add a row with its name, or leave the image out with 'exclude'.",
            )
        return told[path.name]
    return path.name.split("_")[0] if job.labels == "names" else name


class FieldPatches(Dataset[tuple[Tensor, Tensor]]):
    """Augmented patches (C, h, w) in network units with their class, at random; the same in every run.

    Classes are drawn equally often.

    Parameters
    ----------
    fields : Fields
        Those to train on are used.
    job : TrainFeaturesJob
        Size and augmentation.
    """

    def __init__(self, fields: Fields, job: TrainFeaturesJob) -> None:
        self.by_class: list[list[Plane]] = [[] for _ in fields.classes]
        for field in fields.trained:
            self.by_class[field.label].append(field.plane)
        self.job = job

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the patch `index` and its class."""
        rng = np.random.default_rng((self.job.seed, index))
        label = int(rng.integers(len(self.by_class)))
        planes = self.by_class[label]
        plane = planes[int(rng.integers(len(planes)))]
        side = round(self.job.patch_px * rng.uniform(1 - self.job.zoom, 1))
        y, x = (int(rng.integers(size - side + 1)) for size in plane.shape)
        patch = to_units(plane, slice(y, y + side), slice(x, x + side))
        return vary(patch, self.job, rng), torch.tensor(label)


def to_units(plane: Plane, y: slice, x: slice) -> Tensor:
    """Return a region (C, h, w) in network units."""
    pixels: NDArray[np.float32] = plane.read(y, x).astype(np.float32)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes)).sub_(plane.zero).div_(plane.one - plane.zero)


def vary(patch: Tensor, job: TrainFeaturesJob, rng: np.random.Generator) -> Tensor:
    """Enlarge a patch to its full size, turn it, and change its gamma and its sharpness, at random."""
    patch = functional.interpolate(patch[None], (job.patch_px,) * 2, mode="bilinear", align_corners=False)
    patch = torch.rot90(patch, int(rng.integers(4)), (2, 3))
    patch = patch.flip(3) if rng.random() < 0.5 else patch
    patch = patch.clamp(min=0) ** float(job.gamma ** rng.uniform(-1, 1))
    box = int(rng.integers(1, job.blur_px + 1))
    padded = functional.pad(patch, (box // 2, (box - 1) // 2) * 2, mode="replicate")
    return functional.avg_pool2d(padded, box, stride=1)[0]


def held_patches(fields: Sequence[LabelledField], side: int) -> tuple[Tensor, NDArray[np.int64]]:
    """Return patches of fields as they are, not overlapping, and the number of the field of each.

    Parameters
    ----------
    fields : sequence of LabelledField
        Of each at most four patches are taken, those with most contrast.
    side : int
        Of a patch.

    Returns
    -------
    Tensor, shape (N, C, side, side)
        In network units.
    numpy.ndarray, shape (N,)
        Places in `fields`.
    """
    patches, owners = [], []
    for number, field in enumerate(fields):
        whole = to_units(field.plane, slice(None), slice(None))
        rows, columns = (size // side for size in whole.shape[1:])
        grid = whole[:, : rows * side, : columns * side].unfold(1, side, side).unfold(2, side, side)
        cut = grid.permute(1, 2, 0, 3, 4).flatten(0, 1)
        chosen = cut.flatten(1).std(dim=1).argsort(descending=True)[:PATCHES]
        patches.append(cut[chosen])
        owners += [number] * len(chosen)
    return torch.cat(patches), np.array(owners)
