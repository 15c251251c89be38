import sys
import traceback

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.pixels import decoders
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, RLELossless

from napari_medfm.errors import (
    ChoiceRequiredError,
    GeometryError,
    TooLargeError,
    UnreadableFileError,
    UnsupportedDataError,
    VolumeError,
)
from napari_medfm.volume import automatic_window, can_read, edge_letters, open_labels, open_volume, write_labels
from napari_medfm.volume.dicom import dicom_slices
from napari_medfm.volume.orientation import to_source

from .dicom_files import CANARY, pixels, slice_dataset, write_series, write_slices

ROTATED = np.linalg.qr(np.array([[0.9, 0.2, 0.1], [-0.2, 0.95, 0.15], [-0.1, -0.2, 0.97]]))[0]


def refusal(folder, kind):
    with pytest.raises(VolumeError) as caught:
        open_volume(folder)
    error = caught.value
    assert type(error) is kind
    assert error.next_step.endswith(".")
    assert str(folder.parent) not in str(error)
    assert CANARY not in str(error)
    return str(error)


def test_a_series_is_sorted_by_position_and_rescaled(tmp_path):
    volume = open_volume(write_series(tmp_path / "scan"))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, np.stack([pixels(index).astype(int) - 1024 for index in range(4)]))
    assert volume.array.flags.c_contiguous
    assert volume.spacing == pytest.approx((2.5, 0.8, 0.7)), "positions count, not SliceThickness"
    assert volume.modality == "CT"
    assert volume.geometry.known
    assert volume.geometry.notes == ()
    assert edge_letters(volume.geometry) == ("R", "L", "A", "P")


def test_voxels_lie_where_the_positions_say_in_ras(tmp_path):
    geometry = open_volume(write_series(tmp_path / "scan")).geometry
    assert geometry.to_world([0, 0, 0]) == pytest.approx((20, 30, 100))
    assert geometry.to_world([3, 2, 1]) == pytest.approx((20 - 0.7, 30 - 2 * 0.8, 107.5))


@pytest.mark.parametrize(
    "across_down",
    [
        ([0, 1, 0], [0, 0, -1]),
        ([1, 0, 0], [0, 0, -1]),
        ([-1, 0, 0], [0, 1, 0]),
        (ROTATED[0].tolist(), ROTATED[1].tolist()),
    ],
    ids=["sagittal", "coronal", "feet first", "oblique"],
)
def test_every_orientation_keeps_its_landmarks(tmp_path, across_down):
    across, down = np.array(across_down[0], float), np.array(across_down[1], float)
    normal = np.cross(across, down)
    cosines = [*across_down[0], *across_down[1]]
    origin = np.array([10.0, -20, 30])
    datasets = [
        slice_dataset(
            index, ImagePositionPatient=(origin + 3 * index * normal).tolist(), ImageOrientationPatient=cosines
        )
        for index in range(4)
    ]
    volume = open_volume(write_slices(tmp_path / "scan", datasets))
    for index, row, column in [(0, 0, 0), (3, 5, 4), (1, 2, 3), (2, 0, 4)]:
        value = int(pixels(index)[row, column]) - 1024
        found = np.argwhere(volume.array == value)
        expected = origin + 3 * index * normal + 0.7 * column * across + 0.8 * row * down
        assert volume.geometry.to_world(found[0]) == pytest.approx(expected * (-1, -1, 1), abs=1e-3)
    assert nib.aff2axcodes(volume.geometry.affine) == ("S", "P", "L")


def test_labels_of_a_series_are_written_on_its_grid(tmp_path):
    volume = open_volume(write_series(tmp_path / "scan"))
    labels = np.arange(volume.array.size).reshape(volume.shape)
    out = write_labels(tmp_path / "labels.nii.gz", labels, volume.geometry)
    assert np.array_equal(open_labels(out, volume), labels)
    written = nib.load(out)
    assert written.shape == (5, 6, 4)
    assert np.allclose(written.affine @ (1, 2, 3, 1), (20 - 0.7, 30 - 1.6, 107.5, 1), atol=1e-4)


def test_nothing_of_the_patient_is_kept(tmp_path):
    volume = open_volume(write_series(tmp_path / CANARY))
    assert volume.name == "CT series 7"
    shown = repr((volume.name, volume.modality, volume.metadata, volume.geometry))
    assert "CANARY" not in shown
    assert "1970" not in shown


