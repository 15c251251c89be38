"""What every form of training set must do: inherit `ExporterSuite` and say which."""

import gzip
import itertools
from dataclasses import replace

import numpy as np
import pytest

from napari_medfm.errors import MedfmError
from napari_medfm.export import Case, CaseObject, Exporter, Facts, Options, class_map, export_dataset, open_dataset
from napari_medfm.session import Extent, ObjectClass
from napari_medfm.volume import Geometry, Plane, Volume, array_geometry
from napari_medfm.volume.orientation import canonical_geometry, source_grid

CANARY = "SMITH^JOHN"
"""Stands wherever a patient's name may stand in a case, and must never be in a data set."""

CLASSES = (
    ObjectClass("liver", (200, 80, 60)),
    ObjectClass("lesion", (90, 200, 60), parent="liver"),
    ObjectClass("left kidney", (60, 80, 200)),
)


def oblique(shape, spacing=(3.0, 0.8, 0.8)):
    """Return a grid turned by a few degrees, whose file has its axes in another order and direction."""
    turn, tilt = np.radians(7), np.radians(-4)
    about_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([spacing[2], -spacing[1], spacing[0]])
    affine[:3, 3] = (-31.5, 40.25, 112.0)
    return canonical_geometry(source_grid(shape[::-1], affine))


def annotated(shape=(5, 16, 20)):
    """Return labels with a liver (3) that holds a lesion (7), and a kidney (70000); and what lies beneath."""
    labels = np.zeros(shape, np.uint32)
    labels[..., 3:12, 2:10] = 3
    beneath = np.zeros_like(labels)
    beneath[..., 5:8, 4:7] = 3
    labels[..., 5:8, 4:7] = 7
    labels[..., 4:9, 13:17] = 70000
    return labels, beneath


def everything_seen(shape, classes=CLASSES):
    planes = Geometry(shape, np.eye(4)).planes()
    return {(kind.name, plane): Extent.ANNOTATED for kind in classes for plane in planes}


def make_case(patient="p1", geometry=None, channels=("CT",), seed=0, **changes):
    """Return a case of noise in which everything was looked at."""
    geometry = geometry if geometry is not None else oblique((5, 16, 20))
    rng = np.random.default_rng(seed)
    images = {
        name: Volume(
            rng.integers(-500, 500, geometry.shape).astype(np.int16), geometry, CANARY, "CT", {"patient": CANARY}
        )
        for name in channels
    }
    labels, beneath = annotated(geometry.shape)
    case = Case(
        patient=patient,
        images=images,
        labels=labels,
        objects=(CaseObject(3, "liver"), CaseObject(7, "lesion"), CaseObject(70000, "left kidney", accepted=False)),
        classes=CLASSES,
        extent=everything_seen(geometry.shape),
        beneath=(beneath,),
        provenance={"annotators": ["A. Nobody"], "models": [{"name": "compact", "sha256": "ab" * 32}]},
    )
    return replace(case, **changes)


