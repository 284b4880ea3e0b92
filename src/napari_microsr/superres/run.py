"""A prepared super-resolution run: everything that its pixels depend on, ready to be sent to a worker."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from napari_microsr.core.device import Device, resolve
from napari_microsr.core.image import ImageSource
from napari_microsr.core.ome_zarr import Layout
from napari_microsr.core.output import is_there
from napari_microsr.core.progress import Progress
from napari_microsr.core.sink import ZarrSink
from napari_microsr.core.spread import ask
from napari_microsr.core.tiles import TilePlan
from napari_microsr.core.weights import ModelCard
from napari_microsr.core.zarr_file import read_channels
from napari_microsr.errors import InputError, JobError
from napari_microsr.superres.ensemble import Member, Other, expecting, find_other
from napari_microsr.superres.foreign import find_model
from napari_microsr.superres.image_quality import Quality, given_or_estimated
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.superres.networks.bicubic import Bicubic
from napari_microsr.superres.normalise import Normalisation, measure
from napari_microsr.superres.process import NetworkProcess, residual_dtype
from napari_microsr.superres.reduction import Reduction, reduction_of
from napari_microsr.superres.skip import Process, SkippingProcess, check_glass
from napari_microsr.superres.suitability import check_channels, intensity_faults, mismatches
from napari_microsr.superres.tile_size import automatic_tile_px

GPU_BATCH = 4


@dataclass(frozen=True)
class UpscaleRun:
    """One image, one model, one plan.

    Attributes
    ----------
    job : UpscaleJob
        The settings.
    source : ImageSource
        The image.
    card : ModelCard
        Of the model.
    weights : pathlib.Path or None
        Its weights; bicubic has none.
    plan : TilePlan
        Of the tiles.
    normalisation : Normalisation
        Of the image's intensities.
    device : Device
        Where the network runs.
    reduced : bool
        Whether it runs in the device's 16-bit type.
    quality : Quality or None
        Blur and noise of the image, as the job gives them or as they were estimated; None where unknown.
    others : tuple of Other
        The models that it is compared with.
    """

    job: UpscaleJob
    source: ImageSource
    card: ModelCard
    weights: Path | None
    plan: TilePlan
    normalisation: Normalisation
    device: Device
    reduced: bool
    quality: Quality | None = None
    others: tuple[Other, ...] = ()

    @property
    def reduction(self) -> Reduction | None:
        """What brings the result back to the input's grid."""
        return reduction_of(self.card, self.quality.blur_px if self.quality else 0.0)

    @property
    def compared(self) -> list[str]:
        """What the result is compared with."""
        turned = ["itself on the turned image"] if self.job.self_ensemble else []
        return [*(other.card.id for other in self.others), *turned]

    @property
    def batch_size(self) -> int:
        """Tiles that go through the network at once; on a CPU a single one keeps it busy."""
        return 1 if self.device.kind == "cpu" else GPU_BATCH

    @property
    def precision(self) -> str:
        """Name of the type in which the network runs."""
        return str(self.device.reduced).removeprefix("torch.") if self.reduced else "float32"

    def provenance(self) -> dict[str, Any]:
        """Return what made the result, to be kept with it."""
        return {
            **self.job.provenance(),
            "source": self.source.name,
            "model": {"id": self.card.id, "sha256": self.card.sha256, "licence": self.card.licence},
            "device": self.device.kind,
            "precision": self.precision,
            "normalisation": {"low": self.normalisation.low, "high": self.normalisation.high},
            "image_quality": self.quality and asdict(self.quality),
        }

    def fingerprint(self) -> dict[str, Any]:
        """Return all that the result's bytes depend on, so that only the same run is resumed."""
        return {
            "source": self.source.fingerprint(),
            "placement": self.source.placement.as_dict(),
            "model": self.card.sha256 or self.card.id,
            "tile_px": [self.plan.tile_height, self.plan.tile_width],
            "halo_px": self.plan.halo_px,
            "device": self.device.kind,
            "precision": self.precision,
            "normalisation": [self.normalisation.low, self.normalisation.high],
            **({"image_quality": asdict(self.quality)} if self.card.conditioned and self.quality else {}),
            **({"compared": [o.card.sha256 or o.card.id for o in self.others]} if self.others else {}),
            **({"self_ensemble": True} if self.job.self_ensemble else {}),
            **({"skip_background": True} if self.job.skip_background else {}),
        }

    @property
    def channels(self) -> dict[str, Any] | None:
        """What the image's file says of its channels; the result keeps it: its intensities are the same."""
        path, axes = self.source.path, self.source.plane_axes
        if path is None or not path.is_dir():
            return None
        found = read_channels(path)
        count = self.source.plane_shape[axes.index("c")] if "c" in axes else 1
        return found if found is not None and len(found["channels"]) == count else None

    def layouts(self) -> tuple[Layout, ...]:
        """Return the layouts of the result and of what is asked for beside it."""
        types = {"result": self.source.dtype, "residual": residual_dtype(self.source.dtype)}
        coarse = replace(self.plan, factor=1)
        provenance = self.provenance()
        return tuple(
            Layout(
                self.source,
                coarse if content == "consistency" else self.plan,
                types.get(content, np.dtype(np.float32)),
                {**provenance, "content": content},
                self.channels if content == "result" else None,
            )
            for content in self.job.contents
        )

    def sinks(self) -> tuple[ZarrSink, ...]:
        """Open the stores, beginning or resuming them."""
        fingerprint = self.fingerprint()
        return tuple(
            ZarrSink(path, layout, fingerprint, restart=self.job.restart or self._is_old(path))
            for path, layout in zip(self.job.outputs, self.layouts(), strict=True)
        )

    def _is_old(self, path: Path) -> bool:
        """Say whether a store beside the result got its name before the result did, see `was_naming`."""
        return path != self.job.output and is_there(path)

    def process(self, progress: Progress) -> Process:
        """Load the networks onto the device."""
        network = expecting(self.card, self.weights, self.quality)
        others = [other.member(self.quality) for other in self.others]
        process = self._process(network, progress, others, self.job.self_ensemble)
        if not self.job.skip_background:
            return process
        plain = self._process(Bicubic(factor=self.card.factor), progress, [], False)
        return SkippingProcess(process, plain, compared=bool(others) or self.job.self_ensemble)

    def _process(
        self, network: nn.Module, progress: Progress, others: Sequence[Member], self_ensemble: bool
    ) -> NetworkProcess:
        reduction = self.reduction if self.job.consistency else None
        return NetworkProcess(
            network,
            self.device,
            self.normalisation,
            self.source.dtype,
            factor=self.card.factor,
            halo_px=self.plan.halo_px,
            multiple_of=_alignment(self.cards, reduction),
            reduced=self.reduced,
            tile_typed=self.job.tile_px is not None,
            residual=self.job.residual,
            progress=progress,
            reduction=reduction,
            others=others,
            self_ensemble=self_ensemble,
        )

    @property
    def cards(self) -> list[ModelCard]:
        """Cards of all networks of the run."""
        return [self.card, *(other.card for other in self.others)]