@pytest.mark.parametrize(
    ("fields", "before", "after"),
    [
        ({}, b"0.8\\0.7 ", b"CANARY\\1"),
        ({}, b"MONOCHROME2 ", b"CANARY      "),
        ({}, b"1.2.840.10008.1.2.1\0", b"1.2.CANARY8.1.2.1\0\0\0"),
        ({"SeriesNumber": 1234567}, b"1234567 ", b"CANARY  "),
        ({"RescaleSlope": 1.000001}, b"1.000001", b"CANARY.1"),
        ({"SpecificCharacterSet": "ISO_IR 100"}, b"ISO_IR 100", b"CANARY 100"),
        ({"SpacingBetweenSlices": 2.345678}, b"2.345678", b"CANARY  "),
        ({"Modality": "PTPTPT"}, b"PTPTPT", b"CANARY"),
    ],
    ids=["spacing", "photometric", "syntax", "number", "slope", "characters", "unused", "modality"],
)
def test_a_name_where_it_does_not_belong_is_quoted_nowhere(tmp_path, caplog, fields, before, after):
    folder = write_series(tmp_path / "scan", **fields)
    for file in folder.iterdir():
        content = file.read_bytes()
        assert len(before) == len(after)
        assert before in content
        file.write_bytes(content.replace(before, after))
    try:
        volume = open_volume(folder)
        shown = repr((volume.name, volume.modality, volume.metadata, volume.geometry))
    except VolumeError as error:
        shown = "".join(traceback.format_exception(error))
    assert "CANARY" not in shown + caplog.text


@pytest.mark.parametrize(("signed", "bits"), [(0, 12), (1, 16), (1, 12)])
def test_signed_and_unsigned_values_are_honoured(tmp_path, signed, bits):
    values = np.array([[-5, 7], [0, 2]]) if signed else np.array([[5, 7], [0, 2]])
    data = values.astype(np.int16).tobytes()
    fields = {"PixelRepresentation": signed, "BitsStored": bits, "HighBit": bits - 1, "PixelData": data}
    volume = open_volume(write_series(tmp_path / "scan", rows=2, columns=2, **fields))
    assert np.array_equal(volume.array[0], values - 1024)


def test_a_fractional_slope_gives_floats(tmp_path):
    volume = open_volume(write_series(tmp_path / "scan", RescaleSlope=0.5, RescaleIntercept=None))
    assert volume.array.dtype == np.float32
    assert volume.array[0, 0, 1] == 0.5


def test_one_slice_is_a_two_dimensional_image(tmp_path):
    folder = write_series(tmp_path / "scan", count=1)
    volume = open_volume(folder)
    assert volume.ndim == 2
    assert volume.spacing == pytest.approx((0.8, 0.7))
    assert np.array_equal(open_volume(folder / "IM0000").array, volume.array)


def test_several_series_are_asked_for_by_number(tmp_path):
    slices = [slice_dataset(index, series="1.2.9", SeriesNumber=3) for index in range(3)]
    slices += [slice_dataset(index, Modality="MR", spacing=1) for index in range(5)]
    folder = write_slices(tmp_path / "scan", slices)
    with pytest.raises(ChoiceRequiredError) as caught:
        open_volume(folder)
    assert caught.value.choices == ("series 3: CT, 3 slices of 5 x 6", "series 7: MR, 5 slices of 5 x 6")
    assert open_volume(folder, choice=1).modality == "MR"
    assert open_volume(folder, choice=0).shape == (3, 6, 5)


def test_junk_among_the_slices_is_left_out_and_listed(tmp_path):
    folder = write_series(tmp_path / "scan")
    (folder / "notes.txt").write_text("not an image")
    (folder / "empty").write_bytes(b"")
    (folder / "more").mkdir()
    slice_dataset(0, Modality="RTSTRUCT", series="9.9", Rows=None).save_as(folder / "rt", enforce_file_format=True)
    volume = open_volume(folder)
    assert volume.geometry.notes == ("Left out, being no DICOM images: empty; notes.txt; rt, contours (RTSTRUCT)",)
    assert volume.shape == (4, 6, 5)


def test_positions_rounded_by_the_scanner_are_even(tmp_path):
    heights = np.round(100 + np.arange(9) * 0.6256, 2)
    datasets = [slice_dataset(index, ImagePositionPatient=[0, 0, height]) for index, height in enumerate(heights)]
    volume = open_volume(write_slices(tmp_path / "scan", datasets))
    assert volume.spacing[0] == pytest.approx(0.6256, abs=0.002)


def test_slices_shifted_sideways_are_refused(tmp_path):
    datasets = [slice_dataset(index) for index in range(5)]
    datasets[2].ImagePositionPatient[0] += 4
    folder = write_slices(tmp_path / "scan", datasets)
    assert "shifted sideways by up to 4.00 mm" in refusal(folder, GeometryError)


def test_pixels_of_unknown_size_are_refused_by_name(tmp_path):
    message = refusal(write_series(tmp_path / "scan", PixelSpacing=None), GeometryError)
    assert "IM0000: does not say where it lies: PixelSpacing missing" in message


