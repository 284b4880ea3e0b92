import pytest

from napari_microsr import tasks
from napari_microsr.core.progress import SilentProgress
from napari_microsr.errors import InputError
from napari_microsr.superres.job import UpscaleJob


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def closed(*_):
        raise PermissionError(13, "Permission denied", str(tmp_path / "closed"))

    monkeypatch.setitem(tasks.TASKS, "upscale", (UpscaleJob, closed))
    job = UpscaleJob(source="closed/a.tif", output=tmp_path / "a.ome.zarr")
    with pytest.raises(InputError, match="closed may not be read"):
        tasks.perform(job, SilentProgress())
