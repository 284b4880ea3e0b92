"""The shipped network does what its card says, on frames that chose nothing."""

import numpy as np
import pytest

from napari_microsr.core.device import Device
from napari_microsr.core.weights import SHIPPED, find
from napari_microsr.smlm.camera import Camera
from napari_microsr.smlm.evaluation import find_all, frames_of, judge, usual_scene
from napari_microsr.smlm.localizations import Localizations
from napari_microsr.smlm.metrics import score
from napari_microsr.smlm.network_finder import HALO_PX, NetworkFinder
from napari_microsr.smlm.registry import load_network
from napari_microsr.smlm.simulate import expose

MODEL = "emitters-2d"


@pytest.fixture(scope="module")
def network():
    return load_network(*find(MODEL))


def finder(network, camera=None, sigma_px=1.06, **options):
    return NetworkFinder(
        network, Device("cpu", None, True), camera or Camera(), sigma_px, network.threshold, **options
    )


def test_the_card_describes_the_network(network):
    card, weights = find(MODEL)
    assert weights.stat().st_size <= 2e6
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert (card.task, card.domain, card.halo_px) == ("localization", "smlm", HALO_PX)
    assert card.sha256 is not None
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())
    assert (SHIPPED / f"{MODEL}.json").is_file()


@pytest.mark.parametrize(("density", "frames"), [(0.2, 12), (2.0, 3), (5.0, 1)])
def test_efficiency_and_honesty_are_those_of_the_card(network, density, frames):
    made = frames_of(usual_scene(density), 300, frames, 128)
    outcome = judge(made.truth, find_all(finder(network), made.photons, made.truth))
    # Some hundred emitters: their efficiency is known to about 3.
    promised = find(MODEL)[0].figures[f"efficiency at {density:g} per µm²"]
    assert outcome.score.efficiency > promised - 4
    assert 0.8 < outcome.honesty < 1.25


def test_it_beats_the_fitter_where_spots_overlap(network):
    from napari_microsr.smlm.finders import GaussianMle

    made = frames_of(usual_scene(2.0), 301, 2, 96)
    ours, classical = (
        score(made.truth, find_all(f, made.photons, made.truth)).efficiency
        for f in (finder(network), GaussianMle(Camera(), 1.06))
    )
    assert ours > classical + 20


def test_refinement_does_no_harm(network):
    made = frames_of(usual_scene(0.5), 302, 4, 96)
    plain, refined = (
        score(made.truth, find_all(finder(network, refined=flag), made.photons, made.truth))
        for flag in (False, True)
    )
    assert refined.efficiency > plain.efficiency - 1
    assert refined.tp == pytest.approx(plain.tp, abs=2)


@pytest.mark.parametrize("name", ["even", "slope", "hill", "dark", "em"])
def test_frames_without_emitters_stay_empty(network, name):
    at = np.linspace(-1, 1, 128)
    background = {
        "slope": np.tile(32 + 27 * at, (128, 1)),
        "hill": 20 + 80 * np.exp(-(at**2 + at[:, None] ** 2) / 0.1),
        "dark": np.zeros((128, 128)),
    }.get(name, np.full((128, 128), 20.0))
    camera = Camera(em_gain=300.0, e_per_adu=15.0) if name == "em" else Camera()
    nothing = Localizations.empty(pixel_nm=100.0, shape_yx=(128, 128), n_frames=4)
    expected = np.broadcast_to(background, (4, 128, 128)).astype(np.float32)
    photons = expose(np.random.default_rng(1), nothing, expected, usual_scene(0.0), camera)
    # 0.01 per µm² of 655.
    assert len(find_all(finder(network, camera), photons, nothing)) <= 6


def test_photons_and_background_are_right(network):
    made = frames_of(usual_scene(0.2), 303, 6, 128)
    found = find_all(finder(network), made.photons, made.truth)
    assert np.median(found.photons) == pytest.approx(np.median(made.truth.photons), rel=0.08)
    # The light of the spots' skirts passes for background in part.
    assert np.median(found.background) == pytest.approx(20, rel=0.2)


def test_a_wrong_offset_overflows_nothing(network):
    # What becomes of it is told by `measure.doubts`; an overflow would be a warning, which is an error here.
    found = finder(network)(np.full((32, 33), -200, np.float32))
    assert all(np.isfinite(np.asarray(values, np.float32)).all() for values in found.values())