def test_one_slice_without_position_among_others_is_refused_by_name(tmp_path):
    datasets = [slice_dataset(index) for index in range(4)]
    del datasets[2].ImagePositionPatient
    message = refusal(write_slices(tmp_path / "scan", datasets), GeometryError)
    assert "does not say where it lies: ImagePositionPatient missing" in message


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"NumberOfFrames": 3}, UnsupportedDataError, "multi-frame image (3 frames)"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, UnsupportedDataError, "colour image (RGB)"),
        ({"ModalityLUTSequence": []}, UnsupportedDataError, "lookup table"),
        ({"BitsAllocated": 1}, UnsupportedDataError, "1 bits per pixel"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, GeometryError, "no pair of perpendicular directions"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, GeometryError, "no pair of perpendicular directions"),
        ({"PixelSpacing": [0, 0]}, GeometryError, "PixelSpacing of 0 mm"),
    ],
)
def test_what_is_not_plain_is_refused_by_name(tmp_path, fields, kind, words):
    assert words in refusal(write_series(tmp_path / "scan", **fields), kind)


@pytest.mark.parametrize(
    "fields",
    [
        {"rows": 7},
        {"FrameOfReferenceUID": "1.9"},
        {"Modality": "MR"},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"PixelSpacing": [0.8, 0.8]},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_slices_that_do_not_belong_together_are_told_apart(tmp_path, fields):
    datasets = [*[slice_dataset(index) for index in range(3)], slice_dataset(3, **fields)]
    folder = write_slices(tmp_path / "scan", datasets)
    refusal(folder, ChoiceRequiredError)
    assert np.array_equal(open_volume(folder, choice=0).array, open_volume(write_series(tmp_path / "b", 3)).array)
    assert open_volume(folder, choice=1).ndim == 2


def test_slices_of_mixed_pixel_types_keep_their_values(tmp_path):
    datasets = [slice_dataset(index) for index in range(3)]
    signed = (pixels(3).astype(np.int16) - 50).tobytes()
    datasets.append(slice_dataset(3, PixelRepresentation=1, BitsStored=16, HighBit=15, PixelData=signed))
    volume = open_volume(write_slices(tmp_path / "scan", datasets))
    assert np.array_equal(volume.array[3], pixels(3).astype(int) - 50 - 1024)
    assert np.array_equal(volume.array[2], pixels(2).astype(int) - 1024)


def test_damaged_pixels_are_refused_by_file(tmp_path):
    datasets = [slice_dataset(index) for index in range(3)]
    datasets[1].PixelData = datasets[1].PixelData[:20]
    message = refusal(write_slices(tmp_path / "scan", datasets), UnreadableFileError)
    assert "has damaged pixels" in message
    assert message.startswith("IM000")


def test_a_damaged_header_is_refused_by_file(tmp_path):
    folder = write_series(tmp_path / "scan", Columns=None)
    assert "has a damaged DICOM header" in refusal(folder, UnreadableFileError)


def test_compressed_slices_are_decoded(tmp_path):
    plain = open_volume(write_series(tmp_path / "plain"))
    datasets = [slice_dataset(index) for index in range(4)]
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)
    packed = open_volume(write_slices(tmp_path / "packed", datasets))
    assert np.array_equal(packed.array, plain.array)


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless"])
def test_what_scanners_compress_is_decoded_without_a_package_under_the_gpl(tmp_path, monkeypatch, name):
    for decoder in (decoders.JPEGLosslessDecoder, decoders.JPEGLosslessSV1Decoder, decoders.JPEGLSLosslessDecoder):
        monkeypatch.delitem(decoder._available, "pylibjpeg", raising=False)
    plain = open_volume(folder := write_series(tmp_path / "scan"))
    for path in folder.iterdir():
        compress(path, name)
    assert np.array_equal(open_volume(folder).array, plain.array)


def test_lossy_jpeg_of_8_bits_is_decoded_without_a_package_under_the_gpl(tmp_path, monkeypatch):
    monkeypatch.delitem(decoders.JPEGBaseline8BitDecoder._available, "pylibjpeg", raising=False)
    pixels = np.full((6, 5), 120, np.uint8)
    bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "RescaleIntercept": 0, "PixelData": pixels.tobytes()}
    folder = write_series(tmp_path / "scan", **bits)
    for path in folder.iterdir():
        compress(path, "JPEGBaselineProcess1")
    assert np.abs(open_volume(folder).array - 120.0).max() <= 2


def compress(path, name):
    """Let GDCM write a slice again in the transfer syntax that it calls so."""
    gdcm = pytest.importorskip("gdcm")
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(path))
    assert writer.Write()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed


