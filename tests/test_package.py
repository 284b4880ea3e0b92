"""What holds for the package as a whole: light imports, one direction, one version."""

import subprocess
import sys

import pytest

import napari_microsr

HEAVY = ("torch", "napari", "qtpy", "zarr", "lightning", "scipy", "skimage")


def loaded_by(statement):
    """Names of the heavy packages that a fresh interpreter has loaded after `statement`."""
    code = f"import sys; {statement}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import napari_microsr; napari_microsr.MicroSRError") == []


def test_the_command_starts_without_torch():
    assert "torch" not in loaded_by("import napari_microsr.cli")


@pytest.mark.parametrize("name", [n for n in napari_microsr.__all__ if n != "__version__"])
def test_public_names_resolve(name):
    assert getattr(napari_microsr, name).__doc__
    assert name in dir(napari_microsr)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = napari_microsr.nonsense