def prepare(job: UpscaleJob, source: ImageSource, progress: Progress, client: Any = None) -> UpscaleRun:
    """Check that job, image, models and device go together and plan the tiles.

    Raises
    ------
    MicroSRError
        If they do not.
    """
    card, weights = find_model(job.model, job.overlap_px)
    check_channels(card, source)
    if job.skip_background:
        check_glass(source)
    others = tuple(find_other(name, card, source, job.overlap_px) for name in job.compare_with)
    cards = [card, *(other.card for other in others)]
    device = resolve(job.device) if client is None else ask(client, resolve, job.device, progress)
    reduced = job.precision == "auto" and card.reduced_precision and device.reduced is not None
    progress.advance("measuring intensities", 0, 1)
    normalisation = measure(source, card.normalisation)
    quality, messages = _look_at(job, card, source)
    for message in messages:
        progress.warn(message)
    reduction = reduction_of(card, quality.blur_px if quality else 0.0)
    if job.consistency and reduction is None:
        raise JobError(
            f"There is no consistency map for {card.id}: the degradation that it undoes is not known.",
            "Leave the consistency map out, or write the degradation into the model's card.",
        )
    plan = TilePlan.cover(
        source,
        job.tile_px or automatic_tile_px(card, weights, device, reduced),
        # A result is reduced from what lies within the reduction's reach; that has to be right, too.
        halo_px=max(c.halo_px for c in cards) + (reduction.reach_px if reduction and job.consistency else 0),
        multiple_of=_alignment(cards, reduction if job.consistency else None),
        factor=card.factor,
        even=job.tile_px is None,
    )
    return UpscaleRun(job, source, card, weights, plan, normalisation, device, reduced, quality, others)


def _alignment(cards: Sequence[ModelCard], reduction: Reduction | None) -> int:
    """Grid on which all networks, and the reduction, tile alike."""
    return lcm(*(card.multiple_of for card in cards), reduction.grid_px if reduction else 1)


def _look_at(job: UpscaleJob, card: ModelCard, source: ImageSource) -> tuple[Quality | None, list[str]]:
    """Return the image's blur and noise, where they matter, and what makes it unfit for the model."""
    messages = mismatches(card, source)
    if card.degradation is None and not card.conditioned:
        return None, messages  # such as bicubic magnification, which suits any image
    try:
        quality = given_or_estimated(source, job.blur_px, job.noise)
        return quality, [*mismatches(card, source, quality), *intensity_faults(card, source)]
    except InputError:
        # A damaged file: the run itself says where, and keeps the tiles before that place.
        return None, messages
