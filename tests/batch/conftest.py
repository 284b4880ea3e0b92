"""Small plates and folders of a made-up experiment."""

import json

import numpy as np
import pytest
import tifffile
import zarr


def write_field(path, pixels, um=0.65):
    """An OME-Zarr 0.4 or 0.5 image of axes c, y, x, as another program writes it."""
    group = zarr.create_group(path, zarr_format=3)
    group.create_array("0", data=pixels, chunks=(1, 16, 16))
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": a, "type": "space", "unit": "micrometer"} for a in "yx"
    ]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, um, um]}]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"name": "field", "axes": axes, "datasets": datasets}],
        "omero": {
            "channels": [
                {
                    "label": f"stain {n}",
                    "color": "0000FF",
                    "window": {"start": 90, "min": 0, "end": 4e3, "max": 65535},
                }
                for n in range(len(pixels))
            ]
        },
    }


def write_plate(path, wells, fields=2, channels=2, size=(23, 17), seed=0):
    """An OME-Zarr 0.5 plate; returns its pixels by place."""
    rng = np.random.default_rng(seed)
    rows, columns = ["A", "B"], ["1", "2", "3"]
    plate = {
        "name": path.name,
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "acquisitions": [{"id": 7, "name": "first"}],
        "wells": [
            {
                "path": f"{well[0]}/{well[1:]}",
                "rowIndex": rows.index(well[0]),
                "columnIndex": columns.index(well[1:]),
            }
            for well in wells
        ],
    }
    zarr.create_group(path, zarr_format=3, attributes={"ome": {"version": "0.5", "plate": plate}})
    held = {}
    for well in wells:
        images = [{"path": str(n), "acquisition": 7} for n in range(fields)]
        folder = path / well[0] / well[1:]
        zarr.create_group(folder.parent, zarr_format=3, overwrite=not folder.parent.exists())
        attributes = {"ome": {"version": "0.5", "well": {"images": images}}}
        zarr.create_group(folder, zarr_format=3, attributes=attributes)
        for image in images:
            pixels = rng.integers(100, 4000, (channels, *size), dtype=np.uint16)
            write_field(folder / image["path"], pixels)
            held[f"{well[0]}/{well[1:]}/{image['path']}"] = pixels
    return held


@pytest.fixture
def make_plate():
    """Write a plate; returns its pixels by place."""
    return write_plate


@pytest.fixture
def plate(tmp_path):
    """A plate of two wells with two fields of two channels, and its pixels."""
    path = tmp_path / "cells.ome.zarr"
    return path, write_plate(path, ["A1", "B3"])


@pytest.fixture
def slides(tmp_path):
    """A folder of three small RGB pictures."""
    folder = tmp_path / "slides"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in ("a", "b2", "b10"):
        pixels = rng.integers(0, 255, (21, 19, 3), np.uint8)
        tifffile.imwrite(folder / f"{name}.tif", pixels, photometric="rgb")
    return folder


@pytest.fixture
def noted():
    """Read the lines of a run folder's manifest."""

    def read(folder):
        return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]

    return read
