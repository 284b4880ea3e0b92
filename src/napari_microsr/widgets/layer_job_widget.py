"""The panel of a task that takes one image layer through a model to a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget

from napari_microsr.errors import InputError, JobError
from napari_microsr.widgets.form import form_layout, tooltip
from napari_microsr.widgets.job_widget import JobWidget
from napari_microsr.widgets.layer_picker import LayerPicker
from napari_microsr.widgets.layers import file_of
from napari_microsr.widgets.model_picker import ModelPicker
from napari_microsr.widgets.output_picker import OutputPicker

if TYPE_CHECKING:
    import napari


class LayerJobWidget(JobWidget):
    """Base of the widgets whose job has a `source`, a `model`, an `output` and `restart`.

    A subclass calls `add_pickers` in its `build`, makes `output`, and overrides `offers` and `look_at`.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer whose layers are offered, and to which the results are added.
    """

    choices = {"device": ("auto", "cpu", "cuda", "mps")}  # noqa: RUF012 - see the base
    #: What is said where no layer is chosen.
    nothing: str
    output: OutputPicker

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        super().__init__()
        self.list_layers()
        events = viewer.layers.events
        for event in (events.inserted, events.removed, events.reordered):
            event.connect(self.list_layers)

    def add_pickers(self, layout: QVBoxLayout, label: str, layers: LayerPicker, models: ModelPicker) -> None:
        """Add the rows of layer and model, and below them what speaks against them."""
        self.layer_box, self.models = layers, models
        models.setToolTip(tooltip(self.job_class.model_fields["model"].description or ""))
        self.warning = QLabel()
        self.warning.setWordWrap(True)
        self.warning.hide()
        top = QWidget()
        self.rows: QFormLayout = form_layout(top)
        self.labels.add_row(self.rows, label, layers)
        self.labels.add_row(self.rows, "Model", models)
        self.rows.addRow(self.warning)
        layout.addWidget(top)

    # What a subclass fills in.

    def offers(self, layer: Image) -> bool:
        """Say whether a layer may be chosen."""
        return True

    def look_at(self, layer: Image | None) -> Sequence[str]:
        """Take what a newly chosen layer or model says of itself; return what speaks against it."""
        return ()

    # What all share.

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        return self.layer_box.layer

    @property
    def needed_layer(self) -> Image:
        """The chosen layer.

        Raises
        ------
        InputError
            If there is none.
        """
        if self.layer is None:
            raise InputError(self.nothing, "Open one, or File > Open Sample > MicroSR, then run again.")
        return self.layer

    def list_layers(self, _event: object = None) -> None:
        """Offer the viewer's images."""
        images = [it for it in self._viewer.layers if isinstance(it, Image) and self.offers(it)]
        if self.layer_box.offer(images, self._viewer.layers.selection.active):
            self.chosen()

    def chosen(self) -> None:
        """Say whether layer and model go together, and where the result would go."""
        messages = self.look_at(self.layer)
        self.warning.setText("\n".join(f"⚠ {message}" for message in messages))
        self.warning.setVisible(bool(messages))
        self.suggest()

    def suggest(self) -> None:
        """Suggest an output beside the layer's file."""
        layer, model = self.layer, self.models.get()
        if layer is None or not model:
            return
        path = layer.source.path
        folder = Path(path).absolute().parent if path else Path.home()
        self.output.suggest(folder, f"{layer.name}-{Path(model).stem}")

    def job(self) -> Any:
        """Return the job that the form describes."""
        layer = self.needed_layer
        if not self.models.get():
            raise JobError("There is no model chosen.", "Choose one from the list, or a file of weights.")
        return self.job_class.parse(
            {
                "source": file_of(layer) or layer.name,
                "output": self.output.get(),
                "model": self.models.get(),
                "restart": self.output.replace.get(),
                **self.form.get(),
                **self.advanced.get(),
            }
        )

    def settings(self) -> dict[str, Any]:
        """Return what to keep for the next time: all but input and output."""
        return {**super().settings(), "model": self.models.get()}

    def restore(self, settings: dict[str, Any]) -> None:
        """Show kept settings; an empty dict shows the defaults."""
        super().restore(settings)
        self.models.put(str(settings.get("model", self.job_class.model_fields["model"].default)))
        if not settings:
            self.output.reset()
            self.chosen()