class ExporterSuite:
    """Conformance of an `Exporter`.

    A subclass provides the fixture ``exporter``; and, where the form needs more of a case, such as the
    files its image came from, ``prepare``: a callable that makes such a case of one.

    Attributes
    ----------
    keeps_intensities : bool
        Whether images come back voxel by voxel.
    keeps_channels : bool
        Whether all images of a case are written.
    takes_pictures : bool
        Whether 2-D images and such without a position are taken.
    """

    keeps_intensities = True
    keeps_channels = True
    takes_pictures = True

    @pytest.fixture
    def prepare(self):
        """Return the case as it is."""
        return lambda case: case

    @pytest.fixture
    def export(self, exporter, prepare, tmp_path):
        """Return a function that writes cases and reads them again: the plan, and what came back by name."""
        numbers = itertools.count()

        def export(*cases, **options):
            folder = tmp_path / f"Dataset{next(numbers):03d}_Test"
            written = export_dataset([prepare(case) for case in cases], exporter, folder, Options(**options))
            found = {case.name: case for case in (source() for source in open_dataset(folder, verify=True).cases)}
            return written.plan, [found[entry.id] for entry in written.plan.entries], folder

        return export

    def test_follows_the_protocol(self, exporter):
        assert isinstance(exporter, Exporter)
        assert exporter.name.isidentifier()
        assert exporter.usage.endswith(".")

    def assert_same(self, plan, meant, found):
        """Assert that a case came back with its labels, voxel by voxel, and where it was."""
        np.testing.assert_array_equal(class_map(found, plan), class_map(meant, plan))
        place = (slice(None), slice(None) if meant.geometry.known else slice(3))  # an unknown origin is a guess
        np.testing.assert_allclose(found.geometry.affine[place], meant.geometry.affine[place], rtol=0, atol=1e-5)
        assert found.geometry.shape == meant.geometry.shape
        assert found.geometry.known == meant.geometry.known

    def test_labels_come_back_voxel_by_voxel_and_the_affine_too(self, export):
        case = make_case()
        plan, (found,), _ = export(case)
        self.assert_same(plan, case, found)
        for kind in CLASSES:
            np.testing.assert_array_equal(found.class_mask(kind.name), case.class_mask(kind.name))

    def test_classes_keep_what_they_lie_in(self, export):
        _, (found,), _ = export(make_case())
        assert {kind.name: kind.parent for kind in found.classes} == {kind.name: kind.parent for kind in CLASSES}

    def test_images_come_back(self, export):
        channels = ("CT", "MR") if self.keeps_channels else ("CT",)
        case = make_case(channels=channels)
        _, (found,), _ = export(case)
        assert len(found.images) == len(channels)
        for (_, one), other in zip(case.images.items(), found.images.values(), strict=True):
            if self.keeps_intensities:
                np.testing.assert_array_equal(other.array, one.array)

    def test_what_nobody_looked_at_is_never_background(self, export):
        case = make_case()
        unseen = Plane(0, 2)
        extent = {key: mark for key, mark in case.extent.items() if key != ("left kidney", unseen)}
        plan, (found,), _ = export(replace(case, extent=extent))
        mapped = class_map(found, plan)
        empty = case.labels[2] == 0
        assert (mapped[2][empty] == plan.ignore).all()
        assert (mapped[2][~empty] != plan.ignore).all()
        assert not (mapped[[0, 1, 3, 4]] == plan.ignore).any()

    def test_a_liver_in_which_nobody_looked_for_lesions_is_not_free_of_them(self, export):
        case = make_case()
        extent = {key: mark for key, mark in case.extent.items() if key[0] != "lesion"}
        plan, (found,), _ = export(replace(case, extent=extent))
        mapped = class_map(found, plan)
        assert (mapped[case.labels == 3] == plan.ignore).all()
        assert (mapped[case.labels == 7] == plan.values["lesion"]).all()
        assert (mapped[case.labels == 70000] == plan.values["left kidney"]).all()

    def test_who_vouches_that_everything_was_looked_at_gets_background(self, export):
        case = make_case(extent={})
        plan, (found,), _ = export(case, facts=Facts(complete=True))
        assert not (class_map(found, plan) == plan.ignore).any()
        self.assert_same(plan, case, found)

    def test_a_case_without_objects_is_a_case(self, export):
        case = make_case()
        empty = replace(case, labels=np.zeros_like(case.labels), objects=(), beneath=())
        plan, found, _ = export(case, empty)
        self.assert_same(plan, empty, found[1])

    def test_takes_pictures_and_grids_of_unknown_position(self, export):
        if not self.takes_pictures:
            pytest.skip("the form holds volumes in known places only")
        plain = array_geometry((5, 16, 20), (3.0, 1.0, 1.0))
        plan, (found,), _ = export(make_case(geometry=plain))
        self.assert_same(plan, make_case(geometry=plain), found)
        flat = array_geometry((16, 20))
        colours = np.random.default_rng(0).integers(0, 255, (16, 20, 3)).astype(np.uint8)
        picture = make_case(geometry=flat, images={"photograph": Volume(colours, flat, CANARY)})
        plan, (found,), _ = export(picture)
        self.assert_same(plan, picture, found)

    def test_no_patient_is_in_two_parts(self, export):
        cases = [make_case(f"{CANARY} {k // 2}", seed=k) for k in range(8)]
        plan, found, _ = export(*cases, folds=3, test=0.25)
        persons = {entry.id: entry.patient for entry in plan.entries}
        test = {entry.patient for entry in plan.entries if entry.test}
        assert test
        for fold in plan.folds:
            training, validation = ({persons[case] for case in part} for part in (fold.training, fold.validation))
            assert not training & validation
            assert not (training | validation) & test
        assert [case.patient for case in found] == [entry.patient for entry in plan.entries]

    def test_nothing_tells_who_the_patient_is(self, export):
        _, _, folder = export(make_case(CANARY), make_case(f"{CANARY} 2"))
        for path in folder.rglob("*"):
            assert "SMITH" not in path.name.upper()
            if path.is_file():
                content = path.read_bytes()
                content = gzip.decompress(content) if path.suffix == ".gz" else content
                assert b"SMITH" not in content.upper()

    def test_provenance_and_card_are_there(self, export):
        _, (found,), folder = export(make_case(), facts=Facts(licence="CC BY 4.0"))
        assert found.provenance["annotators"] == ["A. Nobody"]
        card = (folder / "README.md").read_text()
        assert all(text in card for text in ("left kidney", "A. Nobody", "compact", "CC BY 4.0"))

    def test_recognises_its_own_and_not_an_empty_folder(self, export, exporter, tmp_path):
        _, _, folder = export(make_case())
        assert exporter.recognises(folder)
        (tmp_path / "empty").mkdir()
        assert not exporter.recognises(tmp_path / "empty")

    def test_a_failure_leaves_nothing_behind(self, exporter, prepare, tmp_path):
        read = 0

        def broken():
            nonlocal read
            read += 1
            if read > 1:
                raise MedfmError("case", "is gone", "Bring it back.")
            return prepare(make_case("p2"))

        with pytest.raises(MedfmError, match="is gone"):
            export_dataset([prepare(make_case()), broken], exporter, tmp_path / "out")
        assert not [path for path in tmp_path.iterdir() if path.name.strip(".").startswith("out")]
