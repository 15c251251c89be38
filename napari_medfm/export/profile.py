"""Taking the patient out of a DICOM dataset: PS3.15 Annex E, and stricter where texts are concerned.

The tables of the standard's Basic Application Level Confidentiality Profile name what has to go. They come with the
package `dicom-anonymizer`, which follows the standard's editions; it applies them to the outermost level only, so
that they are applied here to every item of every sequence. They leave what they do not name, such as retired elements
or texts that a site put where they do not belong. Therefore nothing that could hold a text stays unless it is listed
here with the values it may have: what remains are numbers, a few defined terms, new UIDs and the pixels.
"""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from napari_medfm import __version__
from napari_medfm.errors import ExportError, UnsupportedDataError
from napari_medfm.pseudonyms import Pseudonyms
from napari_medfm.volume.dicom_patient import identity
from napari_medfm.volume.dicom_pixels import PIXEL_FAULTS

EDITION = "2026c"
"""Edition of the standard whose tables are used."""

METHOD = (f"napari-medfm {__version__}", f"PS3.15 {EDITION} Basic Profile", "all other texts removed")

_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})
_WRITTEN_NUMBERS = frozenset({"DS", "IS"})
_IMAGE_TYPES = frozenset(
    {"ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "VOLUME", "NONE", "OTHER", "REFORMATTED"}
    | {"MPR", "M", "P", "R", "I", "T1", "T2", "FLUID_ATTENUATED", "DIFFUSION", "ADC"}
)
_TERMS: dict[str, frozenset[str]] = {
    "ImageType": _IMAGE_TYPES,
    "FrameType": _IMAGE_TYPES,
    "Modality": frozenset({"CT", "MR", "PT", "NM", "CR", "DX", "MG", "XA", "RF", "US", "OT"}),
    "PhotometricInterpretation": frozenset({"MONOCHROME1", "MONOCHROME2", "RGB"}),
    "PatientPosition": frozenset({"HFS", "HFP", "FFS", "FFP", "HFDR", "HFDL", "FFDR", "FFDL"}),
    "RescaleType": frozenset({"HU", "US", "OD", "HU_MOD", "PCT"}),
    "LossyImageCompression": frozenset({"00", "01"}),
    "BurnedInAnnotation": frozenset({"NO"}),
    "Units": frozenset({"BQML", "CNTS", "NONE", "CM2", "PCNT", "GML", "PROPCNTS", "PROPCPS"}),
    "MRAcquisitionType": frozenset({"2D", "3D"}),
    "ScanningSequence": frozenset({"SE", "IR", "GR", "EP", "RM"}),
}
"""Elements with words that stay, and the words they may hold."""

_EMPTY = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID", "PatientBirthDate"),
    *("PatientSex", "Manufacturer", "PositionReferenceIndicator", "Laterality", "ContentDate", "ContentTime"),
)
"""Elements that images must have, but that may be empty."""
_UNKNOWN_TYPE = ("DERIVED", "SECONDARY")
_STANDARD_UIDS = "1.2.840.10008."
_PIXELS = "PixelData"
_NO_TEXT = b"\0" * 128
_CODE = ("113100", "DCM", "Basic Application Confidentiality Profile")


def deidentify(dataset: Any, pseudonyms: Pseudonyms) -> str:
    """Take the patient out of a dataset, in place, and return the pseudonym that stands in it.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Complete, with its pixels, which are written uncompressed: compressed streams may hold comments.
    pseudonyms : Pseudonyms
        For the patient and for every UID.

    Raises
    ------
    ExportError
        The pixels are said to hold writing, or the tables do not fit the dataset.
    UnsupportedDataError
        The package `dicom-anonymizer` is missing.
    """
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        step = "Remove the writing from the image first; nobody but a person can check that it is gone."
        raise ExportError("DICOM image", "says that there is writing in its pixels (BurnedInAnnotation)", step)
    patient = pseudonyms.patient(identity(dataset))
    _expose_pixels(dataset)
    _strip(dataset, pseudonyms)
    for part in _datasets(dataset):
        _apply_tables(part)
    _state(dataset, patient)
    return patient


