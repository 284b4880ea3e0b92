"""Files that were damaged at random, by a seed: what opens them must refuse or read them, and soon."""

import contextlib
import hashlib
import io
import json
import random
import shutil
import signal
import tempfile
from pathlib import Path

import h5py
import numpy as np
import tifffile
import zarr
from PIL import Image

from napari_microsr import tasks
from napari_microsr.core.image import open_image
from napari_microsr.core.job import read_job_file
from napari_microsr.core.weights import find, load_state
from napari_microsr.errors import MicroSRError
from napari_microsr.registration.formats import placements_json
from napari_microsr.smlm.formats import read_table

#: After so much computing a case counts as hanging.
LIMIT_S = 10
NUMBERS = [0, -1, 1, 2**31, 2**63, 10**12, 1e308, -1e-308, float("nan")]
VALUES = [*NUMBERS, None, True, "", "../../x", "\0", "é" * 300, [], {}, [[]], {"a": {}}]


def image(path):
    source = open_image(path)
    height, width = min(16, source.height), min(16, source.width)
    source.read(0, slice(0, height), slice(0, width))
    source.read(source.n_planes - 1, slice(source.height - height, source.height), slice(0, width))


def weights(path):
    card = find("emitters-2d")[0].model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    load_state(path, card)


def job(path):
    task, settings = read_job_file(path)
    if task in tasks.TASKS:
        tasks.TASKS[task][0].parse(settings)


def tiff(path, rng):
    pixels = np.arange(40 * 30 * 3, dtype=np.uint8).reshape(40, 30, 3)
    kind = rng.choice(
        [
            {"compression": "zlib", "tile": (16, 16)},
            {},
            {"bigtiff": True},
            {"ome": True},
            {"compression": "jpeg"},
        ]
    )
    tifffile.imwrite(path, pixels, photometric="rgb", **kind)


def png(path, rng):
    Image.fromarray(np.arange(999, dtype=np.uint8).reshape(27, 37)).save(
        path, rng.choice(["png", "jpeg", "webp"])
    )


def ome_zarr(path, rng):
    group = zarr.create_group(path, zarr_format=rng.choice([2, 3]))
    group.create_array("0", data=np.ones((20, 30), np.uint16), chunks=(8, 8))
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    scale = {"type": "scale", "scale": [0.5, 0.5]}
    levels = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": levels}
    group.attrs["multiscales"] = levels


def csv(path, rng):
    rows = "".join(f"{i},{i + 1},{i * 7.5},{i * 3.25},120,900,80\n" for i in range(20))
    path.write_text(
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]"\n' + rows
    )


def hdf5(path, rng):
    rows = np.zeros(20, [("frame", "u4"), ("x", "f4"), ("y", "f4"), ("photons", "f4")])
    with h5py.File(path, "w") as file:
        file.create_dataset("locs", data=rows, **rng.choice([{}, {"chunks": (5,), "compression": "gzip"}]))
        file["metadata"] = json.dumps([{"Pixelsize": 100, "Height": 9, "Width": 9, "Frames": 20}])


def yaml(path, rng):
    path.write_text(
        "task: upscale\nsource: a.tif\noutput: b.ome.zarr\nmodel: &m bicubic\ntile_px: 64\nregion: 0,0,8,8\n"
        "compare_with: [a, *m]\nnoise: 0.1\n"
    )


def safetensors(path, rng):
    from safetensors.numpy import save

    path.write_bytes(save({"a": np.ones((3, 4), np.float32), "b": np.ones(7, np.float16)}))


def placements(path, rng):
    field = {
        "name": "a", "shape_yx": [9, 9], "status": "placed", "overview": "o", "score": 0.5,
        "matrix_yx": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    }  # fmt: skip
    path.write_text(json.dumps({"overviews": [{"name": "o", "shape_yx": [50, 50]}], "fields": [field]}))


#: Kind -> its file's name, what writes it and what opens it.
KINDS = {
    "tiff": ("a.tif", tiff, image),
    "png": ("a.png", png, image),
    "ome-zarr": ("a.ome.zarr", ome_zarr, image),
    "csv": ("a.csv", csv, read_table),
    "hdf5": ("a.hdf5", hdf5, read_table),
    "yaml": ("a.yaml", yaml, job),
    "safetensors": ("a.safetensors", safetensors, weights),
    "placements": ("a.json", placements, placements_json.read),
}


def damage(data, rng):
    """Change some bytes: turn bits, write numbers over them, cut, repeat, nest."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
            case 2:
                del data[at : at + rng.choice([1, 7, 100, len(data)])]
            case 3:
                data[at:at] = data[at : at + 60] * rng.choice([1, 40])
            case 4:
                data[at:at] = rng.choice(
                    [b"[" * 5000, b"{" * 5000, b"\n", b"&a [*a]", b"!!python/name:os.system "]
                )
            case 5:
                data[at : at + 8] = str(rng.choice(NUMBERS)).encode()
    return bytes(data)


def change(value, rng):
    """Put another value in the place of one somewhere in JSON."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        return {**value, key: change(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        at = rng.randrange(len(value))
        return [*value[:at], change(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


def make(kind, seed, folder):
    """Write a damaged file and return its path."""
    rng = random.Random(f"{kind} {seed}")
    name, write, _ = KINDS[kind]
    path = folder / name
    write(path, rng)
    files = (
        [p for p in path.rglob("*") if p.name.startswith((".z", "zarr.json"))] if path.is_dir() else [path]
    )
    file = rng.choice(sorted(files))
    data = file.read_bytes()
    if (path.is_dir() or file.suffix == ".json") and rng.random() < 0.7:
        data = json.dumps(change(json.loads(data), rng)).encode()
    elif kind == "safetensors" and rng.random() < 0.5:
        size = int.from_bytes(data[:8], "little")
        head = json.dumps(change(json.loads(data[8 : 8 + size]), rng)).encode()
        data = len(head).to_bytes(8, "little") + head + data[8 + size :]
    else:
        data = damage(data, rng)
    file.write_bytes(data)
    return path


def survive(kind, seeds, folder, note):
    """Open damaged files; end by an error, or a signal, at the first not refused or read in time."""
    import warnings

    warnings.simplefilter("ignore")  # libraries warn of what they make of damage; the test is of errors
    for seed in range(*seeds):
        Path(note).write_text(f"{kind} {seed}")
        place = Path(tempfile.mkdtemp(dir=folder))
        path = make(kind, seed, place)
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        signal.alarm(12 * LIMIT_S)  # for who waits and does not compute; other programs may run here
        with contextlib.suppress(MicroSRError), contextlib.redirect_stderr(io.StringIO()):
            KINDS[kind][2](path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        shutil.rmtree(place)
