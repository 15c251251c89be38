import pytest

from napari_medfm.errors import ExportError
from napari_medfm.export import Options
from napari_medfm.export.planning import Sketch, merge_classes, plan_dataset, same_patients
from napari_medfm.session import ObjectClass

LIVER = (ObjectClass("liver"),)


def a_sketch(name="", patient="p", channels=("CT",), classes=LIVER):
    return Sketch(name, patient, channels, classes, frozenset())


def test_parents_come_before_what_lies_in_them_whatever_the_order_of_the_lists():
    lesion, liver, core = (
        ObjectClass("lesion", parent="liver"),
        ObjectClass("liver"),
        ObjectClass("core", parent="lesion"),
    )
    merged = merge_classes([(core, lesion, liver), (ObjectClass("spleen"), liver)])
    assert [kind.name for kind in merged] == ["liver", "lesion", "core", "spleen"]


def test_a_parent_that_no_list_defines_is_none():
    assert merge_classes([(ObjectClass("lesion", parent="liver"),)]) == (ObjectClass("lesion"),)


def test_a_class_lies_in_the_same_one_everywhere():
    with pytest.raises(ExportError, match="lies in nothing in one case and in liver in another"):
        merge_classes([(ObjectClass("liver"), ObjectClass("lesion", parent="liver")), (ObjectClass("lesion"),)])


def test_all_cases_have_the_same_images():
    with pytest.raises(ExportError, match="MR, and the first case has CT"):
        plan_dataset([a_sketch(), a_sketch(channels=("MR",))], "set", Options())


def test_without_cases_or_classes_there_is_no_data_set():
    with pytest.raises(ExportError, match="has no case"):
        plan_dataset([], "set", Options())
    with pytest.raises(ExportError, match="has no class"):
        plan_dataset([a_sketch(classes=())], "set", Options())


def test_patients_get_new_pseudonyms_and_cases_safe_names():
    plan = plan_dataset([a_sketch("a/b", "John"), a_sketch("", "Jane"), a_sketch("c", "John")], "My set!", Options())
    assert [entry.patient for entry in plan.entries] == ["patient_0001", "patient_0002", "patient_0001"]
    assert [entry.id for entry in plan.entries] == ["a_b", "case_0002", "c"]
    assert plan.name == "My_set"
    assert plan.values == {"liver": 1}
    assert plan.ignore == 2


def test_a_copy_of_an_image_is_of_the_same_patient_whatever_it_is_called():
    cases = [("a", "1"), ("b", "2"), ("c", "1"), ("b", "3"), ("d", "3"), ("e", "4"), ("f", "")]
    sketches = [Sketch("", patient, ("CT",), LIVER, frozenset(), image) for patient, image in cases]
    assert same_patients(sketches) == ("a", "b", "a", "b", "b", "e", "f")
