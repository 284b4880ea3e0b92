"""Every format gives back where the fields lie, and says clearly what is wrong with a file."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from napari_microsr.errors import InputError, OutputError
from napari_microsr.registration.formats import FORMATS, read_placements, write_placements
from napari_microsr.registration.formats.files import file_stems
from napari_microsr.registration.geometry import apply, corners, similarity
from napari_microsr.registration.placement import Placements

TEXT = ["placements", "positions", "itk", "qupath"]
BARE = ["positions", "itk", "qupath"]


def path_of(folder, name):
    return folder / f"result{FORMATS[name].suffix}"


def blurred(placements):
    """The same fields, each a little off: so that nothing but the file can put them right."""
    fields = [
        f
        if f.matrix_yx is None
        else replace(f, matrix_yx=f.matrix_yx + np.eye(3)[[2, 2, 2]] * [[9], [9], [0]])
        for f in placements.fields
    ]
    return replace(placements, fields=[replace(f, locked=False, quadratic_yx=None) for f in fields])


@pytest.mark.parametrize("name", TEXT)
def test_corners_come_back(tmp_path, placements, name, corner_shift):
    if name in BARE:  # the quadratic part is checked below
        placements = replace(placements, fields=[replace(f, quadratic_yx=None) for f in placements.fields])
    path = path_of(tmp_path, name)
    assert write_placements(placements, path) == []
    back = read_placements(path, blurred(placements) if name in BARE else None)
    assert [f.name for f in back.fields] == [f.name for f in placements.fields]
    for before, after in zip(placements.fields, back.fields, strict=True):
        assert after.overview == before.overview
        if before.matrix_yx is None:
            assert after.matrix_yx is None
        else:
            assert corner_shift(before, after) < 1e-6
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "no temporary file is left"


@pytest.mark.parametrize("name", BARE)
def test_what_did_not_move_keeps_its_verdict(tmp_path, placements, name):
    path = path_of(tmp_path, name)
    notes = write_placements(placements, path)
    assert "quadratic part of 1 placement" in notes[0]
    back = read_placements(path, placements)
    assert all(a is b for a, b in zip(back.fields, placements.fields, strict=True))


@pytest.mark.parametrize("name", BARE)
def test_what_moved_is_a_placement_by_hand_and_the_locked_one_stays(tmp_path, placements, name):
    path = path_of(tmp_path, name)
    write_placements(placements, path)
    known = blurred(placements)
    known.fields[2] = replace(known.fields[2], locked=True)
    back = {field.name: field for field in read_placements(path, known).fields}
    assert back["mirrored é"] is known.fields[2]
    moved = back["turned"]
    assert (moved.status, moved.manual, moved.score) == ("uncertain", True, 0.0)
    assert path.name in moved.reason
    assert moved.expected_error_um is None
    assert moved.path == "/data/turned.tif"
    if placements.overviews[0].um:
        assert moved.field_um == pytest.approx(0.6 * 0.1003)
    assert back["lost"] is known.fields[5]


@pytest.mark.parametrize("name", BARE)
def test_the_matrix_that_replaces_a_quadratic_one_is_the_nearest(tmp_path, placements, name):
    bent = placements.fields[4]
    path = path_of(tmp_path, name)
    write_placements(placements, path)
    plain = replace(bent, quadratic_yx=None)
    fields = [plain if field is bent else field for field in placements.fields]
    found = read_placements(path, replace(placements, fields=fields)).fields[4].matrix_yx
    grid = np.stack(np.mgrid[:300, :200], -1).reshape(-1, 2).astype(float)
    columns = np.c_[grid, np.ones(len(grid))]
    expected = np.linalg.lstsq(columns, bent.to_overview(grid), rcond=None)[0].T
    assert np.abs(columns @ expected.T - apply(found, grid)).max() < 1e-6


@pytest.mark.parametrize("name", BARE)
def test_positions_need_to_know_their_fields(tmp_path, placements, name):
    path = path_of(tmp_path, name)
    write_placements(placements, path)
    with pytest.raises(InputError, match="not which images"):
        read_placements(path)
    others = replace(placements, fields=placements.fields[1:])
    with pytest.raises(InputError, match="no field of these placements"):
        read_placements(path, others)
    renamed = replace(placements, overviews=placements.overviews[1:], fields=[placements.fields[0]])
    for extra in path.glob("*") if path.is_dir() else []:
        if extra.stem != "upright":
            extra.unlink()
    with pytest.raises(InputError, match=r"not known|unknown|no field"):
        read_placements(path, renamed)


@pytest.mark.parametrize("name", ["itk", "qupath"])
def test_nothing_placed_is_nothing_to_export(tmp_path, placements, name):
    lost = replace(placements, fields=placements.fields[-1:])
    with pytest.raises(InputError, match="None of the 1 fields"):
        write_placements(lost, path_of(tmp_path, name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", TEXT)
def test_a_missing_file(tmp_path, placements, name):
    with pytest.raises(InputError, match=r"does not exist|no folder"):
        read_placements(path_of(tmp_path, name), placements)


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path, placements, name):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            write_placements(placements, path_of(tmp_path, name))
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", TEXT)
def test_a_file_in_the_way_of_the_folder(tmp_path, placements, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_placements(placements, path_of(tmp_path / "file", name))


def test_a_failed_write_leaves_the_old_file(tmp_path, placements, monkeypatch):
    path = path_of(tmp_path, "placements")
    path.write_text("before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_placements(placements, path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "before"


def test_names_of_no_format(tmp_path, placements):
    with pytest.raises(OutputError, match=r"\.qupath\.json"):
        write_placements(placements, tmp_path / "result.txt")
    with pytest.raises(InputError, match="belongs to no format"):
        read_placements(tmp_path / "result.txt")


def test_file_names_are_plain_and_differ():
    stems = file_stems(["a/b", "a b", "A_B", "", "é"])
    assert len({stem.lower() for stem in stems.values()}) == 5
    assert all("/" not in stem and " " not in stem for stem in stems.values())


class TestJson:
    def test_the_file_is_as_promised(self, tmp_path, placements):
        path = path_of(tmp_path, "placements")
        write_placements(placements, path)
        document = json.loads(path.read_text(encoding="utf-8"))
        assert document["overview"] == "/data/slide.tif"
        first, last = document["fields"][0], document["fields"][-1]
        assert {"path", "status", "reason", "score", "expected_error_um", "matrix_yx"} <= set(first)
        assert first["matrix_yx"] == placements.fields[0].matrix_yx.tolist()
        assert (last["status"], last["matrix_yx"]) == ("not_found", None)

    def test_everything_comes_back(self, tmp_path, placements):
        path = path_of(tmp_path, "placements")
        write_placements(placements, path)
        back = read_placements(path)
        assert list(map(vars, back.overviews)) == list(map(vars, placements.overviews))
        assert (back.loop_um, back.provenance) == (placements.loop_um, placements.provenance)
        for before, after in zip(placements.fields, back.fields, strict=True):
            for key, value in vars(before).items():
                assert np.array_equal(getattr(after, key), value), key

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d.pop("overviews"), "overviews: Field required"),
            (lambda d: d["fields"][0].update(status="found"), "fields.0.status"),
            (lambda d: d["fields"][0].update(matrix_yx=[[1, 2], [3, 4]]), "fields.0.matrix_yx"),
            (lambda d: d["fields"][0].update(matrix_yx=None), "no matrix_yx"),
            (lambda d: d["fields"][0].update(matrix_yx=[[1, 2, 0], [2, 4, 0], [0, 0, 1]]), "flattens"),
            (lambda d: d["fields"][0].update(matrix_yx=[[1, 0, 0], [0, 1, 0], [0, 1, 1]]), "last row"),
            (lambda d: d["fields"][0].update(overview="other"), "not listed"),
            (lambda d: d["fields"][0].update(shape_yx=[0, 5]), "shape_yx"),
            (lambda d: d.update(format=99), "format"),
        ],
    )
    def test_a_wrong_schema_is_named(self, tmp_path, placements, change, message):
        path = path_of(tmp_path, "placements")
        write_placements(placements, path)
        document = json.loads(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(json.dumps(document))
        with pytest.raises(InputError, match=message):
            read_placements(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "not valid JSON"), (b'{"fields": [', "not valid JSON"), (b"[1]", "no JSON object"),
         (b"\xff\xfe\x00", "no text"), (b'{"overviews": [], "fields": []}', "overviews"),
         (b'{"overviews": [{"name": "a", "shape_yx": [1, 1], "um": NaN}], "fields": []}', "um")],
    )  # fmt: skip
    def test_a_damaged_file(self, tmp_path, content, message):
        path = path_of(tmp_path, "placements")
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_placements(path)

    def test_numbers_that_are_not_finite_are_not_written(self, tmp_path, placements):
        broken = replace(placements, fields=[replace(placements.fields[0], score=float("nan"))])
        with pytest.raises(OutputError, match="not finite"):
            write_placements(broken, path_of(tmp_path, "placements"))
        assert list(tmp_path.iterdir()) == []

    def test_no_field_at_all(self, tmp_path, placements):
        path = path_of(tmp_path, "placements")
        write_placements(Placements(placements.overviews, []), path)
        assert read_placements(path).fields == []


class TestItk:
    # Written by SimpleITK 2.5.7: a transform about a centre; it carries (1, 2) to (9.6, 21.8).
    SIMPLE_ITK = (
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_2_2\n"
        "Parameters: 1.5 0.2 -0.3 1.4 10 20\nFixedParameters: 3 4\n"
    )

    def test_it_carries_overview_points_to_field_points(self, tmp_path, placements):
        path = path_of(tmp_path, "itk")
        write_placements(placements, path)
        um, turned = placements.overviews[0].um or 1.0, placements.fields[1]
        lines = dict(
            line.split(": ") for line in (path / "turned.tfm").read_text().splitlines() if ": " in line
        )
        numbers = np.array(lines["Parameters"].split(), float)
        for point in corners(turned.shape_yx):
            y, x = turned.to_overview(point) * um
            field_x, field_y = numbers[:4].reshape(2, 2) @ [x, y] + numbers[4:]
            assert np.allclose([field_y, field_x], point * um * 0.1003, atol=1e-6 * um)

    def test_a_file_of_simple_itk(self, tmp_path, placements):
        path = path_of(tmp_path, "itk")
        write_placements(placements, path)
        (path / "turned.tfm").write_text(self.SIMPLE_ITK)
        field = read_placements(path, placements).fields[1]
        um = placements.overviews[0].um or 1.0
        field_um = um * 0.1003
        there = apply(field.matrix_yx, np.array([21.8, 9.6]) / field_um)
        assert np.allclose(there * um, [2, 1])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("Affine", "Euler"),
            ("1.5 ", ""),
            ("1.5", "x"),
            ("1.5 0.2 -0.3 1.4", "1 2 2 4"),
            ("Transform:", "T:"),
        ],
    )
    def test_a_damaged_transform(self, tmp_path, placements, old, new):
        path = path_of(tmp_path, "itk")
        write_placements(placements, path)
        (path / "turned.tfm").write_text(self.SIMPLE_ITK.replace(old, new))
        with pytest.raises(InputError, match=r"turned\.tfm"):
            read_placements(path, placements)

    def test_a_folder_is_never_replaced(self, tmp_path, placements):
        path = path_of(tmp_path, "itk")
        path.mkdir()
        with pytest.raises(OutputError, match="exists already"):
            write_placements(placements, path)

    def test_an_unknown_transform(self, tmp_path, placements):
        path = path_of(tmp_path, "itk")
        write_placements(placements, path)
        (path / "stranger.tfm").write_text(self.SIMPLE_ITK)
        with pytest.raises(InputError, match=r"stranger\.tfm"):
            read_placements(path, placements)


class TestQuPath:
    def test_the_corner_of_the_field_lies_where_qupath_counts_it(self, tmp_path, placements):
        path = path_of(tmp_path, "qupath")
        write_placements(placements, path)
        entry = json.loads(path.read_text(encoding="utf-8"))["mirrored é"]
        mirrored = placements.fields[2]
        h, w = mirrored.shape_yx
        for x, y in [(0, 0), (w, 0), (w, h), (0, h)]:  # outer corners, in QuPath's pixels
            there_y, there_x = mirrored.to_overview(np.array([y - 0.5, x - 0.5])) + 0.5
            assert np.isclose(entry["m00"] * x + entry["m01"] * y + entry["m02"], there_x)
            assert np.isclose(entry["m10"] * x + entry["m11"] * y + entry["m12"], there_y)

    @pytest.mark.parametrize("entry", ['{"m00": 1}', "3", '{"m00": "a"}'])
    def test_a_damaged_entry(self, tmp_path, placements, entry):
        path = path_of(tmp_path, "qupath")
        path.write_text(f'{{"turned": {entry}}}')
        with pytest.raises(InputError, match="turned"):
            read_placements(path, placements)


class TestPositions:
    def test_a_person_can_read_the_table(self, tmp_path, placements):
        path = path_of(tmp_path, "positions")
        write_placements(placements, path)
        head, *rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
        turned = dict(zip(head, rows[1], strict=True))
        assert float(turned["y_px"]) == pytest.approx(1500.3)
        assert float(turned["rotation_deg"]) == pytest.approx(33.3)
        assert float(turned["scale_x"]) == pytest.approx(0.1003)
        assert float(turned["shear"]) == pytest.approx(0, abs=1e-12)
        um = placements.overviews[0].um
        assert turned["x_um"] == "" if um is None else float(turned["x_um"]) == pytest.approx(um * 2000.7)
        assert dict(zip(head, rows[5], strict=True))["y_px"] == ""

    @pytest.mark.parametrize(
        ("line", "message"),
        [("turned,slide,1,2,3,,5,6", "Line 2"), ("turned,slide,1,2,x,4,5,6", "Line 2"),
         ("turned,slide,1,2,3,0,5,6", "flattens"), ("turned,slide,nan,2,3,4,5,6", "flattens"),
         ("turned,slide", None)],
    )  # fmt: skip
    def test_a_damaged_row(self, tmp_path, placements, line, message):
        path = path_of(tmp_path, "positions")
        path.write_text(f"name,overview,y_px,x_px,rotation_deg,scale_y,scale_x,shear\n{line}\n")
        if message is None:
            assert read_placements(path, placements).fields[1] is placements.fields[1]
        else:
            with pytest.raises(InputError, match=message):
                read_placements(path, placements)

    def test_another_table(self, tmp_path, placements):
        path = path_of(tmp_path, "positions")
        path.write_text("a,b\n1,2\n")
        with pytest.raises(InputError, match="no column name"):
            read_placements(path, placements)

    def test_a_field_that_was_not_found_can_be_placed_by_the_table(self, tmp_path, placements):
        path = path_of(tmp_path, "positions")
        path.write_text(
            "name,overview,y_px,x_px,rotation_deg,scale_y,scale_x,shear\nlost,second,5,6,0,2,2,0\n"
        )
        lost = read_placements(path, placements).fields[5]
        assert np.allclose(lost.matrix_yx, similarity(2, 0, centre=(0, 0), onto=(5, 6)))
        assert (lost.overview, lost.manual) == ("second", True)
