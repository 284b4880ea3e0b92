"""The dock widget Super-resolve."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.layers import Image
from qtpy.QtWidgets import QPushButton, QVBoxLayout

from napari_microsr.core.image import ImageSource, name_of, open_image
from napari_microsr.errors import MicroSRError
from napari_microsr.superres.image_quality import Quality, estimate
from napari_microsr.superres.job import UpscaleJob, upscale
from napari_microsr.superres.suitability import check_channels, mismatches, recommended
from napari_microsr.superres.summary import describe, read_evidence
from napari_microsr.widgets.form import CheckBox, tooltip
from napari_microsr.widgets.layer_job_widget import LayerJobWidget
from napari_microsr.widgets.layer_picker import LayerPicker
from napari_microsr.widgets.layers import as_file, file_of, source_from_layer, unchanged_file, visible_region
from napari_microsr.widgets.live import Content, LiveResult
from napari_microsr.widgets.model_picker import ModelPicker
from napari_microsr.widgets.output_picker import OutputPicker
from napari_microsr.widgets.task import Task

if TYPE_CHECKING:
    import napari

#: What the cards of the networks that are offered say of their task.
NETWORKS = ("super-resolution", "restoration")
#: Stores, data of the layers and evidence of a finished run.
Finished = tuple[tuple[Path, ...], list[Any], dict[str, Any]]


class Suggestion(NamedTuple):
    """What an image was found to be."""

    layer: Image
    source: ImageSource
    quality: Quality | None


class UpscaleWidget(LayerJobWidget):
    """Super-resolve an image layer tile by tile into a layer that fills while you watch.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are offered, and to which the result is added.
    """

    job_class = UpscaleJob
    title = "Super-resolve"
    purpose = "Enlarge or restore an image with a network, tile by tile, into an OME-Zarr store."
    shown = ("residual", "consistency")
    hidden = (
        "device",
        "precision",
        "tile_px",
        "overlap_px",
        "self_ensemble",
        "compare_with",
        "blur_px",
        "noise",
    )
    nothing = "There is no image layer."

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._live: LiveResult | None = None
        self._measured: tuple[Image, Quality] | None = None
        super().__init__(viewer)
        self.form.layout().addRow(self.visible_first)

    def build(self, layout: QVBoxLayout) -> None:
        """Add the pickers of layer, model and output."""
        layers = LayerPicker("Image layer to super-resolve; of a pyramid the finest level.")
        self.add_pickers(layout, "Layer", layers, ModelPicker(NETWORKS))
        self.suggest_button = QPushButton(self.labels.mark("Suggest a model"))
        self.suggest_button.setToolTip(
            tooltip("Estimate blur and noise of the layer, and choose a model for it.")
        )
        self.suggest_button.clicked.connect(self.suggest_model)
        self.rows.addRow(self.suggest_button)
        self.output = OutputPicker(self.labels)
        layout.addWidget(self.output)
        self.visible_first = CheckBox(self.labels.mark("Visible region first"))
        self.visible_first.setObjectName("visible_first")
        self.visible_first.setToolTip(tooltip("Begin with the tiles that the canvas shows."))
        self.layer_box.currentIndexChanged.connect(self.chosen)
        self.models.changed.connect(self.chosen)

    def look_at(self, layer: Image | None) -> Sequence[str]:
        """Say whether layer and model go together."""
        card = self.models.card
        if layer is None or card is None:
            return ()
        try:
            source = source_from_layer(layer)
            check_channels(card, source)
            return mismatches(card, source, self._quality_of(layer))
        except MicroSRError as error:
            return (str(error),)

    def suggest_model(self) -> None:
        """Estimate the layer's blur and noise in the background, and choose the model that suits them."""
        if self.task is not None:
            return
        self.say("")
        try:
            layer = self.needed_layer
            source = source_from_layer(layer)
        except MicroSRError as error:
            self.say(str(error))
            return

        def run(_: Task) -> Suggestion:
            return Suggestion(layer, source, estimate(source))

        self.start(f"Looking at {layer.name}", run)

    def _suggested(self, layer: Image, source: ImageSource, quality: Quality | None) -> str:
        """Choose the model that suits an image, and say why."""
        if quality is None:
            return "The image is too small or too empty to tell its blur and noise."
        self._measured = (layer, quality)
        card = recommended(source, quality)
        if card is not None:
            self.models.put(card.id)
        self.chosen()
        return f"Estimated: {quality}. " + (f"Chosen: {card.id}." if card else "There is no model for it.")

    def _quality_of(self, layer: Image) -> Quality | None:
        measured, quality = self._measured or (None, None)
        return quality if measured is layer else None

    def work(self, job: Any) -> Callable[[Task], Any]:
        """Return the run; what it needs of layer and viewer is taken now, in the main thread."""
        layer = self.needed_layer
        source, path = source_from_layer(layer), file_of(layer)
        visible = visible_region(self._viewer, layer, source) if self.visible_first.get() else None
        style = _style(layer)

        def run(task: Task) -> Finished:
            contents: list[Content] = []
            image = as_file(source, path)
            if image.path is not None:  # named as the command names it, so that the same bytes come of both
                image = replace(image, name=name_of(image.path))
            described = job.model_copy(update={"source": str(image.path or image.name)})

            def opened(run: Any, sinks: Any) -> None:
                for sink in sinks:
                    sink.show_live()
                # The maps lie below the result.
                named = replace(run, source=replace(run.source, name=source.name))
                contents.extend(Content.of(named, sink, style) for sink in reversed(sinks))
                task.announced.emit(contents)

            paths = upscale(described, source=image, progress=task, visible=visible, opened=opened)
            return paths, [content.finished() for content in contents], read_evidence(paths[0])

        return run

    def announced(self, what: Any) -> None:
        """Add the layers of the result."""
        self._live = LiveResult(self._viewer, what, self)

    def progressed(self) -> None:
        """Show the new tiles soon."""
        if self._live is not None:
            self._live.changed()

    def ended(self, task: Task) -> str:
        """Show the finished stores, and say where they are or what is kept."""
        if isinstance(task.result, Suggestion):
            return self._suggested(*task.result)
        live, self._live = self._live, None
        paths, finished, evidence = task.result or ((), None, {})
        if live is not None:
            live.finish(finished, evidence)
        kept = live is not None and not paths
        self.suggest()
        if paths:
            return "\n".join(["Done: " + ", ".join(map(str, paths)), *describe(evidence)])
        stopped = "Cancelled. " if task.cancelled else ""
        return stopped + ("What is done is kept: Run continues it." if kept else "")

    def command(self) -> str:
        """Return the command line of the form's job, where the layer is a file that the command can open."""
        unchanged_file(self.needed_layer)
        return super().command()

    def copy_command(self) -> None:
        """Put the command on the clipboard."""
        super().copy_command()
        self._compare_places()

    def save_job(self) -> None:
        """Save the job as a file."""
        super().save_job()
        self._compare_places()

    def _compare_places(self) -> None:
        """Say so where the command does not know what the layer knows."""
        try:
            layer = self.needed_layer
            shown, path = source_from_layer(layer), unchanged_file(layer).path or ""
        except MicroSRError:  # said already
            return
        if open_image(path).placement != shown.placement:
            self.add("The command takes the pixel size and place from the file; the layer's are others.")

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time: all but input and output."""
        return {**super().settings(), "visible_first": self.visible_first.get()}

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore(settings)
        self.visible_first.put(settings.get("visible_first", True) is True)


def _style(layer: Image) -> dict[str, Any]:
    """Show the result as its input is shown; napari would measure the contrast of a store that is empty."""
    names = () if layer.rgb else ("contrast_limits", "colormap")
    return {name: getattr(layer, name) for name in (*names, "axis_labels", "gamma", "blending")}