def _expose_pixels(dataset: Any) -> None:
    """Rewrite the pixels from their values: no comments of a codec, nothing in unused bits, nothing behind the end."""
    pixels = import_module("pydicom.pixels")
    uids = import_module("pydicom.uid")
    if _PIXELS not in dataset:
        return
    values = pixels.pixel_array(dataset)
    if values.ndim and dataset.get("SamplesPerPixel", 1) == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    content = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset.file_meta.TransferSyntaxUID = uids.ExplicitVRLittleEndian
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    dataset[_PIXELS].VR = "OB" if values.dtype.itemsize == 1 else "OW"
    dataset[_PIXELS].is_undefined_length = False


def _strip(dataset: Any, pseudonyms: Pseudonyms) -> None:
    """Keep numbers, pixels and listed terms of a dataset and its sequences; give every UID its pseudonym."""
    for element in _elements(dataset):
        if element.VR == "SQ" and not element.tag.is_private:
            for item in element.value:
                _strip(item, pseudonyms)
            if not any(len(item) for item in element.value):
                del dataset[element.tag]
        elif element.VR == "UI" and not element.tag.is_private:
            element.value = _uids(element.value, pseudonyms)
        elif not _stays(element):
            del dataset[element.tag]


def _elements(dataset: Any) -> list[Any]:
    """Return the elements that can be made out; those that cannot are removed."""
    found = []
    for tag in list(dataset.keys()):
        try:
            found.append(dataset[tag])
        except PIXEL_FAULTS:
            del dataset[tag]
    return found


def _uids(value: Any, pseudonyms: Pseudonyms) -> Any:
    if not isinstance(value, str):
        return [_uids(part, pseudonyms) for part in value or ()]
    return value if not value or value.startswith(_STANDARD_UIDS) else pseudonyms.uid(value)


def _stays(element: Any) -> bool:
    if element.tag.is_private or element.tag.group % 2 or element.tag.group >> 8 in (0x50, 0x60):
        return False
    if element.keyword == _PIXELS or element.VR in _NUMBERS:
        return True
    if element.VR in _WRITTEN_NUMBERS:
        return all(_is_number(part) for part in _parts(element.value))
    words = _TERMS.get(element.keyword)
    if words is None:
        return False
    if words is _IMAGE_TYPES and any(str(part) in words for part in _parts(element.value)):
        element.value = [str(part) if str(part) in words else "OTHER" for part in _parts(element.value)]
    return all(str(part) in words for part in _parts(element.value))


def _parts(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) or not hasattr(value, "__iter__") else list(value)


def _is_number(value: Any) -> bool:
    try:
        float(value if value not in (None, "") else 0)
    except (TypeError, ValueError):
        return False
    return True


def _datasets(dataset: Any) -> Iterator[Any]:
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _datasets(item)


def _apply_tables(dataset: Any) -> None:
    try:
        _anonymizer().anonymize_dataset(dataset, base_rules_gen=_rules)
    except NotImplementedError as error:
        raise ExportError(
            "DICOM image", "has an element of a kind that no rule is for", "Convert it to NIfTI."
        ) from error


@cache
def _base() -> dict[Any, Any]:
    """Return the tables, without what they say of UIDs: those have their pseudonyms already."""
    library = _anonymizer()
    rules = library.initialize_actions(f"dicomfields_{EDITION}")
    return {tag: library.keep if rule is library.replace_UID else rule for tag, rule in rules.items()}


def _rules() -> dict[Any, Any]:
    return dict(_base())


def _anonymizer() -> ModuleType:
    try:
        return import_module("dicomanonymizer.simpledicomanonymizer")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[dicom]".'
        raise UnsupportedDataError(
            "DICOM image", "needs the package dicom-anonymizer to be de-identified", step
        ) from error


def _state(dataset: Any, patient: str) -> None:
    """Say in the dataset that it was de-identified and how, and give it a file header with nothing of the old one."""
    pydicom = import_module("pydicom")
    if "ImageType" not in dataset:
        dataset.ImageType = list(_UNKNOWN_TYPE)
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    dataset.PatientName = dataset.PatientID = patient
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = list(METHOD)
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = _CODE
    dataset.DeidentificationMethodCodeSequence = [code]
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    dataset.preamble = _NO_TEXT
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.file_meta = meta