@pytest.mark.parametrize(
    ("syntax", "decoder", "package"),
    [
        (JPEG2000Lossless, decoders.JPEG2000LosslessDecoder, "pylibjpeg pylibjpeg-openjpeg"),
        (JPEGLSLossless, decoders.JPEGLSLosslessDecoder, "python-gdcm"),
        (JPEGExtended12Bit, decoders.JPEGExtended12BitDecoder, "pylibjpeg pylibjpeg-libjpeg"),
    ],
)
def test_a_missing_decoder_names_its_package(tmp_path, monkeypatch, syntax, decoder, package):
    monkeypatch.setattr(decoder, "_available", {})
    datasets = [slice_dataset(index) for index in range(3)]
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
    message = refusal(write_slices(tmp_path / "scan", datasets), UnsupportedDataError)
    assert f"needs the package {package.split()[-1]} to decode" in message
    assert f'pip install {package}"' in message
    assert ("GPL" in message) == (syntax == JPEGExtended12Bit)


def test_video_compression_is_refused_by_name(tmp_path):
    datasets = [slice_dataset(index) for index in range(3)]
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset["PixelData"].is_undefined_length = True
    assert "MPEG2" in refusal(write_slices(tmp_path / "scan", datasets), UnsupportedDataError)


def test_a_folder_without_dicom_images_is_refused(tmp_path):
    (tmp_path / "scan").mkdir()
    (tmp_path / "scan" / "notes.txt").write_text("nothing")
    assert "holds no DICOM images" in refusal(tmp_path / "scan", UnreadableFileError)
    assert not can_read(tmp_path / "scan")


def test_a_folder_of_slices_and_a_nameless_slice_can_be_read(tmp_path):
    folder = write_series(tmp_path / "scan")
    assert can_read(folder)
    assert can_read(folder / "IM0000")


def test_more_than_the_memory_is_refused(tmp_path):
    with pytest.raises(TooLargeError):
        open_volume(write_series(tmp_path / "scan"), limit=100)


def test_without_pydicom_the_extra_is_named(tmp_path, monkeypatch):
    folder = write_series(tmp_path / "scan")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UnsupportedDataError, match=r"pip install napari-medfm\[dicom\]"):
        open_volume(folder)


@pytest.mark.shared_data
def test_a_real_jpeg2000_series_lies_under_its_nifti_labels_with_real_hu(shared_data):
    folder = shared_data / "dicom" / "totalseg_ct"
    volume = open_volume(folder / "series")
    labels = open_labels(folder / "example_seg_dicom.nii.gz", volume)
    assert volume.shape == (20, 512, 512)
    assert volume.spacing == pytest.approx((2, 0.9765625, 0.9765625))
    medians = {label: np.median(volume.array[labels == label]) for label in (1, 5, 32, 52)}
    assert 60 < medians[1] < 180, "spleen with contrast"
    assert 60 < medians[5] < 180, "liver with contrast"
    assert 100 < medians[32] < 500, "vertebra"
    assert 100 < medians[52] < 500, "aorta with contrast"
    assert np.median(volume.array[:, :40, :40]) < -900, "air beside the patient"
    assert automatic_window(volume).name in ("abdomen", "mediastinum")


@pytest.mark.shared_data
def test_a_real_series_has_the_grid_of_its_nifti_labels_within_a_thousandth_of_a_mm(shared_data):
    folder = shared_data / "dicom" / "totalseg_ct"
    volume, labels = open_volume(folder / "series"), open_volume(folder / "example_seg_dicom.nii.gz")
    assert volume.shape == labels.shape
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in volume.shape])).reshape(3, -1).T
    away = np.linalg.norm(volume.geometry.to_world(corners) - labels.geometry.to_world(corners), axis=-1)
    assert away.max() < 1e-3


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["totalseg_ct/series", "dcmqi_ct_seg/ct-3slice", "rtutils_ct_rtstruct"])
def test_hounsfield_units_of_real_series_are_those_that_simpleitk_reads(shared_data, name):
    volume = open_volume(shared_data / "dicom" / name)
    files = [str(header.file) for header in dicom_slices(shared_data / "dicom" / name, volume.geometry)]
    image = sitk.ReadImage(files)
    theirs = sitk.GetArrayFromImage(image)
    assert np.array_equal(to_source(volume.array, volume.geometry.source).T, theirs)
    there = np.array(image.TransformIndexToPhysicalPoint((3, 2, 0))) * (-1, -1, 1)
    assert volume.geometry.source.affine @ (3, 2, 0, 1) == pytest.approx((*there, 1), abs=1e-3)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["dcmqi_ct_seg/ct-3slice", "rtutils_ct_rtstruct"])
def test_other_real_series_open(shared_data, name):
    volume = open_volume(shared_data / "dicom" / name)
    assert volume.modality == "CT"
    assert volume.array.dtype == np.int16
