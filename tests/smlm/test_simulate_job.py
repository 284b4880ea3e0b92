"""The simulated stack as a file, its structures, blinking and truth."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_microsr.core.image import open_image
from napari_microsr.core.job import read_job_file
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import JobError, OutputError
from napari_microsr.smlm.formats import Field, read_table
from napari_microsr.smlm.metrics import score
from napari_microsr.smlm.psf import expected_photons
from napari_microsr.smlm.simulate_job import SimulateJob, draw_truth, simulate
from napari_microsr.smlm.structures import RING_RADIUS_NM, STRUCTURES, TUBE_RADIUS_NM


def job_of(tmp_path, name="stack.tif", **settings):
    return SimulateJob.parse({"output": tmp_path / name, "frames": 70, **settings})


def test_a_tiff_with_its_truth(tmp_path):
    job = job_of(tmp_path, height_px=21, width_px=30, pixel_nm=110)
    truth = simulate(job)
    counts = tifffile.imread(job.output)
    assert counts.shape == (70, 21, 30)
    assert counts.dtype == np.uint16
    image = open_image(job.output)
    assert image.placement.scale[1:] == pytest.approx((0.11, 0.11))
    assert image.placement.units[1:] == ("um", "um")
    assert image.n_planes == 70
    mean = 120 + expected_photons(
        truth.frame, truth.x, truth.y, truth.photons, truth.sigma_px, n_frames=70, shape_yx=(21, 30)
    )
    pulls = (counts - mean) / np.sqrt(mean - 100)
    assert pulls.mean() == pytest.approx(0, abs=0.03)
    assert pulls.var() == pytest.approx(1, abs=0.04)
    back = read_table(tmp_path / "stack.csv", Field(110, (21, 30), 70))
    assert score(truth, back, border_nm=0).rmse_nm < 0.01
    np.testing.assert_allclose(back.photons, truth.photons, rtol=1e-4)
    assert (back.background == 20).all()


def test_one_job_one_stack_whatever_the_file(tmp_path):
    settings = {"height_px": 9, "width_px": 34, "gradient": 0.5, "read_noise_e": 1.5, "mean_on_frames": 2}
    simulate(job_of(tmp_path, **settings))
    simulate(job_of(tmp_path, "other.ome.zarr", **settings))
    simulate(job_of(tmp_path, "third.tif", seed=1, **settings))
    tiff, zarr, third = (open_image(tmp_path / n) for n in ("stack.tif", "other.ome.zarr", "third.tif"))
    whole = slice(0, 9), slice(0, 34)
    for plane in (0, 63, 64, 69):
        np.testing.assert_array_equal(tiff.read(plane, *whole), zarr.read(plane, *whole))
    assert not np.array_equal(tiff.read(0, *whole), third.read(0, *whole))
    assert (tmp_path / "stack.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()
    assert zarr.placement.scale[1:] == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize("mean_on_frames", [0, 0.5, 4])
@pytest.mark.parametrize("structure", list(STRUCTURES))
def test_the_density_is_kept_while_molecules_blink(tmp_path, structure, mean_on_frames):
    job = job_of(
        tmp_path, frames=400, height_px=40, width_px=60, structure=structure, mean_on_frames=mean_on_frames,
        density_um2=1.5,
    )  # fmt: skip
    truth = draw_truth(np.random.default_rng(3), job)
    assert len(truth) / 400 == pytest.approx(1.5 * 24, rel=0.06)
    assert (np.diff(truth.frame) >= 0).all()
    early, late = (np.mean((truth.frame >= a) & (truth.frame < a + 100)) for a in (0, 300))
    assert early == pytest.approx(late, rel=0.2)
    assert truth.photons.max() <= 2050


def test_a_molecule_gives_each_frame_its_share(tmp_path):
    job = job_of(
        tmp_path, frames=300, mean_on_frames=3, photons=(1000, 1000), fwhm_nm=(250, 250), density_um2=0.5
    )
    truth = draw_truth(np.random.default_rng(1), job)
    places, molecule = np.unique(truth.x, return_inverse=True)
    assert truth.photons.max() <= 1000
    for number in range(0, len(places), 7):
        rows = truth.select(molecule == number)
        np.testing.assert_array_equal(np.diff(rows.frame), 1)
        np.testing.assert_allclose(rows.photons[1:-1], 1000)
    whole = np.bincount(molecule, truth.photons) / 1000
    inside = (np.bincount(molecule, truth.frame == 0) == 0) & (np.bincount(molecule, truth.frame == 299) == 0)
    assert whole[inside].mean() == pytest.approx(3, rel=0.15)


def test_rings_and_tubes_have_their_size(rng):
    rings = STRUCTURES["rings"](rng, (2000.0, 3000.0))(rng, 3000)
    centres = {tuple(np.round(p, 3)) for p in rings}
    assert len(centres) > 2900
    # Each label has the opposite label of its ring at about twice the radius, and none farther on its ring.
    first = rings[0]
    same = np.hypot(*(rings - first).T)
    assert same[same < 2 * RING_RADIUS_NM + 1].max() == pytest.approx(2 * RING_RADIUS_NM, abs=3)
    tubes = STRUCTURES["filaments"](rng, (4000.0, 4000.0))(rng, 4000)
    assert (tubes > -60).all()
    assert (tubes < 4060).all()
    # Points lie on lines: within a tube and a step of most of them there are many others.
    near = (np.hypot(*(tubes[:100, None] - tubes[None]).transpose(2, 0, 1)) < 2 * TUBE_RADIUS_NM + 50).sum(1)
    even = 4000 * np.pi * 75**2 / 4000**2
    assert np.median(near) > 4 * even


def test_the_cases_of_the_job(tmp_path):
    simulate(job_of(tmp_path, "one.tif", frames=1, height_px=1, width_px=1, density_um2=0, background=0))
    assert (tifffile.imread(tmp_path / "one.tif") == 100).all()
    emccd = job_of(tmp_path, "em.tif", em_gain=100, gain=5, offset=200, density_um2=0, frames=200)
    simulate(emccd)
    photons = emccd.camera().to_photons(tifffile.imread(emccd.output))
    assert photons.mean() == pytest.approx(20, rel=0.02)
    assert photons.var() == pytest.approx(40, rel=0.06)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"fwhm_nm": (300, 200)}, "PSF widths"),
        ({"pixel_nm": 0.1}, "100 nm"),
        ({"photons": (0, 5)}, "photons"),
        ({"frames": 0}, "frames"),
        ({"structure": "donut"}, "structure"),
        ({"gain": 0}, "gain"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, words):
    with pytest.raises(JobError, match=words):
        job_of(tmp_path, **settings)


@pytest.mark.parametrize("name", ["stack.tif", "stack.ome.zarr"])
def test_nothing_is_replaced_unasked_and_a_cancel_leaves_no_stack(tmp_path, name):
    class Impatient(SilentProgress):
        def advance(self, label, done, total):
            if done >= 64:
                raise Cancelled

    job = job_of(tmp_path, name)
    with pytest.raises(Cancelled):
        simulate(job, progress=Impatient())
    assert not job.output.exists()
    assert not job.truth.exists()
    simulate(job)
    with pytest.raises(OutputError, match="exists already"):
        simulate(job)
    simulate(job_of(tmp_path, name, restart=True))
    with pytest.raises(OutputError):
        simulate(job_of(tmp_path, "no/stack.tif"))


@pytest.mark.parametrize("job", ["src/napari_microsr/samples/filaments.yaml", "recipes/simulate-dsir.yaml"])
def test_the_shipped_jobs_run(tmp_path, job):
    task, settings = read_job_file(Path(__file__).parents[2] / job)
    assert task == SimulateJob.task
    shipped = SimulateJob.parse({**settings, "output": tmp_path / "stack.tif"})
    few = shipped.model_copy(update={"frames": 5})
    expected = 5 * shipped.density_um2 * shipped.height_px * shipped.width_px * shipped.pixel_nm**2 / 1e6
    assert len(simulate(few)) == pytest.approx(expected, rel=0.4)
