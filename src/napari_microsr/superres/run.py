"""A prepared super-resolution run: everything that its pixels depend on, ready to be sent to a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_microsr.core.device import Device, resolve
from napari_microsr.core.image import ImageSource
from napari_microsr.core.ome_zarr import Layout, Store
from napari_microsr.core.progress import Progress, SilentProgress
from napari_microsr.core.runner import run_tiles
from napari_microsr.core.sink import ZarrSink
from napari_microsr.core.tiles import Tile, TilePlan
from napari_microsr.core.weights import ModelCard, find
from napari_microsr.superres.job import UpscaleJob
from napari_microsr.superres.normalise import Normalisation, measure
from napari_microsr.superres.process import NetworkProcess, residual_dtype
from napari_microsr.superres.registry import load_network
from napari_microsr.superres.suitability import check_channels, mismatches
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
    """

    job: UpscaleJob
    source: ImageSource
    card: ModelCard
    weights: Path | None
    plan: TilePlan
    normalisation: Normalisation
    device: Device
    reduced: bool

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
        }

    def layouts(self) -> tuple[Layout, ...]:
        """Return the layouts of the result and, if asked for, of the residual."""
        types = (self.source.dtype, residual_dtype(self.source.dtype))
        provenance = self.provenance()
        return tuple(
            Layout(self.source, self.plan, dtype, {**provenance, "content": content})
            for dtype, content, _ in zip(types, ("result", "residual"), self.job.outputs, strict=False)
        )

    def sinks(self) -> tuple[ZarrSink, ...]:
        """Open the stores, beginning or resuming them."""
        fingerprint = self.fingerprint()
        return tuple(
            ZarrSink(path, layout, fingerprint, restart=self.job.restart)
            for path, layout in zip(self.job.outputs, self.layouts(), strict=True)
        )

    def process(self, progress: Progress) -> NetworkProcess:
        """Load the network onto the device."""
        return NetworkProcess(
            load_network(self.card, self.weights),
            self.device,
            self.normalisation,
            self.source.dtype,
            factor=self.card.factor,
            halo_px=self.plan.halo_px,
            multiple_of=self.card.multiple_of,
            reduced=self.reduced,
            tile_typed=self.job.tile_px is not None,
            residual=self.job.residual,
            progress=progress,
        )

    def compute_shards(self, batches: Sequence[range]) -> list[str]:
        """Compute some batches and write their shards: the work of one task on a cluster.

        Returns
        -------
        list of str
            Warnings for the user.
        """
        progress = SilentProgress()
        folders = [path.with_name(path.name + ".partial") for path in self.job.outputs]
        writers = [
            ShardWriter(Store(folder, layout)) for folder, layout in zip(folders, self.layouts(), strict=True)
        ]
        with self.process(progress) as process:
            run_tiles(self.source, self.plan, process, writers, progress, batches)
        return progress.warnings


class ShardWriter:
    """The sink of a worker: it writes shards; the coordinator's journal knows which are wanted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def holds(self, tile: Tile) -> bool:
        """Return False: a worker is only sent what is missing."""
        return False

    def write(self, tile: Tile, block: NDArray[Any]) -> None:
        """Write one tile's shard."""
        self._store.write((0, tile.plane, tile.row, tile.col), block)


def prepare(job: UpscaleJob, source: ImageSource, progress: Progress, client: Any = None) -> UpscaleRun:
    """Check that job, image, model and device go together and plan the tiles.

    Raises
    ------
    MicroSRError
        If they do not.
    """
    card, weights = find(job.model)
    check_channels(card, source)
    device = resolve(job.device) if client is None else client.submit(resolve, job.device).result()
    reduced = job.precision == "auto" and card.reduced_precision and device.reduced is not None
    plan = TilePlan.cover(
        source,
        job.tile_px or automatic_tile_px(card, weights, device, reduced),
        halo_px=card.halo_px,
        multiple_of=card.multiple_of,
        factor=card.factor,
        even=job.tile_px is None,
    )
    progress.advance("measuring intensities", 0, 1)
    normalisation = measure(source, card.normalisation)
    for message in mismatches(card, source):
        progress.warn(message)
    return UpscaleRun(job, source, card, weights, plan, normalisation, device, reduced)
