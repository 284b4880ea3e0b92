"""Feature networks tell fields apart that they never saw, with labels and without."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.core.weights import find
from napari_microsr.errors import InputError
from napari_microsr.superres.content import load_features
from napari_microsr.superres.feature_data import FieldPatches, held_patches, open_fields
from napari_microsr.superres.feature_export import Measure, retrieval
from napari_microsr.superres.feature_job import TrainFeaturesJob, train_features
from napari_microsr.superres.networks import minivgg
from napari_microsr.superres.registry import build_feature_network

CARD = {"summary": "For tests.", "domain": "fluorescence", "licence": "CC0-1.0"}


def texture(rng, period):
    """Blobs of one size: what tells two classes apart."""
    coarse = rng.random((96 // period + 1,) * 2)
    return (np.kron(coarse, np.ones((period, period)))[:96, :96] * 200).astype(np.uint8)


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    rng = np.random.default_rng(0)
    for label, period in (("00", 2), ("01", 12)):
        (folder / label).mkdir()
        for field in range(4):
            image = Image.fromarray(texture(rng, period))
            image.save(folder / f"{label}_{field}.png")
            image.save(folder / label / f"f{field}.png")
    return folder


def job(cells, out, **changes):
    settings = {
        "name": "tiny",
        "data": cells,
        "out": out,
        "labels": "names",
        "hold_out": ["00_3", "01_3", "f3"],
        "arguments": {"channels": 1, "width": 2},
        "patch_px": 32,
        "batch": 8,
        "steps": 20,
        "check_every": 10,
        "learning_rate": 5e-3,
        "ema_decay": 0.5,
        "precision": "32-true",
        "device": "cpu",
        "card": CARD,
    }
    return TrainFeaturesJob.parse({**settings, **changes})


@pytest.fixture
def quick(monkeypatch):
    """Statistics of normalisation that follow in a few steps; mSRGAN's need some hundred."""
    monkeypatch.setattr(minivgg, "batch_norm", nn.BatchNorm2d)


@pytest.mark.usefixtures("quick")
def test_a_classifier_knows_fields_it_never_saw(cells, tmp_path):
    epochs = []
    path = train_features(job(cells, tmp_path, steps=40), SilentProgress(), watch=epochs.append)
    card, weights = find(path)
    assert card.task == "features"
    assert card.arguments == {"channels": 1, "width": 2, "classes": 2}
    assert card.figures["accuracy by chance"] == 0.5
    assert card.figures["accuracy"] == 1.0
    assert epochs[-1].figures["accuracy"] == card.figures["accuracy"]
    network = build_feature_network("minivgg", **card.arguments)
    assert card.parameters == sum(p.numel() for p in network.parameters())
    assert load_features(str(weights))(torch.rand(1, 1, 32, 32))[0].shape == (1, 2, 32, 32)


@pytest.mark.usefixtures("quick")
def test_fields_are_told_apart_without_labels(cells, tmp_path):
    path = train_features(job(cells, tmp_path, labels="fields", steps=40), SilentProgress())
    card, _ = find(path)
    assert card.arguments["classes"] == 0, "which field it was is of no use to anybody"
    # Two held-out fields of four patches: another one of the same field is 3 of the 7 others.
    assert card.figures["retrieval by chance"] == pytest.approx(3 / 7, abs=1e-3)
    assert card.figures["retrieval"] == 1.0


def test_folders_are_classes(cells, tmp_path):
    fields = open_fields(job(cells, tmp_path, labels="folders"))
    assert fields.classes == ["00", "01"]
    assert [field.label for field in fields.trained] == [0, 0, 0, 1, 1, 1]
    assert [field.name for field in fields.held] == ["f3.png", "f3.png"]


