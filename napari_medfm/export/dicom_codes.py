"""Codes for classes in DICOM: SNOMED CT where a class is called like a concept of the standard's own list.

Classes are free text. What a name says is looked up in the lists that DICOM gives for segmentations (CID 7151
"Segmentation Property Types", CID 7159 "Lesion Segmentation Types"); what is not found keeps its name as the meaning
of a code of the private scheme `99MEDFM`, which any reader shows and none mistakes for something else.
"""

import hashlib
import re
from importlib import import_module
from typing import Any, NamedTuple

PRIVATE_SCHEME = "99MEDFM"

_SIDES = frozenset({"left", "right", "l", "r"})
_LESIONS = {
    "tumor": "Neoplasm",
    "tumors": "Neoplasm",
    "tumour": "Neoplasm",
    "tumours": "Neoplasm",
    "cancer": "Neoplasm",
    "metastasis": "NeoplasmSecondary",
    "metastases": "NeoplasmSecondary",
    "haemorrhage": "Hemorrhage",
    "oedema": "Edema",
    "lesions": "Lesion",
    "nodules": "Nodule",
    "cysts": "Cyst",
}
"""Other words for concepts of CID 7159."""
_LONGEST_MEANING = 64
_DIGITS = 12


class ClassCode(NamedTuple):
    """How DICOM calls a class.

    Attributes
    ----------
    category : pydicom.sr.coding.Code
        Anatomical structure, morphologically abnormal structure, or tissue if nothing is known.
    kind : pydicom.sr.coding.Code
        What it is.
    """

    category: Any
    kind: Any


def class_code(name: str) -> ClassCode:
    """Return the codes of a class by its name; sides and plurals of lesions do not matter."""
    codes = import_module("pydicom.sr.codedict").codes
    words = [word for word in re.split(r"[\W_]+", name.lower()) if word and word not in _SIDES]
    lesion = next((found for word in words if (found := _lesion(codes, word)) is not None), None)
    if lesion is not None:
        return ClassCode(codes.SCT.MorphologicallyAbnormalStructure, lesion)
    structure = _member(codes.cid7151, "".join(words))
    if structure is not None:
        return ClassCode(codes.SCT.AnatomicalStructure, structure)
    value = hashlib.sha256(name.encode()).hexdigest()[:_DIGITS].upper()
    code = import_module("pydicom.sr.coding").Code
    return ClassCode(codes.SCT.Tissue, code(value, PRIVATE_SCHEME, name[:_LONGEST_MEANING]))


def _lesion(codes: Any, word: str) -> Any:
    keyword = _LESIONS.get(word)
    return getattr(codes.cid7159, keyword) if keyword else _member(codes.cid7159, word)


def _member(group: Any, word: str) -> Any:
    keyword = next((keyword for keyword in group.dir() if keyword.lower() == word), None) if word else None
    return getattr(group, keyword) if keyword else None
