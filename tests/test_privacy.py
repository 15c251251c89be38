"""A DICOM series full of marks leaves none of them anywhere: in no log, no cache, no journal and no export."""

import gzip
import logging
import sqlite3
from dataclasses import replace

import numpy as np
import pytest
from export.dicom_cases import write_complete_series
from export.marked import DATES, MARK, write_marked_series
from typer.testing import CliRunner
from volume.dicom_files import slice_dataset, write_slices

from napari_medfm import cli
from napari_medfm.export import Facts, Options, case_from_session, export_dataset, find_exporter, open_dataset
from napari_medfm.export.segmentation import read_masks
from napari_medfm.session import AnnotationSession, ObjectClass
from napari_medfm.settings import load_settings
from napari_medfm.volume import fingerprint, open_volume
from napari_medfm.volume.dicom import dicom_slices

FORBIDDEN = (MARK.encode(), *DATES)


def contents(path):
    """Yield what a file holds as it is, unpacked, and row by row."""
    raw = path.read_bytes()
    yield raw
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    if raw[:15] == b"SQLite format 3":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                yield repr(database.execute(f"SELECT * FROM {table}").fetchall()).encode()
        database.close()


def marks_in(folder):
    """Return the files of a folder whose name or content holds a mark."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files, "there is something to search"
    named = [path.name for path in files if MARK in str(path.relative_to(folder))]
    held = [path.name for path in files for content in contents(path) if any(mark in content for mark in FORBIDDEN)]
    return named + held


@pytest.fixture
def loud(caplog):
    """Record everything that any logger says."""
    caplog.set_level(logging.DEBUG)
    logging.captureWarnings(True)
    yield caplog
    logging.captureWarnings(False)


@pytest.fixture
def run():
    """Run a command, and return what it shows."""

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result.output

    return invoke


def annotate(source):
    """Open a session as the panel does, and draw an object; return its case."""
    volume = open_volume(source)
    with AnnotationSession.create(volume, fingerprint(volume), classes=(ObjectClass("organ"),)) as session:
        session.set_image(volume.name)
        organ = session.add_object("organ")
        session.write_voxels(organ, (slice(1, 2), slice(3, 9), slice(3, 9)), np.ones((1, 6, 6), bool))
        session.accept(organ)
        assert marks_in(load_settings().data_dir) == [], "in the write-ahead log neither, while it is open"
        return replace(case_from_session(session, patient=MARK), source=source)


def test_a_marked_series_leaves_no_mark_anywhere(tmp_path, loud, capfd, run):
    source, out = write_marked_series(tmp_path / "in", count=4), tmp_path / "out"
    out.mkdir()
    shown = run("embed", source)
    case = annotate(source)
    shown += run("session", "export", source, "-o", out / "labels.nii.gz")
    shown += run("export", source, "-o", out / "set", "--complete")
    for form in ("nifti", "decathlon", "coco", "dicom_seg"):
        export_dataset([case], find_exporter(form), out / form, Options(facts=Facts(complete=True)))
    shown += run("deidentify", source, out / "copies")
    shown += run("session", "verify", source)
    assert len(list(out.rglob("*.dcm"))) == 9
    assert MARK not in shown
    assert marks_in(out) == []
    assert marks_in(load_settings().data_dir) == marks_in(load_settings().cache_dir) == []
    assert MARK not in loud.text
    assert MARK not in "".join(capfd.readouterr())


def test_the_search_finds_what_is_hidden(tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(FORBIDDEN[0]))
    with sqlite3.connect(tmp_path / "b.db") as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (?)", (MARK,))
    database.close()
    (tmp_path / f"{MARK}.txt").touch()
    assert sorted(set(marks_in(tmp_path))) == [f"{MARK}.txt", "a.nii.gz", "b.db"]


def test_a_segmentation_for_the_archive_is_told_to_name_the_patient(tmp_path, run):
    source = write_complete_series(tmp_path / "scan")
    case = annotate(source)
    assert "names the patient as the series does" in run("session", "export", source, "-o", tmp_path / "labels.dcm")
    (mask,) = read_masks(tmp_path / "labels.dcm", case.geometry, dicom_slices(source, case.geometry))
    assert np.array_equal(mask, case.object_mask(1))


def test_series_of_one_patient_in_two_folders_are_one_patient_in_a_set(tmp_path, run):
    for name, shift, patient in (("a", 0, "1"), ("b", 1, "1"), ("c", 2, "2")):
        annotate(write_complete_series(tmp_path / "in" / name, RescaleIntercept=shift, PatientID=patient))
    run("export", tmp_path / "in", "-o", tmp_path / "set", "--format", "nifti", "--complete")
    plan = open_dataset(tmp_path / "set").manifest.plan
    assert [entry.patient for entry in plan.entries] == ["patient_0001", "patient_0001", "patient_0002"]


def test_images_that_cannot_be_made_safe_are_told_by_number_and_code(tmp_path, run):
    write_slices(tmp_path / MARK, [slice_dataset(0), slice_dataset(1, BurnedInAnnotation="YES")])
    shown = run("deidentify", tmp_path / MARK, tmp_path / "out", code=3)
    assert "writing in its pixels" in shown
    assert MARK not in shown
