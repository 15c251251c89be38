"""Writes small DICOM series, plain ones and odd ones."""

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, generate_uid

CANARY = "CANARY^PATIENT"


def slice_dataset(index, *, series="1.2.3", spacing=2.5, rows=6, columns=5, tilt=0.0, **fields):
    """Return one CT slice of a series along +z; fields override or, when None, remove elements."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = CANARY, CANARY, "19700101"
    dataset.StudyDescription = dataset.SeriesDescription = dataset.InstitutionName = CANARY
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = "CT", series, 7
    dataset.FrameOfReferenceUID = "1.2.4"
    dataset.InstanceNumber = 1  # the same everywhere: nothing may rely on it
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.ImagePositionPatient = [-20, -30 + tilt * spacing * index, 100 + spacing * index]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.7], 5
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.PixelData = pixels(index, rows, columns).tobytes()
    for name, value in fields.items():
        if value is None:
            del dataset[name]
        else:
            setattr(dataset, name, value)
    return dataset


def pixels(index, rows=6, columns=5):
    """Return the stored values of a slice: every voxel of the series differs."""
    return (np.arange(rows * columns).reshape(rows, columns) + 100 * index).astype(np.uint16)


def write_slices(folder, datasets, names=None):
    """Write slices under names that say nothing of their order, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(0).permutation(len(datasets))
    for position, dataset in zip(order, datasets, strict=True):
        dataset.save_as(folder / f"IM{position:04d}", enforce_file_format=True)
    return folder


def write_series(folder, count=4, **fields):
    """Write a plain series of that many slices."""
    return write_slices(folder, [slice_dataset(index, **fields) for index in range(count)])


def enhanced_dataset(indices, *, stacks=None, rows=6, columns=5, **fields):
    """Return one multi-frame MR file whose frames lie as `slice_dataset` puts those of these indices."""
    without = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None}
    dataset = slice_dataset(0, rows=rows, columns=columns, **without)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    dataset.Modality, dataset.NumberOfFrames = "MR", len(indices)
    del dataset.RescaleSlope, dataset.RescaleIntercept, dataset.SliceThickness
    dataset.PixelData = b"".join(pixels(index, rows, columns).tobytes() for index in indices)
    dataset.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[item(PixelSpacing=[0.8, 0.7], SliceThickness=5, SpacingBetweenSlices=-1)],
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-20, -30, 100 + 2.5 * index])],
            PixelValueTransformationSequence=[item(RescaleSlope=1, RescaleIntercept=-1024)],
            FrameContentSequence=[item(StackID=str(stacks[frame]) if stacks else "1")],
            MREchoSequence=[item(EffectiveEchoTime=20.0)],
        )
        for frame, index in enumerate(indices)
    ]
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def item(**fields):
    """Return an item of a sequence."""
    dataset = Dataset()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset
