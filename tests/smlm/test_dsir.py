"""DSIR: targets in the right pixels, both stages trained, a stack becomes an image."""

import numpy as np
import pytest

from napari_microsr.core.job import read_job_file
from napari_microsr.core.progress import SilentProgress
from napari_microsr.core.weights import find, read_card
from napari_microsr.smlm.datasets import BRIGHTNESS, DsirDataset
from napari_microsr.smlm.dsir import train_dsir
from napari_microsr.smlm.dsir_figures import image_figures, judge_images
from napari_microsr.smlm.networks.dsir import DsirAutoencoder
from napari_microsr.smlm.registry import load_network
from napari_microsr.smlm.simulate import Scene, simulate_frames
from napari_microsr.smlm.training import TrainDsirJob

CARD = {"summary": "A test.", "domain": "smlm", "licence": "BSD-3-Clause"}


def test_the_truth_is_where_the_light_is():
    scene = Scene(density_um2=(0.5, 0.5), photons=(5000.0, 5000.0), sigma_spread=0.0)
    frame, truth = DsirDataset(scene, 20, 3)[1]
    made = simulate_frames(np.random.default_rng((3, 1)), 1, (20, 20), scene).truth
    assert truth.shape == frame.shape == (1, 160, 160)
    row, column = np.nonzero(truth[0].numpy())
    assert (truth[0].numpy()[row, column] == BRIGHTNESS).all()
    # The middle of fine pixel i is camera pixel (i + 0.5) / 8 - 0.5.
    np.testing.assert_allclose(np.sort((column + 0.5) / 8 - 0.5), np.sort(made.x), atol=1 / 16)
    np.testing.assert_allclose(np.sort((row + 0.5) / 8 - 0.5), np.sort(made.y), atol=1 / 16)
    assert (frame[0].numpy()[row, column] > np.quantile(frame, 0.9)).all()


def test_both_stages_are_trained_and_the_model_is_usable(tmp_path):
    job = TrainDsirJob(
        name="tiny",
        out=tmp_path,
        side_px=8,
        batch=2,
        check_every=2,
        precision="32-true",
        device="cpu",
        stages=[
            {"fwhm_px": 3.0, "steps": 2, "learning_rate": 1e-3},
            {"fwhm_px": 1.0, "steps": 2, "learning_rate": 1e-4},
        ],
        card=CARD,
    )
    path = train_dsir(job, SilentProgress())
    assert all((tmp_path / "tiny" / f"stage{n}" / "last.ckpt").is_file() for n in (1, 2))
    assert read_card(path.with_suffix(".json")).parameters == 3339
    network = load_network(*find(path))
    assert isinstance(network, DsirAutoencoder)
    again = train_dsir(job, SilentProgress(), resume=True)
    assert load_network(*find(again)).state_dict().keys() == network.state_dict().keys()


def test_the_recipe_is_a_job(request):
    task, settings = read_job_file(request.config.rootpath / "recipes" / "dsir-autoencoder.yaml")
    assert task == TrainDsirJob.task
    assert [stage.fwhm_px for stage in TrainDsirJob.parse(settings).stages] == [3.0, 1.0]


def test_an_image_is_judged_by_where_its_light_is():
    truth = np.zeros((64, 64), np.float32)
    truth[20, 30] = 50
    correlation, astray = judge_images([(3 * truth, truth)])
    assert (correlation, astray) == (pytest.approx(1), 0)
    # A quarter of the light 9 fine pixels away, more than a camera pixel, and another quarter 8 away.
    image = truth * 0.5
    image[20, 39] = image[28, 30] = 0.25 * truth[20, 30]
    assert judge_images([(image, truth)])[1] == pytest.approx(0.25)
    nothing = np.zeros_like(truth)
    assert judge_images([(image, nothing)])[1] == 1
    assert np.isnan(judge_images([(nothing, truth)])).all()


def test_the_shipped_card_tells_what_the_network_does():
    card, weights = find("dsir-autoencoder")
    network = load_network(card, weights)
    assert isinstance(network, DsirAutoencoder)
    assert image_figures(network, Scene(), 26) == pytest.approx(card.figures, abs=0.011)
    # As a correlation coefficient, 0.7 says that half of the variance is the truth's.
    assert card.figures["correlation with the truth at 2 per µm²"] > 0.7
