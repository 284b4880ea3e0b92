"""Attacks: files that want code to run, or something written where it does not belong."""

import ast
import hashlib
import json
import os
import pickle
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import yaml
import zarr

import napari_microsr
from napari_microsr.batch.manifest import ItemState
from napari_microsr.batch.plate import read_fields
from napari_microsr.batch.report import write_report
from napari_microsr.core.epoch import Epoch, EpochLog, Picture
from napari_microsr.core.job import read_job_file
from napari_microsr.core.weights import find, load_state
from napari_microsr.errors import InputError, JobError, MicroSRError
from napari_microsr.smlm.formats import read_table
from napari_microsr.superres.training import TrainJob

SOURCES = sorted(Path(napari_microsr.__file__).parent.rglob("*.py"))
#: Calls that run what a file says, or through a shell.
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "marshal.loads", "shelve.open", "joblib.load",
    "subprocess.getoutput",
}  # fmt: skip


def calls():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.name}:{node.lineno}", ast.unparse(node.func), node


def given(node, name):
    return {k.arg: ast.unparse(k.value) for k in node.keywords}.get(name)


def test_nothing_runs_what_a_file_says():
    found = list(calls())
    assert len(found) > 1000
    assert [(where, name) for where, name, _ in found if name in FORBIDDEN] == []
    assert [where for where, _, node in found if given(node, "shell") not in (None, "False")] == []
    loads = [(where, name, node) for where, name, node in found if name in ("torch.load", "np.load")]
    assert len(loads) > 2
    safe = {"torch.load": ("weights_only", "True"), "np.load": ("allow_pickle", "False")}
    assert [where for where, name, node in loads if given(node, safe[name][0]) != safe[name][1]] == []
    archives = [
        where for where, name, _ in found if name.endswith((".extractall", ".extract", "unpack_archive"))
    ]
    assert archives == []


class Attack:
    """Makes a file where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("whole", [True, False])
def test_a_pickle_of_weights_runs_no_code(tmp_path, whole):
    attack, path = Attack(tmp_path / "mark"), tmp_path / "evil.pth"
    if whole:
        path.write_bytes(pickle.dumps({"a": attack}, 2))
    else:
        torch.save({"a": attack, "b": torch.zeros(3)}, path)
    card = find("emitters-2d")[0].model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    with pytest.raises(MicroSRError):
        load_state(path, card)
    assert not (tmp_path / "mark").exists()
    with path.open("rb") as file:  # the attack is one, where nobody takes care
        (torch.load(file, weights_only=False) if not whole else pickle.load(file))
    assert (tmp_path / "mark").exists()


def test_yaml_makes_no_objects(tmp_path):
    text = f"task: !!python/object/apply:os.mkdir ['{tmp_path / 'mark'}']\n"
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobError):
        read_job_file(tmp_path / "job.yaml")
    import h5py
    import numpy as np

    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["locs"] = np.zeros(2, [("frame", "u4"), ("x", "f4"), ("y", "f4")])
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(InputError):
        read_table(tmp_path / "a.hdf5")
    assert not (tmp_path / "mark").exists()
    yaml.load(text, yaml.UnsafeLoader)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["..", ".", "../x", "a/b", "/tmp/x", ".hidden", "a\\..\\b"])
def test_a_training_is_no_path(tmp_path, name):
    settings = {"architecture": "fast-residual", "steps": 1, "out": tmp_path, "data": tmp_path}
    card = {"summary": "", "domain": "any", "licence": "CC0"}
    with pytest.raises(JobError, match="name"):
        TrainJob.parse({"name": name, "card": card, **settings})


@pytest.mark.parametrize(
    "wells",
    [
        [{"path": "../.."}],
        [{"path": "A/.."}],
        [{"path": "/etc"}],
        [{"path": "A/1/2"}],
        [{"path": 3}],
        ["A/1"],
        3,
        [{"path": "A/1", "x": 1}],  # whose field leads out
    ],
)
def test_a_plate_leads_nowhere_else(tmp_path, wells):
    plate = tmp_path / "p.ome.zarr"
    zarr.create_group(plate, zarr_format=3, attributes={"ome": {"plate": {"wells": wells}}})
    well = {"ome": {"well": {"images": [{"path": "../../../out"}]}}}
    zarr.create_group(plate / "A" / "1", zarr_format=3, attributes=well)
    with pytest.raises(InputError):
        read_fields(plate)


def test_a_picture_of_a_training_stays_in_its_folder(tmp_path):
    import numpy as np

    picture = Picture("../../../evil", {"low": np.zeros((4, 4), np.uint8)})
    EpochLog(tmp_path / "run").write(Epoch(1, 1, {"score": 1.0}, (picture,)))
    assert {path.parent for path in tmp_path.rglob("*.png")} == {tmp_path / "run" / "pictures"}


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_a_report_shows_names_and_runs_none(tmp_path):
    evil = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'"
    state = ItemState(
        evil, state="failed", task=evil, source=evil, group={evil: evil}, model={"id": evil, "sha256": evil},
        version=evil, figures={evil: evil}, warnings=(evil,), error=evil, remedy=evil,
    )  # fmt: skip
    page = write_report(tmp_path, evil, [state]).read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert "script" not in {tag for tag, _ in tags.seen}
    assert not [
        attributes for _, attributes in tags.seen if any(name.startswith("on") for name in attributes)
    ]
    assert not [tag for tag, _ in tags.seen if tag == "img"]
    assert "alert(1)" in page
    assert "default-src 'none'" in page


def test_settings_of_a_job_are_data(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps({"task": "upscale", "__class__": "os.system", "source": "a"}))
    task, settings = read_job_file(path)
    from napari_microsr.tasks import TASKS

    with pytest.raises(JobError, match="__class__"):
        TASKS[task][0].parse(settings)