def test_classes_come_from_a_table(cells, tmp_path):
    table = tmp_path / "labels.csv"
    rows = [f"{p.name},{'fine' if p.name < '01' else 'coarse'}" for p in cells.glob("*.png")]
    table.write_text("\n".join(["image,class", *rows]), encoding="utf-8-sig")
    fields = open_fields(job(cells, tmp_path, labels="file", label_file=table))
    assert fields.classes == ["coarse", "fine"]
    assert [field.label for field in fields.trained] == [1, 1, 1, 0, 0, 0]
    table.write_text("\n".join(["image,class", *rows[1:]]))
    with pytest.raises(InputError, match=f"no class of {rows[0].partition(',')[0]}"):
        open_fields(job(cells, tmp_path, labels="file", label_file=table))


@pytest.mark.parametrize(
    "content", ["", "name,kind\n00_0.png,fine", "image,class\n00_0.png", b"\xff\xfe\x00", None]
)
def test_a_label_file_that_is_none_is_a_sentence(cells, tmp_path, content):
    table = tmp_path / "labels.csv"
    if content is not None:
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"label file|no class of"):
        open_fields(job(cells, tmp_path, labels="file", label_file=table))
    with pytest.raises(InputError, match="none is named"):
        open_fields(job(cells, tmp_path, labels="file"))


def test_held_out_fields_are_measured_as_they_are(cells, tmp_path):
    fields = open_fields(job(cells, tmp_path))
    patches, owners = held_patches(fields.held, 32)
    assert owners.tolist() == [0] * 4 + [1] * 4
    image = np.asarray(Image.open(cells / "01_3.png")).astype(float)
    low, high = np.percentile(image, (0.1, 99.9))
    squares = {
        ((image[y : y + 32, x : x + 32] - low) / (high - low)).astype(np.float32).round(4).tobytes()
        for y in (0, 32, 64)
        for x in (0, 32, 64)
    }
    assert all(patch[0].numpy().round(4).tobytes() in squares for patch in patches[4:])


def test_patches_are_varied_and_the_same_in_every_run(cells, tmp_path):
    settings = job(cells, tmp_path)
    fields = open_fields(settings)
    one, two = FieldPatches(fields, settings), FieldPatches(fields, settings)
    labels = []
    for index in range(30):
        (patch, label), (again, _) = one[index], two[index]
        assert torch.equal(patch, again)
        assert patch.shape == (1, 32, 32)
        assert bool(torch.isfinite(patch).all())
        labels.append(int(label))
    assert set(labels) == {0, 1}


def test_retrieval_counts_the_nearest_other_patch():
    corners = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    assert retrieval(corners, np.array([0, 0, 1, 1, 2, 2])) == 1.0
    assert retrieval(corners, np.array([0, 1, 0, 1, 2, 2])) == pytest.approx(1 / 3)
    assert retrieval(corners, np.array([0, 0, 1, 1, 2, 3])) == 1.0, "single patches are not asked"


def test_chance_is_what_random_vectors_find(cells, tmp_path):
    fields = open_fields(job(cells, tmp_path))
    measure = Measure(fields, 32)
    rng = np.random.default_rng(0)
    found = [retrieval(rng.normal(size=(8, 16)).astype(np.float32), measure.owners) for _ in range(400)]
    assert measure.chance()["retrieval by chance"] == pytest.approx(np.mean(found), abs=0.04)


def test_a_cancelled_training_resumes_to_the_same_weights(cells, tmp_path):
    class Stop(SilentProgress):
        def advance(self, label, done, total):
            if done == 13:
                raise Cancelled

    whole = train_features(job(cells, tmp_path / "whole"), SilentProgress())
    with pytest.raises(Cancelled):
        train_features(job(cells, tmp_path / "cut"), Stop())
    resumed = train_features(job(cells, tmp_path / "cut"), SilentProgress(), resume=True)
    assert resumed.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hold_out": ["99"]}, "0 to hold out"),
        ({"patch_px": 128}, "0 fields of at least 128 pixels"),
        ({"exclude": ["01"]}, "All fields are of one class"),
        ({"hold_out": ["01"]}, "one class|no training image of the class 01"),
        ({"labels": "folders", "data": "nowhere"}, "0 fields"),
    ],
    ids=str,
)
def test_wrong_images_are_named(cells, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        train_features(job(cells, tmp_path, **changes), SilentProgress())
