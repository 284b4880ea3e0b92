"""Stains become RGB, images become tiles and pairs; the commands do the same."""

import json

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_microsr.cli import execute
from napari_microsr.core.progress import Cancelled, SilentProgress
from napari_microsr.errors import InputError, JobError, OutputError
from napari_microsr.superres.images import open_images
from napari_microsr.superres.prepare_job import PrepareJob, prepare

RNG = np.random.default_rng(2)
STAINS = {"red": "microtubules", "green": "protein", "blue": "DAPI", "yellow": "ER"}


@pytest.fixture
def fields(tmp_path):
    """Four stains of two fields, as mSRGAN's source has them."""
    folder = tmp_path / "fields"
    folder.mkdir()
    for field in ("07_a", "00_b"):
        for colour in STAINS:
            pixels = RNG.integers(0, 256, (70, 80), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{field}_{colour}.png")
    return folder


def done(**settings):
    return prepare(PrepareJob.parse(settings), SilentProgress())


def test_three_stains_become_colours_and_the_fourth_is_dropped(fields, tmp_path):
    out = done(data=fields, output=tmp_path / "rgb", stains=["_red", "_green", "_blue"])
    assert sorted(p.name for p in out.iterdir()) == ["00_b.png", "07_a.png"]
    merged = np.asarray(Image.open(out / "07_a.png"))
    for channel, colour in enumerate(("red", "green", "blue")):
        np.testing.assert_array_equal(merged[..., channel], Image.open(fields / f"07_a_{colour}.png"))


def test_16_bit_stains_are_scaled_by_their_own_range(tmp_path):
    (tmp_path / "in").mkdir()
    planes = {c: RNG.integers(300, 4000, (60, 60)).astype(np.uint16) for c in "rgb"}
    for colour, plane in planes.items():
        tifffile.imwrite(tmp_path / "in" / f"f_{colour}.tif", plane)
    out = done(data=tmp_path / "in", output=tmp_path / "out", stains=["_r", "_g", "_b"])
    merged = np.asarray(Image.open(out / "f.png")).astype(float)
    low, high = np.percentile(planes["g"], (0.1, 99.9))
    expected = np.clip((planes["g"] - low) / (high - low) * 255, 0, 255)
    assert np.abs(merged[..., 1] - expected).max() <= 0.51


def test_squeezed_to_the_side_of_msrgan(fields, tmp_path):
    settings = {"data": fields, "output": tmp_path / "rgb", "stains": ["_red", "_green", "_blue"]}
    out = done(**settings, side_px=96)
    assert np.asarray(Image.open(out / "00_b.png")).shape == (96, 96, 3)


def test_pairs_as_placentasrs(tmp_path):
    (tmp_path / "in").mkdir()
    image = RNG.integers(0, 256, (70, 100, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "in" / "slide1.png")
    path = done(data=tmp_path / "in", output=tmp_path / "train.h5", tile_px=32)
    with h5py.File(path) as file:
        assert file["X"].shape == file["Y"].shape == file["Y0"].shape == (6, 32, 32, 3)
        np.testing.assert_array_equal(file["Y0"][4], image[32:64, 32:64])
        tile = Image.fromarray(image[32:64, 32:64])
        blurred = tile.resize((8, 8), Image.Resampling.BICUBIC).resize((32, 32), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(file["X"][4], blurred)
        residual = np.clip(127 + 2 * (np.asarray(blurred).astype(int) - image[32:64, 32:64]), 0, 255)
        np.testing.assert_array_equal(file["Y"][4], residual)
    assert [pair.name for pair in open_images(path, 3)][1] == "slide1_y00000_x00032"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"stains": ["_red", "_green"]}, JobError, "three different ends"),
        ({"stains": ["_red", "_red", "_blue"]}, JobError, "three different ends"),
        ({"stains": ["_x", "_green", "_blue"]}, InputError, "No image in .* ends in '_x'"),
        ({"stains": ["_red", "_green", "_cyan"]}, InputError, r"stain \S+_cyan is missing"),
        ({"stains": ["_red", "_green", "_blue"], "tile_px": 90}, InputError, "large as a tile of 90"),
        ({}, InputError, "made of single channels"),
        ({"output": "fields"}, OutputError, "exists already"),
        (
            {"degradation": "fog", "output": "a.h5", "stains": ["_red", "_green", "_blue"]},
            JobError,
            "named 'fog'",
        ),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_left(fields, monkeypatch, changes, error, message):
    monkeypatch.chdir(fields.parent)
    with pytest.raises(error, match=message):
        done(**{"data": fields, "output": "out", **changes})
    assert [path.name for path in fields.parent.iterdir()] == ["fields"]


def test_a_cancelled_preparation_leaves_nothing(fields, tmp_path):
    class Stop(SilentProgress):
        def advance(self, label, done, total):
            if done:
                raise Cancelled

    job = PrepareJob.parse({"data": fields, "output": tmp_path / "o", "stains": ["_red", "_green", "_blue"]})
    with pytest.raises(Cancelled):
        prepare(job, Stop())
    assert [path.name for path in tmp_path.iterdir()] == ["fields"]


def test_commands(fields, tmp_path, capsys):
    stains = [part for end in ("_red", "_green", "_blue") for part in ("--stains", end)]
    assert execute(["prepare", str(fields), str(tmp_path / "rgb"), *stains]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "rgb")
    for kind, step in (("low", 2), ("high", 1)):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        image = np.asarray(Image.open(tmp_path / "rgb" / "07_a.png"))
        Image.fromarray(image).resize((80 // step, 70 // step), Image.Resampling.BICUBIC).save(
            tmp_path / "pairs" / kind / "a.png"
        )
    assert execute(["degradation", str(tmp_path / "pairs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a: blur 0.0")
    assert lines[-1].startswith("bicubic")
    assert execute(["degradation", str(tmp_path / "pairs"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["factor"], result["pairs"][0]["name"]) == (2, "a")
