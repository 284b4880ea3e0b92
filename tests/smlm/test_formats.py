"""Files of localisations: round trips, half pixels by hand, and what is refused."""

import json

import h5py
import numpy as np
import pytest
import yaml

from napari_microsr.errors import InputError, OutputError
from napari_microsr.smlm.formats import FORMATS, Field, read_table, write_table
from napari_microsr.smlm.localizations import COLUMNS, Localizations


@pytest.fixture
def table(rng):
    n = 57
    return Localizations.from_columns(
        frame=np.sort(rng.integers(0, 90, n)),
        x=rng.uniform(-0.5, 300.5, n),
        y=rng.uniform(-0.5, 200.5, n),
        photons=rng.uniform(50, 5000, n),
        background=rng.uniform(1, 200, n),
        sigma_px=rng.uniform(0.8, 1.8, n),
        x_err=(err := rng.uniform(0.01, 0.4, n)),
        y_err=err,
        photons_err=rng.uniform(5, 100, n),
        probability=rng.uniform(0, 1, n),
        pixel_nm=107.3,
        shape_yx=(201, 301),
        n_frames=100,
    )


@pytest.fixture
def first(table):
    """Make a table of one molecule in the centre of pixel (y 2, x 4) of the first frame."""
    return Localizations.from_columns(
        frame=[0], x=[4.0], y=[2.0], photons=[500], background=[16], sigma_px=[1.5], x_err=[0.1], y_err=[0.1],
        pixel_nm=160, shape_yx=(8, 9), n_frames=3,
    )  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "hdf5", "parquet"])
def test_round_trip(table, tmp_path, ending):
    path = write_table(tmp_path / f"locs.{ending}", table)
    known = Field(107.3, (201, 301), 100) if ending == "csv" else None
    back = read_table(path, known)
    np.testing.assert_array_equal(back.frame, table.frame)
    for name in ("x", "y"):
        np.testing.assert_allclose(getattr(back, name), getattr(table, name), atol=1e-4)
    for name in ("photons", "background", "sigma_px", "x_err", "y_err"):
        np.testing.assert_allclose(getattr(back, name), getattr(table, name), rtol=1e-3, atol=1e-3)
    assert (back.pixel_nm, back.shape_yx, back.n_frames) == (107.3, (201, 301), 100)
    if ending != "csv":
        np.testing.assert_array_equal(back.probability, table.probability)


def test_parquet_keeps_every_bit(table, tmp_path):
    back = read_table(write_table(tmp_path / "locs.parquet", table))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(back, name), getattr(table, name))


def test_thunderstorm_counts_from_the_corner_and_frames_from_1(first, tmp_path):
    path = write_table(tmp_path / "locs.csv", first)
    header, row = path.read_text().splitlines()
    assert header == (
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
        '"bkgstd [photon]","uncertainty [nm]"'
    )
    assert [float(v) for v in row.split(",")] == [1, 1, 720, 400, 240, 500, 16, 4, 16]
    assert read_table(path, Field(pixel_nm=160)).x[0] == 4


def test_without_a_pixel_size_csv_keeps_its_nanometres(first, tmp_path):
    back = read_table(write_table(tmp_path / "locs.csv", first))
    assert back.pixel_nm == 100
    assert (back.x_nm[0], back.y_nm[0]) == (720, 400)
    assert back.uncertainty_nm[0] == pytest.approx(16)
    assert back.shape_yx == (4, 8)  # to the end of the pixel that the molecule is in
    assert back.n_frames == 1


def test_picasso_counts_from_the_centre_and_frames_from_0(first, tmp_path):
    path = write_table(tmp_path / "locs.hdf5", first)
    with h5py.File(path) as file:
        rows = file["locs"][:]
        inside = json.loads(file["metadata"].asstr()[()])
    assert rows.dtype["frame"] == np.uint32
    assert rows.dtype["x"] == np.float32
    assert (rows["frame"][0], rows["x"][0], rows["y"][0]) == (0, 4, 2)
    assert rows["sx"][0] == rows["sy"][0] == 1.5
    assert rows["lpx"][0] == np.float32(0.1)
    # Picasso drops every row with a NaN, so that unknown columns are left out.
    assert {"photons_err", "probability"}.isdisjoint(rows.dtype.names)
    beside = yaml.safe_load((tmp_path / "locs.yaml").read_text())
    assert inside == [beside]
    assert (beside["Pixelsize"], beside["Width"], beside["Height"], beside["Frames"]) == (160, 9, 8, 3)


