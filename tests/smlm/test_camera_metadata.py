"""What files of several makers say of the camera."""

import json

import numpy as np
import pytest
import tifffile

from napari_microsr.smlm.camera_metadata import read_camera

FRAMES = np.zeros((2, 8, 9), np.uint16)


def written(tmp_path, **options):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, FRAMES, **options)
    return path


def micro_manager(tmp_path, properties):
    """Tag 51123 holds the frame's metadata as JSON (Micro-Manager's image file stack format)."""
    tag = (51123, "s", 0, json.dumps(properties), True)
    return written(tmp_path, extratags=[tag], metadata=None)


def ome(tmp_path, detector, settings):
    xml = f"""<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
      <Instrument ID="I:0"><Detector ID="D:0" {detector}/></Instrument>
      <Image ID="Image:0"><Pixels ID="P:0" Type="uint16" DimensionOrder="XYCZT" SizeX="9" SizeY="8"
        SizeZ="1" SizeC="1" SizeT="2"><Channel ID="C:0">{settings}</Channel><TiffData/></Pixels></Image>
      </OME>"""
    return written(tmp_path, description=xml, metadata=None)


def test_micro_manager_names_stand_behind_the_device(tmp_path):
    said = {
        "Camera-1-Baseline": "398",
        "Camera-1-EMGain": {"PropVal": "250"},
        "Camera-1-Gain": "2",
        "Camera-1-ElectronsPerCount": 4.7,
    }
    assert read_camera(micro_manager(tmp_path, said)) == {"offset": 398, "em_gain": 250, "gain": 4.7}


def test_ome_detectors(tmp_path):
    path = ome(tmp_path, 'Type="EMCCD" Gain="300" Offset="101.5"', "")
    assert read_camera(path) == {"em_gain": 300, "offset": 101.5}


def test_a_detector_setting_is_believed_before_the_detector(tmp_path):
    path = ome(tmp_path, 'Type="CMOS" Gain="7" Offset="90"', '<DetectorSettings ID="D:0" Offset="99"/>')
    # The gain of what multiplies nothing is a setting, not electrons.
    assert read_camera(path) == {"offset": 99}


def test_the_tags_of_andor(tmp_path):
    tags = [(4885, "d", 1, 200.0, True), (4907, "d", 1, 2.0, True), (4911, "d", 1, -70.0, True)]
    assert read_camera(written(tmp_path, extratags=tags, metadata=None)) == {"em_gain": 200}


def test_lines_of_a_description(tmp_path):
    note = "HCImage\n[Conversion Factor Coeff] = 0.46\n[Conversion Factor Offset] = 100\n[Exposure] = 0.03"
    assert read_camera(written(tmp_path, description=note, metadata=None)) == {"gain": 0.46, "offset": 100}


@pytest.mark.parametrize("value", ["-5", "nan", "0", "much", None, "1e9"])
def test_impossible_numbers_are_left_out(tmp_path, value):
    assert read_camera(micro_manager(tmp_path, {"Cam-ElectronsPerCount": value})) == {}


def test_files_that_say_nothing(tmp_path):
    assert read_camera(None) == {}
    assert read_camera(tmp_path / "none.tif") == {}
    assert read_camera(tmp_path / "stack.ome.zarr") == {}
    assert read_camera(written(tmp_path)) == {}
    assert read_camera(written(tmp_path, imagej=True, metadata={"axes": "TYX", "unit": "um"})) == {}
