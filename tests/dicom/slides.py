"""Slides in DICOM, written element by element with pydicom, so that their reader is judged by another."""

import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
KINDS = {"raw": ExplicitVRLittleEndian, "jpeg": JPEGBaseline8Bit}


def tiles_of(pixels, side):
    """Cut a picture into whole tiles, row by row; what lies outside is 7."""
    rows, columns = -(-pixels.shape[0] // side), -(-pixels.shape[1] // side)
    whole = np.full((rows * side, columns * side, *pixels.shape[2:]), 7, pixels.dtype)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return [
        whole[y * side : (y + 1) * side, x * side : (x + 1) * side]
        for y in range(rows)
        for x in range(columns)
    ]  # fmt: skip


def encoded(tile):
    stream = io.BytesIO()
    Image.fromarray(tile).save(stream, "JPEG", quality=90, subsampling=0)
    return stream.getvalue()


def as_stored(pixels, side, kind):
    """Return the pixels that a decoder of each tile alone finds."""
    if kind == "raw":
        return pixels
    whole = np.zeros_like(pixels)
    columns = -(-pixels.shape[1] // side)
    for number, tile in enumerate(tiles_of(pixels, side)):
        y, x = (place * side for place in divmod(number, columns))
        found = np.asarray(Image.open(io.BytesIO(encoded(tile))))
        part = whole[y : y + side, x : x + side]
        part[:] = found[: part.shape[0], : part.shape[1]]
    return whole


def write_slide(path, planes, um, *, side=32, kind="raw", series=None, flavour="VOLUME", paths=1, z_um=0.5):
    """Write a level: planes in the order optical path, focal plane, each (y, x) or (y, x, 3)."""
    first, focal = planes[0], len(planes) // paths
    colour = first.ndim == 3
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SLIDE, generate_uid()
    ds.ImageType = ["ORIGINAL", "PRIMARY", flavour, "NONE"]
    ds.Modality, ds.FocusMethod, ds.ExtendedDepthOfField = "SM", "AUTO", "NO"
    ds.PatientID, ds.PatientName, ds.StudyDate = "1", "A^B", "20260101"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", series or "1.2.3.4"
    ds.FrameOfReferenceUID, ds.InstanceNumber = "1.2.3.5", 1
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight = first.shape[1] * um[1] / 1e3, first.shape[0] * um[0] / 1e3
    ds.ImagedVolumeDepth = 1.0
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = ("YBR_FULL_422" if kind == "jpeg" else "RGB") if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.Rows = ds.Columns = side
    ds.BitsAllocated = ds.BitsStored = 8 * first.itemsize
    ds.HighBit, ds.PixelRepresentation = ds.BitsStored - 1, 0
    ds.BurnedInAnnotation, ds.SpecimenLabelInImage = "NO", "NO"
    ds.LossyImageCompression = "01" if kind == "jpeg" else "00"
    ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = first.shape[:2]
    ds.TotalPixelMatrixFocalPlanes = focal
    ds.NumberOfOpticalPaths = paths
    ds.DimensionOrganizationType = "TILED_FULL"
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 1
    ds.TotalPixelMatrixOriginSequence = [origin]
    ds.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    ds.OpticalPathSequence = [_optical_path(str(number)) for number in range(paths)]
    measures, shared = Dataset(), Dataset()
    measures.SliceThickness, measures.PixelSpacing = 0.001, [um[0] / 1e3, um[1] / 1e3]
    measures.SpacingBetweenSlices = z_um / 1e3
    shared.PixelMeasuresSequence = [measures]
    ds.SharedFunctionalGroupsSequence = [shared]
    tiles = [tile for plane in planes for tile in tiles_of(plane, side)]
    ds.NumberOfFrames = len(tiles)
    ds.PixelData = (
        encapsulate([encoded(tile) for tile in tiles])
        if kind == "jpeg"
        else b"".join(tile.tobytes() for tile in tiles)
    )
    ds["PixelData"].VR = "OB" if first.itemsize == 1 else "OW"
    _save(ds, path, KINDS[kind])


def _optical_path(name):
    ds = Dataset()
    ds.OpticalPathIdentifier = name
    return ds


def write_ct(path):
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = "1.2", "1.2.9", "CT"
    ds.Rows = ds.Columns = 4
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 15, 0, 1
    ds.PhotometricInterpretation, ds.PixelData = "MONOCHROME2", bytes(32)
    ds["PixelData"].VR = "OW"
    _save(ds, path, ExplicitVRLittleEndian)


def _save(ds, path, syntax):
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.save_as(path, enforce_file_format=True)