def test_picasso_metadata_is_found_beside_inside_or_named(first, tmp_path):
    path = write_table(tmp_path / "locs.hdf5", first)
    beside = tmp_path / "locs.yaml"
    beside.write_text("Width: 9\nHeight: 8\nFrames: 3\n---\nPixelsize: 130\n")
    assert read_table(path).pixel_nm == 130  # of a later step, with the sidecar before what is inside
    beside.unlink()
    assert read_table(path).pixel_nm == 160
    with h5py.File(path, "a") as file:
        del file["metadata"]
    with pytest.raises(InputError, match="pixel size"):
        read_table(path)
    assert read_table(path, Field(pixel_nm=150)).x_nm[0] == 4.5 * 150


def test_the_challenge_table(first, tmp_path):
    path = write_table(tmp_path / "truth.csv", first, "challenge")
    assert path.read_text().splitlines()[0] == '"Ground-truth","frame","xnano","ynano","znano","intensity"'
    back = read_table(path, Field(pixel_nm=160))
    assert (back.frame[0], back.x[0], back.y[0], back.photons[0]) == (0, 4, 2, 500)


@pytest.mark.parametrize("ending", ["csv", "hdf5", "parquet"])
def test_an_empty_table(tmp_path, ending):
    empty = Localizations.empty(pixel_nm=100, shape_yx=(5, 6), n_frames=4)
    assert len(read_table(write_table(tmp_path / f"e.{ending}", empty))) == 0


@pytest.mark.parametrize(
    ("text", "x_nm"),
    [
        ("frame,x [um],y [um]\n1,0.72,0.4\n", 720),
        ('"frame","x [µm]","y [nm]"\n1,0.72,400\n', 720),
        ("frame , X [nm] ,y [nm] , other\n1,720,400,abc\n", 720),
        ("﻿frame,x [px],y [px]\n1,4.5,2.5\n", 720),
        ('"id,""frame"",""x [nm]"",""y [nm]"""\n3.0,1.0,720.0,400.0\n', 720),
        ("Ground-truth,frame,xnano,ynano,znano,intensity \n1,1,720,400,0,99\n", 720),
    ],
)
def test_headers_of_other_programs(tmp_path, text, x_nm):
    path = tmp_path / "locs.csv"
    path.write_text(text, encoding="utf-8")
    found = read_table(path, Field(pixel_nm=160))
    assert found.x_nm[0] == pytest.approx(x_nm)
    assert found.y_nm[0] == pytest.approx(400)
    assert found.frame[0] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x [nm],y [nm]\n1,2\n", "no column frame"),
        ("", "no column frame, x, y"),
        ("frame,x,y\n1,2,3\n", "without a unit"),
        ("frame,x [furlong],y [nm]\n1,2,3\n", "furlong"),
        ("frame,x [px],y [px]\n1,2,3\n", "size of a camera pixel"),
        ("frame,x [nm],y [nm],intensity [A/D]\n1,2,3,4\n", "A/D"),
        ("frame,x [nm],y [nm]\n0,2,3\n", "counts from 1"),
        ("frame,x [nm],y [nm]\n1.5,2,3\n", "whole numbers"),
        ("frame,x [nm],y [nm]\n1,2\n", "positions|cannot be read"),
        ("frame,x [nm],y [nm]\n1,abc,3\n", "cannot be read"),
        ("frame,x [nm],y [nm]\n1,,3\n", "not finite"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, words):
    path = tmp_path / "locs.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_table(path)


def test_wrong_files_are_refused(tmp_path, first):
    with pytest.raises(InputError, match="does not exist"):
        read_table(tmp_path / "missing.csv")
    with pytest.raises(InputError, match=r"\.hdf5"):
        read_table(tmp_path / "locs.xlsx")
    with pytest.raises(OutputError, match=r"\.hdf5"):
        write_table(tmp_path / "locs.xlsx", first)
    with pytest.raises(OutputError, match="cannot be written"):
        write_table(tmp_path / "no" / "locs.csv", first)
    for ending in ("hdf5", "parquet", "csv"):
        path = tmp_path / f"noise.{ending}"
        path.write_bytes(bytes(range(256)) * 4)
        with pytest.raises(InputError, match="noise"):
            read_table(path)
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["image"] = np.zeros(3)
    with pytest.raises(InputError, match="locs"):
        read_table(tmp_path / "other.hdf5")


def test_a_truncated_file_is_refused(tmp_path, table):
    for ending in ("hdf5", "parquet"):
        path = write_table(tmp_path / f"t.{ending}", table)
        path.write_bytes(path.read_bytes()[:-300])
        with pytest.raises(InputError, match="cannot be read"):
            read_table(path)


def test_every_ending_has_one_format():
    endings = [suffix for form in FORMATS.values() for suffix in form.suffixes]
    assert len(endings) == len(set(endings))
