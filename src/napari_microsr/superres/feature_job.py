"""Training of a network whose features compare images, with labels or without."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from napari_microsr.core.epoch import Watch
from napari_microsr.core.progress import Progress
from napari_microsr.core.training_job import TrainingOptions


class TrainFeaturesJob(TrainingOptions):
    """Settings of the training of a miniVGG, the feature network of content losses."""

    task: ClassVar[str] = "train-features"
    execution_fields: ClassVar[frozenset[str]] = TrainingOptions.execution_fields | {"data", "label_file"}

    data: Path
    """Folder of images; with labels by folder, a folder of folders."""
    labels: Literal["fields", "names", "folders", "file"] = "fields"
    """What patches are told apart by: the field they come from (needs no labels), the beginning of the file
    name up to the first underscore, the folder, or a table of classes."""
    label_file: Path | None = None
    """With labels by file: a CSV table with the columns image (name of the file) and class."""
    exclude: tuple[str, ...] = ()
    """File-name prefixes to leave out."""
    hold_out: tuple[str, ...] = Field(min_length=1)
    """File-name prefixes of the fields that are not trained on but measured."""
    patch_px: int = Field(default=96, ge=32)
    """Side of a patch."""
    zoom: float = Field(default=0.1, ge=0, lt=1)
    """Patches are cut smaller by up to this share and enlarged."""
    gamma: float = Field(default=2.0, ge=1)
    """Patches get a random gamma between 1 / gamma and gamma."""
    blur_px: int = Field(default=4, ge=1)
    """Patches are blurred with a random box of up to this many pixels."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Highest rate of the cosine schedule."""


def train_features(
    job: TrainFeaturesJob, progress: Progress, resume: bool = False, watch: Watch | None = None
) -> Path:
    """Train a miniVGG, export it with its card and return the path of the weights.

    With labels it is trained as mSRGAN's classifier and measured by its accuracy on fields that it never saw,
    which are not augmented. Without, each field is a class of its own (instance discrimination, Dosovitskiy
    et al., NeurIPS 2014): a cross-entropy needs no large batches, as contrastive losses do, and no up and
    down, which cells do not have, as the guessing of rotations does. It is measured by retrieval: how often
    the patch most like another, of all held-out patches, is one of the same field. The classes are of no use
    afterwards and are left out of the export.

    Parameters
    ----------
    job, progress, resume, watch
        As of `superres.training.train`.

    Raises
    ------
    JobError, InputError, ModelError
        For settings, images or names that do not fit.
    Cancelled
        If the user asked to stop; `resume` continues from the last checkpoint.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from napari_microsr.core.fitting import Fit
    from napari_microsr.core.networks import load_weights
    from napari_microsr.core.training import fit
    from napari_microsr.core.weights import find
    from napari_microsr.superres.feature_data import FieldPatches, open_fields
    from napari_microsr.superres.feature_export import Measure, export_features
    from napari_microsr.superres.registry import build_feature_network

    schedule = job.schedule(job.steps, job.learning_rate)
    fields = open_fields(job)
    with torch.random.fork_rng():
        torch.manual_seed(job.seed)
        network = build_feature_network("minivgg", **{**job.arguments, "classes": len(fields.classes)})
        if job.start is not None:
            load_weights(network, *find(job.start))
        measure = Measure(fields, job.patch_px)
        untrained = measure(network)
        identity = {"data": f"{len(fields.trained)} fields in {len(fields.classes)} classes"}
        module = Fit(network, cross_entropy, schedule, measure, identity)
        fit(module, FieldPatches(fields, job), job.folder, progress, resume, watch)
    return export_features(network.cpu().eval(), job, fields, measure, untrained)
