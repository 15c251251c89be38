"""The fault list, F34 to F48: odd DICOM folders, each made here, and what is wanted of each.

`CASES` is the table that docs/dicom.md shows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import decoders
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
)

from napari_medfm.errors import (
    ChoiceRequiredError,
    GeometryError,
    UnreadableFileError,
    UnsupportedDataError,
    VolumeError,
)
from napari_medfm.volume import open_labels, open_volume, write_labels

from .dicom_files import CANARY, enhanced_dataset, item, pixels, slice_dataset, write_series, write_slices

READ, CONVERTED, ASKED, REFUSED = "read", "converted and told", "asked", "refused"
PAGE = Path(__file__).parents[2] / "docs" / "dicom.md"
HU = np.stack([pixels(index).astype(int) - 1024 for index in range(4)])


@dataclass(frozen=True)
class Case:
    """What a folder holds, how it is made, and what is wanted; the corner is the last voxel in RAS mm."""

    fault: str
    holds: str
    make: Callable
    outcome: str
    message: str = ""
    kind: type = VolumeError
    values: np.ndarray = field(default_factory=lambda: HU, repr=False)
    corner: tuple | None = (17.2, 26, 107.5)

    def __str__(self):
        return f"{self.fault} {self.holds}"


def series(indices=range(4), **fields):
    return lambda folder: write_slices(folder, [slice_dataset(index, **fields) for index in indices])


def slices(make):
    return lambda folder: write_slices(folder, make())


def at(*heights):
    return slices(lambda: [slice_dataset(0, ImagePositionPatient=[0, 0, height]) for height in heights])


def changed(number, **fields):
    return slices(lambda: [slice_dataset(index, **(fields if index == number else {})) for index in range(4)])


def twice(*, different=False):
    def make():
        datasets = [slice_dataset(index) for index in range(4)]
        copy = slice_dataset(1, SOPInstanceUID=datasets[1].SOPInstanceUID)
        copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
        if different:
            copy.PixelData = pixels(9).tobytes()
        return [*datasets, copy]

    return slices(make)


def echoes():
    return [slice_dataset(index, Modality="MR", EchoTime=time) for index in range(3) for time in (20, 80)]


def scout_within():
    scout = slice_dataset(
        0, ImageOrientationPatient=[1, 0, 0, 0, 0, -1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    return [*[slice_dataset(index) for index in range(3)], scout]


def packed(syntax, **fields):
    def make():
        datasets = [slice_dataset(index, **fields) for index in range(4)]
        for dataset in datasets:
            dataset.compress(syntax, generate_instance_uid=False)
        return datasets

    return slices(make)


def undecodable(syntax):
    def make():
        datasets = [slice_dataset(index) for index in range(3)]
        for dataset in datasets:
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = encapsulate([dataset.PixelData])
            dataset["PixelData"].is_undefined_length = True
        return datasets

    return slices(make)


def radiograph(folder, **fields):
    without = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    plain = {"RescaleIntercept": 0}
    return write_slices(folder, [slice_dataset(0, **without, **plain, **fields)])


def capture(folder):
    colour = np.arange(6 * 5 * 3, dtype=np.uint8)
    return radiograph(
        folder, SOPClassUID=SecondaryCaptureImageStorage, Modality="OT", SamplesPerPixel=3, PlanarConfiguration=0,
        PhotometricInterpretation="RGB", BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=colour.tobytes(),
    )  # fmt: skip


def index_of_a_medium(folder):
    """Write a DICOMDIR whose record names a file outside of the folder."""
    index = slice_dataset(0, Rows=None, Columns=None, PixelData=None, Modality=None)
    index.file_meta.MediaStorageSOPClassUID = index.SOPClassUID = MediaStorageDirectoryStorage
    with pydicom.config.disable_value_validation():
        index.DirectoryRecordSequence = [item(ReferencedFileID=["..", "..", "..", "ETC", "SHADOW"])]
        return write_slices(folder, [index])


def with_junk(folder):
    write_series(folder)
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty").write_bytes(b"")
    slice_dataset(0, Modality="RTDOSE", series="9.9").save_as(folder / "rd", enforce_file_format=True)
    return folder


def derived_only(folder):
    return write_slices(folder, [slice_dataset(0, Modality="RTDOSE", NumberOfFrames=3)])


def cut_short(folder):
    write_series(folder)
    file = folder / "IM0002"
    file.write_bytes(file.read_bytes()[:-20])
    return folder


def cut_in_the_header(folder):
    write_series(folder)
    file = folder / "IM0002"
    file.write_bytes(file.read_bytes()[:700])
    return folder


def enhanced(indices=(2, 0, 3, 1), **fields):
    return slices(lambda: [enhanced_dataset(list(indices), **fields)])


NEGATIVE = pixels(0).astype(np.int16) - 12
WIDE = (pixels(0, 64, 64) % 2000).astype(np.int16) - 12  # the encoder of JPEG 2000 takes nothing smaller
WIDE_SIGNED = {"rows": 64, "columns": 64, "PixelRepresentation": 1, "PixelData": WIDE.tobytes()}
SIGNED = {"PixelRepresentation": 1, "PixelData": NEGATIVE.tobytes()}
STRAY = {"PixelData": (pixels(0) | 0xF000).tobytes()}
FOUR = np.ones((4, 1, 1), np.int64)
RAMP = np.stack([pixels(index) * (1 + index / 2) - 1024 for index in range(4)])
COLOUR = np.arange(6 * 5 * 3).reshape(6, 5, 3)

CASES = [
    Case("F34", "slices in no order, all with one InstanceNumber", series((2, 0, 3, 1)), READ),
    Case("F34", "slices stacked from head to feet", series((3, 2, 1, 0), spacing=2.5), READ),
    Case("F35", "missing slices", series((0, 1, 3, 4, 7)), REFUSED,
         "lacks slices: 1 between 102.50 and 107.50 mm; 2 between 110.00 and 117.50 mm", GeometryError),
    Case("F36", "a file twice", twice(), CONVERTED, "1 files are copies of others and are left out"),
    Case("F36", "two different slices that claim to be one", twice(different=True), REFUSED,
         "claim to be the same slice, but hold different pixels", UnsupportedDataError),
    Case("F36", "several slices at a place, for no reason told", series((0, 1, 1, 2)), REFUSED,
         "has several slices at the same place (at 102.50 mm; IM000", GeometryError),
    Case("F36", "several echoes, or time points, at each place", slices(echoes), ASKED,
         "series 7: MR, 3 slices of 5 x 6, axial, 100.00 to 105.00 mm, echo time 80", ChoiceRequiredError),
    Case("F37", "uneven slice distances", at(100, 101, 102, 103.4, 105, 106), REFUSED,
         "has uneven slice distances, 1.00 to 1.60 mm (between 103.40 and 105.00 mm)", GeometryError),
    Case("F37", "positions a little off", at(100, 101.03, 101.97, 103, 104), CONVERTED,
         "Slices lie up to 0.03 mm beside even distances, as if their positions had been rounded",
         values=np.stack([pixels(0).astype(int) - 1024] * 5), corner=(-2.8, -4, 103)),
    Case("F38", "a tilted gantry", series(tilt=np.tan(np.radians(15))), CONVERTED,
         "The gantry was tilted by 15.0 degrees: each slice lies 0.67 mm further sideways than the one before",
         corner=(17.2, 26 - 7.5 * np.tan(np.radians(15)), 107.5)),
    Case("F38", "slices shifted sideways", changed(2, ImagePositionPatient=[-16, -30, 105]), REFUSED,
         "has slices shifted sideways by up to 4.00 mm", GeometryError),
    Case("F39", "two series", slices(lambda: [*[slice_dataset(index, series="1.2.9") for index in range(2)],
                                              *[slice_dataset(index) for index in range(3)]]), ASKED,
         "series 7: CT, 3 slices of 5 x 6", ChoiceRequiredError),
    Case("F39", "a scout view among the slices", slices(scout_within), ASKED,
         "series 7: CT, 1 scout view of 5 x 6, coronal", ChoiceRequiredError),
    Case("F39", "two frames of reference in a series", changed(3, FrameOfReferenceUID="1.9"), ASKED,
         "series 7: CT, 3 slices of 5 x 6, axial, 100.00 to 105.00 mm", ChoiceRequiredError),
    Case("F40", "a multi-frame file, frames in no order", enhanced(), READ),
    Case("F40", "a multi-frame file of several stacks", enhanced((0, 1, 2, 0, 1), stacks=[1, 1, 1, 2, 2]), ASKED,
         "series 7: MR, 2 slices of 5 x 6, axial, 100.00 to 102.50 mm", ChoiceRequiredError),
    Case("F40", "frames that do not say where they lie", series((0,), NumberOfFrames=3), REFUSED,
         "is a multi-frame image (3 frames) that does not say where each frame lies", UnsupportedDataError),
    Case("F41", "a negative SpacingBetweenSlices, another SliceThickness", series(SpacingBetweenSlices=-4), READ),
    Case("F42", "measured values with MONOCHROME1", series(PhotometricInterpretation="MONOCHROME1"), CONVERTED,
         "Low values are meant to be shown bright (MONOCHROME1); values are as they were measured"),
    Case("F42", "a radiograph with MONOCHROME1",
         lambda folder: radiograph(folder, Modality="DX", PhotometricInterpretation="MONOCHROME1"), CONVERTED,
         "Stored inverted (MONOCHROME1): each value v was turned into 4095 - v",
         values=4095 - pixels(0).astype(int), corner=None),
    Case("F43", "a rescale of its own for every slice", slices(
        lambda: [slice_dataset(index, RescaleSlope=1 + index / 2) for index in range(4)]), CONVERTED,
         "Each slice was rescaled by its own values (slopes 1 to 2.5)", values=RAMP),
    Case("F44", "signed 12-bit values", series(**SIGNED), READ, values=FOUR * NEGATIVE - 1024),
    Case("F44", "something else in the unused bits", series(**STRAY), READ, values=FOUR * pixels(0) - 1024),
    Case("F44", "signed JPEG 2000", packed(JPEG2000Lossless, **WIDE_SIGNED), READ,
         values=FOUR * WIDE - 1024),
    Case("F44", "signed JPEG-LS", packed(JPEGLSLossless, **SIGNED), READ, values=FOUR * NEGATIVE - 1024),
    Case("F45", "JPEG 2000 and no decoder for it", undecodable(JPEG2000Lossless), REFUSED,
         "needs the package pylibjpeg-openjpeg to decode JPEG 2000 Image Compression (Lossless Only). "
         'Install it with "pip install pylibjpeg pylibjpeg-openjpeg"', UnsupportedDataError),
    Case("F45", "a video", undecodable(MPEG2MPML), REFUSED,
         "is stored in a way that is not read (MPEG2 Main Profile / Main Level)", UnsupportedDataError),
    Case("F46", "a radiograph that knows its size at the detector",
         lambda folder: radiograph(folder, Modality="DX", ImagerPixelSpacing=[0.2, 0.1]), CONVERTED,
         "The image does not say where it lies in the patient; sizes in mm are those at the detector",
         values=pixels(0), corner=None),
    Case("F46", "a secondary capture in colour", capture, CONVERTED,
         "nor how large its pixels are (uncalibrated): 1 mm is assumed", values=COLOUR, corner=None),
    Case("F46", "one slice without position", changed(2, ImagePositionPatient=None), REFUSED,
         "does not say where it lies: ImagePositionPatient missing", GeometryError),
    Case("F46", "directions that are not perpendicular", series(ImageOrientationPatient=[1, 0, 0, 0.1, 1, 0]), REFUSED,
         "has an ImageOrientationPatient that is no pair of perpendicular directions", GeometryError),
    Case("F47", "a DICOMDIR that names files elsewhere", index_of_a_medium, REFUSED,
         "holds no image, but the index of a medium (DICOMDIR)", UnsupportedDataError),
    Case("F48", "other files among the slices", with_junk, CONVERTED,
         "Left out, being no DICOM images: empty; notes.txt; rd, a dose grid (RTDOSE)"),
    Case("F48", "nothing but a dose grid", derived_only, REFUSED,
         "holds no image, but a dose grid (RTDOSE)", UnsupportedDataError),
    Case("F48", "a file cut short", cut_short, REFUSED, "IM0002: has damaged pixels", UnreadableFileError),
    Case("F48", "a file cut in its header", cut_in_the_header, REFUSED,
         "IM0002: has a damaged DICOM header", UnreadableFileError),
]  # fmt: skip


def made(case, tmp_path):
    return case.make(tmp_path / "scan")


def of(*outcomes):
    return pytest.mark.parametrize("case", [case for case in CASES if case.outcome in outcomes], ids=str)


@of(REFUSED)
def test_what_cannot_be_read_is_refused_in_one_message(case, tmp_path, monkeypatch):
    monkeypatch.setattr(decoders.JPEG2000LosslessDecoder, "_available", {})
    with pytest.raises(VolumeError) as caught:
        open_volume(made(case, tmp_path))
    error = caught.value
    assert type(error) is case.kind
    assert case.message in str(error)
    assert error.next_step.endswith(".")
    assert str(tmp_path) not in str(error)
    assert CANARY not in str(error)


@of(ASKED)
def test_what_holds_several_is_asked_for(case, tmp_path):
    folder = made(case, tmp_path)
    with pytest.raises(ChoiceRequiredError) as caught:
        open_volume(folder)
    choices = caught.value.choices
    assert any(case.message in label for label in choices)
    opened = [open_volume(folder, choice=index) for index in range(len(choices))]
    sizes = [1 if volume.ndim == 2 else volume.shape[0] for volume in opened]
    assert [f", {size} s" in label for size, label in zip(sizes, choices, strict=True)] == [True] * len(choices)


@of(READ, CONVERTED)
def test_what_can_be_read_correctly_is_read_and_told(case, tmp_path):
    volume = open_volume(made(case, tmp_path))
    notes = volume.geometry.notes
    assert any(case.message in note for note in notes) if case.message else notes == ()
    assert np.array_equal(volume.array, case.values)
    if case.corner is None:
        assert not volume.geometry.known
    else:
        assert volume.geometry.to_world([3, 5, 4]) == pytest.approx(case.corner, abs=1e-3)
    written = write_labels(tmp_path / "labels.nii.gz", np.ones(volume.shape, np.uint8), volume.geometry)
    assert open_labels(written, volume).all(), "labels can be laid on it"


def test_every_case_of_the_list_has_a_file():
    assert {case.fault for case in CASES} == {f"F{number}" for number in range(34, 49)}


def test_the_page_tells_every_case_with_its_outcome_and_message():
    rows = [f"| {case.fault} | {case.holds} | {case.outcome} | {case.message} |" for case in CASES]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [row for row in page if row.startswith("| F") and row.count("|") == 5 and row[2:5] <= "F48"] == rows
