"""What a file says of the camera that recorded it."""

import json
import re
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import tifffile

#: Names under which vendors and Micro-Manager keep a number. Those of Micro-Manager stand behind the label of
#: the device: "Camera-1-Gain".
NAMES = {
    "offset": (
        "camera_offset", "offset_adu", "baseline", "pedestal", "darkoffset", "camera offset",
        "conversion factor offset",
    ),
    "gain": (
        "conversion factor coeff", "electronspercount", "e_per_adu", "conversionfactor", "conversion gain",
        "preampsensitivity", "sensitivity (e-/adu)", "gain (e-/adu)",
    ),
    "em_gain": ("emgain", "em gain", "em_gain", "multipliergain", "multiplication gain", "emccd gain",
        "emdaclevel"),
}  # fmt: skip
#: What can be such a number.
LIMITS = {"offset": (-1e4, 6e4), "gain": (1e-3, 1e3), "em_gain": (1.0, 5e3)}
#: Hamamatsu's DCIMG exports and HCImage write these lines into the description.
_LINE = re.compile(r"^\s*\[?([^=\]:\n]+?)\]?\s*[=:]\s*([-+.\deE]+)\s*$", re.M)


def read_camera(path: Path | None) -> dict[str, float]:
    """Return those of offset [counts], gain [electrons per count] and em_gain that a TIFF file tells.

    Read are the Detector settings of OME-XML, the metadata of Micro-Manager, the tags of Andor's software and
    lines "name = number" in the description, as Hamamatsu's and ImageJ's are. A gain that is only a setting
    ("Gain: 2") is none: it is not in electrons.

    Parameters
    ----------
    path : pathlib.Path or None
        The file; anything but a TIFF file tells nothing.
    """
    if path is None or path.suffix.lower() not in (".tif", ".tiff", ".btf") or not path.is_file():
        return {}
    found: dict[str, float] = {}
    with tifffile.TiffFile(path) as tif:
        for name, value in _pairs(tif):
            field = _field(name)
            number = _number(value)
            if field is None or number is None or field in found:
                continue
            low, high = LIMITS[field]
            if low <= number <= high:
                found[field] = number
    return found


def _pairs(tif: tifffile.TiffFile) -> Iterator[tuple[str, Any]]:
    """Yield names and values from everywhere a camera is described in."""
    page = tif.pages[0]
    if tif.is_ome and tif.ome_metadata:
        yield from _ome(tif.ome_metadata)
    if tif.is_micromanager and isinstance(tif.micromanager_metadata, Mapping):
        yield from _leaves(tif.micromanager_metadata.get("Summary", {}))
    for tag in page.tags:
        if tag.name == "MicroManagerMetadata":
            yield from _leaves(_parsed(tag.value))
        # In the mode of real EM gain, Andor's usual one, AndorEmDacLevel is the gain.
        elif tag.name.startswith("Andor"):
            yield tag.name.removeprefix("Andor"), tag.value
    for text in (page.description, *_imagej_texts(tif)):
        yield from _LINE.findall(text)


def _imagej_texts(tif: tifffile.TiffFile) -> Iterator[str]:
    info = (tif.imagej_metadata or {}).get("Info")
    if isinstance(info, str):
        yield info


def _ome(xml: str) -> Iterator[tuple[str, Any]]:
    """Yield Offset, Gain and AmplificationGain of detectors and of what channels say of them.

    The schema (2016-06) calls Gain the amplification and AmplificationGain that of the electrons, Offset a
    voltage or counts; an EMCCD's Gain is its register's.
    """
    content = tifffile.xml2dict(xml)
    for detector in _named(content, "Detector"):
        if str(detector.get("Type", "")).upper() == "EMCCD" and "Gain" in detector:
            yield "em_gain", detector["Gain"]
    for detector in (*_named(content, "DetectorSettings"), *_named(content, "Detector")):
        if "Offset" in detector:
            yield "camera_offset", detector["Offset"]
    for note in _named(content, "XMLAnnotation"):
        yield from _leaves(note)


def _named(content: Any, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the elements of a name, at any depth."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key == name:
                yield from (item for item in (value if isinstance(value, list) else [value]) if item)
            yield from _named(value, name)
    elif isinstance(content, list):
        for item in content:
            yield from _named(item, name)


def _leaves(content: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(content, Mapping):
        return
    for name, value in content.items():
        # Micro-Manager 2 wraps numbers: {"PropVal": "1.2"}.
        inner = value.get("PropVal") if isinstance(value, Mapping) else None
        if inner is None and isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield str(name), value if inner is None else inner


def _parsed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return {}


def _field(name: str) -> str | None:
    plain = name.strip().lower()
    for field, known in NAMES.items():
        if any(plain == word or plain.endswith(f"-{word}") for word in known):
            return field
    return None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None
