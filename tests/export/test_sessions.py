import json
from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import ExportError, JournalError
from napari_medfm.export import (
    case_from_file,
    case_from_journal,
    case_from_session,
    export_dataset,
    find_exporter,
)
from napari_medfm.prompts import Point
from napari_medfm.session import AnnotationSession, Extent, ObjectClass, read_record, resolve
from napari_medfm.volume import Plane, fingerprint, open_volume, write_stack, write_volume

FINGERPRINT = "cd" * 32
CLASSES = [ObjectClass("organ"), ObjectClass("lesion", parent="organ")]


@pytest.fixture
def session(small_volume, tmp_path):
    """A session in which the model answered, the hand corrected, and one answer was taken back."""
    session = AnnotationSession.create(
        small_volume, FINGERPRINT, folder=tmp_path / "sessions", classes=CLASSES, annotator="A. Nobody"
    )
    organ = session.add_object("organ", name="SMITH^JOHN")
    _answer(session, Plane(0, 3), (slice(10, 30), slice(10, 40)), "compact")
    session.write_voxels(organ, (slice(3, 4), slice(5, 10), slice(10, 12)), np.ones((1, 5, 2), bool))
    session.accept(organ)
    session.add_object("lesion")
    _answer(session, Plane(0, 3), (slice(12, 15), slice(12, 15)), "random_walker")
    _answer(session, Plane(0, 4), (slice(12, 15), slice(12, 15)), "sam")
    session.undo()
    session.set_extent("organ", [Plane(0, 3)], Extent.ANNOTATED)
    session.add_object("organ")  # without a voxel
    yield session
    session.close()


def _answer(session, plane, box, model):
    session.add_prompt(Point(plane, (13.0, 13.0)))
    mask = np.zeros((48, 64), bool)
    mask[box] = True
    request = resolve(session.state, plane)
    assert session.apply_mask(request, mask, model=model, model_digest="d" * 64, quality=0.9, adapters=("e" * 64,))


def test_a_session_becomes_a_case_with_all_that_it_knows(session):
    case = case_from_session(session, patient="p1")
    np.testing.assert_array_equal(case.labels, session.labels)
    assert [(thing.id, thing.class_name, thing.accepted) for thing in case.objects] == [
        (1, "organ", True),
        (2, "lesion", False),
    ]
    assert case.classes == tuple(CLASSES)
    assert case.extent == {("organ", Plane(0, 3)): Extent.ANNOTATED}
    assert list(case.images) == ["CT"]
    np.testing.assert_array_equal(case.object_mask(1)[3], session.object_mask(1, Plane(0, 3)))
    assert case.object_mask(1)[3, 13, 13]  # under the lesion


def test_the_journal_alone_makes_the_same_case_while_the_session_goes_on(session, small_volume):
    case = case_from_journal([small_volume], FINGERPRINT, patient="p1", folder=session.path.parent)
    np.testing.assert_array_equal(case.labels, session.labels)
    session.delete_object(2)  # whoever read it did not lock it
    again = case_from_journal([small_volume], FINGERPRINT, patient="p1", folder=session.path.parent)
    np.testing.assert_array_equal(again.labels, session.labels)


def test_provenance_tells_who_and_by_what_and_nothing_that_was_taken_back(session):
    told = case_from_session(session, patient="p1").provenance
    assert told["annotators"] == ["A. Nobody"]
    assert told["image_sha256"] == FINGERPRINT
    assert [model["name"] for model in told["models"]] == ["compact", "random_walker"]
    assert told["adapters"] == ["e" * 64]
    organ, lesion, _ = told["objects"]
    assert (organ["class"], organ["answers"], organ["strokes"]) == ("organ", 1, {"painted": 1, "erased": 0})
    assert [prompt["position"] for prompt in lesion["prompts"]] == [[13.0, 13.0]]
    assert organ["first"] <= organ["last"] <= told["last"]
    assert "SMITH" not in json.dumps(told)


def test_names_of_objects_stay_at_home(session, tmp_path):
    export_dataset([case_from_session(session, patient="p")], find_exporter("nifti"), tmp_path / "set")
    for path in (tmp_path / "set").rglob("*.*"):
        assert b"SMITH" not in path.read_bytes()


def test_several_images_are_channels_named_by_what_they_are(session, small_volume):
    session.add_image("SMITH^JOHN late phase", small_volume, "ef" * 32)
    assert list(case_from_session(session, patient="p").images) == ["CT", "CT_2"]


def test_an_object_without_a_class_is_named_where_there_are_classes(session):
    number = session.add_object()
    session.write_voxels(number, (slice(0, 1),) * 3, np.ones((1, 1, 1), bool))
    with pytest.raises(ExportError, match=f"object {number} has no class"):
        case_from_session(session, patient="p")


def test_without_any_classes_all_objects_are_of_one(small_volume, tmp_path):
    with AnnotationSession.create(small_volume, FINGERPRINT, folder=tmp_path) as session:
        for place in range(2):
            box = (slice(place, place + 1),) * 3
            session.write_voxels(session.add_object(), box, np.ones((1, 1, 1), bool))
        case = case_from_session(session, patient="p")
    assert [(thing.id, thing.class_name) for thing in case.objects] == [(1, "object"), (2, "object")]


def test_an_image_without_a_journal_is_told(small_volume, tmp_path):
    with pytest.raises(JournalError, match="does not exist"):
        read_record(small_volume, FINGERPRINT, tmp_path)
    with pytest.raises(JournalError, match="does not exist"):
        case_from_journal([small_volume], FINGERPRINT, patient="p", folder=tmp_path)


def test_the_case_of_a_file_is_what_its_journal_tells_of_the_image_that_was_chosen(small_volume, tmp_path):
    image = write_volume(tmp_path / "SMITH.nii.gz", small_volume)
    labels = annotated(open_volume(image))
    case = case_from_file(image, fingerprint(small_volume), patient="p1", title="case 1", modality="MR")
    np.testing.assert_array_equal(case.labels, labels)
    assert (case.patient, list(case.images), case.source) == ("p1", ["MR"], image)

    later = replace(small_volume, array=small_volume.array + np.int16(7))
    both = write_stack(tmp_path / "both.nii.gz", [small_volume, later])
    chosen = open_volume(both, choice=1)
    annotated(chosen)
    case = case_from_file(both, fingerprint(chosen), patient="p1", title="case 2", choice=1)
    np.testing.assert_array_equal(next(iter(case.images.values())).array, later.array)


def test_a_file_that_is_gone_changed_or_was_never_annotated_is_told_by_the_title_of_its_case(small_volume, tmp_path):
    image, digest = write_volume(tmp_path / "a.nii.gz", small_volume), fingerprint(small_volume)
    with pytest.raises(ExportError, match="case 3: holds no annotation on this computer"):
        case_from_file(image, digest, patient="p", title="case 3")
    annotated(open_volume(image))
    write_volume(image, replace(small_volume, array=small_volume.array[::-1].copy()))
    with pytest.raises(ExportError, match=r"case 3: its image a\.nii\.gz was changed since"):
        case_from_file(image, digest, patient="p", title="case 3")
    image.unlink()
    with pytest.raises(ExportError, match=r"case 3: its image a\.nii\.gz is not there any more"):
        case_from_file(image, digest, patient="p", title="case 3")


def annotated(volume):
    """Annotate an image on this computer, and return its labels."""
    with AnnotationSession.create(volume, fingerprint(volume), classes=CLASSES) as session:
        session.write_voxels(session.add_object("organ"), (slice(1, 3),) * 3, np.ones((2, 2, 2), bool))
        return session.labels.copy()
