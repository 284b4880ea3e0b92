"""The manifest is valid, points to what exists, and opening the widget loads no torch."""

import subprocess
import sys
from pathlib import Path

import pytest

npe2 = pytest.importorskip("npe2")

pytestmark = pytest.mark.gui
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def manifest():
    return npe2.PluginManifest.from_distribution("napari-microsr")


def test_every_command_can_be_imported(manifest):
    manifest.validate_imports()
    assert manifest.display_name == "MicroSR"
    assert [w.display_name for w in manifest.contributions.widgets] == [
        "Super-resolve",
        "Register",
        "Localise",
        "Evaluate",
        "Train",
        "Train localiser",
        "Batch",
    ]


def test_every_contribution_has_its_command(manifest):
    given = manifest.contributions
    used = {c.command for c in [*given.widgets, *given.sample_data, *given.readers]}
    used |= {item.command for items in given.menus.values() for item in items}
    assert used == {command.id for command in given.commands}


def test_the_link_at_the_top_is_the_shipped_manifest(manifest):
    link = ROOT / "napari.yaml"
    assert link.resolve() == (ROOT / "src" / "napari_microsr" / "napari.yaml").resolve()


def test_the_widget_module_loads_neither_torch_nor_zarr():
    code = (
        "import sys; import napari_microsr.widgets.upscale, napari_microsr.widgets.samples,"
        "napari_microsr.widgets.localise, napari_microsr.widgets.register, napari_microsr.widgets.evaluate,"
        "napari_microsr.widgets.train, napari_microsr.widgets.train_localiser, napari_microsr.widgets.batch;"
        "print(*[m for m in ('torch', 'zarr', 'lightning', 'skimage.metrics') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
