from dataclasses import replace

import numpy as np
import pytest
from suites.exporter import CLASSES, make_case

from napari_medfm.errors import ExportError
from napari_medfm.export import Case, CaseObject, DatasetPlan, Entry, Facts, class_map
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Geometry, Plane

PLAN = DatasetPlan("set", CLASSES, ("CT",), (Entry("a", "p"),))


def test_each_voxel_has_the_value_of_its_innermost_class():
    case = make_case()
    expected = np.select([case.labels == 3, case.labels == 7, case.labels == 70000], [1, 2, 3])
    np.testing.assert_array_equal(class_map(case, PLAN), expected)


def test_slices_of_every_direction_count_as_looked_at():
    case = make_case()
    coronal = {(kind.name, Plane(1, row)): Extent.NEGATIVE for kind in CLASSES for row in range(1, 16)}
    mapped = class_map(replace(case, extent=coronal), PLAN)
    assert (mapped[:, 0] == PLAN.ignore).all()
    assert not (mapped[:, 1:] == PLAN.ignore).any()


def test_a_class_that_only_other_cases_define_was_not_looked_for():
    plan = replace(PLAN, classes=(*CLASSES, ObjectClass("spleen")))
    mapped = class_map(make_case(), plan)
    assert (mapped[make_case().labels == 0] == plan.ignore).all()
    assert (mapped[make_case().labels == 3] == 1).all()  # a voxel of the liver is none of the spleen
    assert not (class_map(make_case(), replace(plan, facts=Facts(complete=True))) == plan.ignore).any()


def test_an_organ_holds_what_lies_inside_it():
    case = make_case()
    np.testing.assert_array_equal(case.class_mask("liver"), np.isin(case.labels, (3, 7)))
    np.testing.assert_array_equal(case.object_mask(3), np.isin(case.labels, (3, 7)))
    np.testing.assert_array_equal(replace(case, beneath=()).object_mask(3), case.labels == 3)
    region = (slice(1, 3), slice(0, 9), slice(4, 6))
    np.testing.assert_array_equal(case.object_mask(3, region), case.object_mask(3)[region])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {}}, "has no image"),
        ({"objects": (CaseObject(3, "liver"),)}, "holds the label 7"),
        ({"objects": (CaseObject(3, "heart"),)}, "'heart', which it does not define"),
        ({"labels": np.zeros((2, 2, 2), np.uint8)}, "another shape"),
    ],
)
def test_a_case_whose_parts_do_not_belong_together_is_refused(changes, message):
    with pytest.raises(ExportError, match=message):
        replace(make_case(), **changes)


def test_images_that_do_not_lie_on_each_other_are_no_case():
    case = make_case()
    moved = case.geometry.affine.copy()
    moved[:3, 3] += 0.1
    other = make_case(geometry=Geometry(case.geometry.shape, moved))
    with pytest.raises(ExportError, match="does not lie on the first image"):
        Case("p", {"CT": case.images["CT"], "MR": other.images["CT"]}, case.labels, case.objects, CLASSES)
