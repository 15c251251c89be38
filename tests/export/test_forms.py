"""Every form of training set passes the suite, and the reader of the form itself."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from suites.exporter import CLASSES, ExporterSuite, make_case, oblique

from napari_medfm.errors import ExportError
from napari_medfm.export import case_from_labels, class_map, export_dataset, find_exporter, open_dataset
from napari_medfm.session import ObjectClass
from napari_medfm.volume import Geometry, open_labels, open_volume


class TestNnUNet(ExporterSuite):
    @pytest.fixture
    def exporter(self):
        return find_exporter("nnunet")


class TestDecathlon(ExporterSuite):
    @pytest.fixture
    def exporter(self):
        return find_exporter("decathlon")


class TestCoco(ExporterSuite):
    keeps_intensities = keeps_channels = False

    @pytest.fixture
    def exporter(self):
        return find_exporter("coco")


class TestPlainNifti(ExporterSuite):
    @pytest.fixture
    def exporter(self):
        return find_exporter("nifti")


NNUNET = os.environ.get("NNUNET_PYTHON", sys.executable)
"""A Python with nnunetv2; a pinned torch of its own keeps it out of most environments."""

_VERIFY = (
    "import sys; from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity;"
    "verify_dataset_integrity(sys.argv[1], 1)"
)


def run_nnunet(code, *arguments):
    found = subprocess.run([NNUNET, "-c", "import nnunetv2"], capture_output=True, timeout=100, check=False)
    if found.returncode:
        pytest.skip("nnunetv2 is not installed; name a Python that has it by NNUNET_PYTHON")
    return subprocess.run([NNUNET, "-c", code, *arguments], capture_output=True, text=True, timeout=110, check=False)


def seen_in_part(case):
    """Return the case with some slices on which nobody looked for kidneys."""
    return replace(case, extent={key: mark for key, mark in case.extent.items() if key[1].index or key[0] == "liver"})


@pytest.fixture(scope="module")
def cases():
    """Two patients with two images each; in one case something is ignored."""
    first, second = make_case("p1", channels=("CT", "MR")), make_case("p2", channels=("CT", "MR"), seed=1)
    return [seen_in_part(first), second]


def test_nnunets_own_check_finds_nothing_wrong(cases, tmp_path):
    export_dataset(cases, find_exporter("nnunet"), tmp_path / "Dataset001_Test")
    done = run_nnunet(_VERIFY, str(tmp_path / "Dataset001_Test"))
    assert done.returncode == 0, done.stderr
    assert "verify_dataset_integrity Done" in done.stdout
    assert not any(word in done.stdout for word in ("Error", "mismatch", "Warning"))


def test_nested_classes_are_regions_and_what_nobody_decided_has_the_last_label(cases, tmp_path):
    export_dataset(cases, find_exporter("nnunet"), tmp_path / "out")
    content = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert content["labels"] == {"background": 0, "liver": [1, 2], "lesion": 2, "left kidney": 3, "ignore": 4}
    assert content["regions_class_order"] == [1, 2, 3]
    assert content["channel_names"] == {"0": "CT", "1": "MR"}
    folds = json.loads((tmp_path / "out" / "splits_final.json").read_text())
    assert folds == [
        {"train": ["case_0001"], "val": ["case_0002"]},
        {"train": ["case_0002"], "val": ["case_0001"]},
    ] or (folds == [{"train": ["case_0002"], "val": ["case_0001"]}, {"train": ["case_0001"], "val": ["case_0002"]}])


def test_without_anything_undecided_there_is_no_label_to_ignore(tmp_path):
    export_dataset([make_case()], find_exporter("nnunet"), tmp_path / "out")
    assert "ignore" not in json.loads((tmp_path / "out" / "dataset.json").read_text())["labels"]


def test_nnunet_refuses_slanting_axes_and_voxels_that_are_no_numbers(tmp_path):
    affine = oblique((5, 16, 20)).affine.copy()
    affine[:3, 0] += (0.0, 0.9, 0.0)
    with pytest.raises(ExportError, match="slanting"):
        export_dataset([make_case(geometry=Geometry((5, 16, 20), affine))], find_exporter("nnunet"), tmp_path / "a")
    broken = make_case()
    array = broken.images["CT"].array.astype(np.float32)
    array[0, 0, 0] = np.nan
    images = {"CT": replace(broken.images["CT"], array=array)}
    with pytest.raises(ExportError, match="no finite numbers"):
        export_dataset([replace(broken, images=images)], find_exporter("nnunet"), tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_monai_reads_the_list_of_a_decathlon_and_finds_labels_on_images(cases, tmp_path):
    from monai.data import load_decathlon_datalist

    export_dataset(cases, find_exporter("decathlon"), tmp_path / "out")
    listed = {
        part: load_decathlon_datalist(str(tmp_path / "out" / "dataset.json"), data_list_key=part)
        for part in ("training", "validation")
    }
    assert [len(part) for part in listed.values()] == [1, 1]
    for item in [*listed["training"], *listed["validation"]]:
        image, labels = (nib.load(item[key]) for key in ("image", "label"))
        assert image.shape == (*labels.shape, 2)
        np.testing.assert_allclose(image.affine, labels.affine, rtol=0, atol=1e-5)


def test_pycocotools_reads_each_object_as_it_was(tmp_path, capsys):
    from pycocotools.coco import COCO

    case = seen_in_part(make_case())
    export_dataset([case], find_exporter("coco"), tmp_path / "out")
    coco = COCO(tmp_path / "out" / "annotations" / "instances_train.json")
    names = {number: kind["name"] for number, kind in coco.cats.items()}
    assert names == {1: "liver", 2: "lesion", 3: "left kidney"}
    drawn = {thing.id: np.zeros(case.labels.shape, bool) for thing in case.objects}
    for found in coco.loadAnns(coco.getAnnIds(iscrowd=False)):
        mask = coco.annToMask(found).astype(bool)
        assert mask.sum() == found["area"]
        drawn[found["object"]][coco.imgs[found["image_id"]]["slice"]] |= mask
    for thing in case.objects:
        np.testing.assert_array_equal(drawn[thing.id], case.object_mask(thing.id))
    crowds = coco.loadAnns(coco.getAnnIds(iscrowd=True))
    assert {(names[each["category_id"]], coco.imgs[each["image_id"]]["slice"]) for each in crowds} == {
        ("lesion", 0),
        ("left kidney", 0),
    }


def test_an_object_beneath_another_comes_back_from_coco(tmp_path):
    case = make_case()
    export_dataset([case], find_exporter("coco"), tmp_path / "out")
    (source,) = open_dataset(tmp_path / "out").cases
    found = source()
    for thing in case.objects:
        np.testing.assert_array_equal(found.object_mask(thing.id), case.object_mask(thing.id))


def test_slices_that_nobody_looked_at_are_no_pictures(tmp_path):
    case = make_case()
    labels = case.labels.copy()
    labels[3] = 0
    extent = {key: mark for key, mark in case.extent.items() if key[1].index != 3}
    export_dataset([replace(case, labels=labels, extent=extent)], find_exporter("coco"), tmp_path / "out")
    assert len(list((tmp_path / "out" / "images").iterdir())) == 4


def test_a_foreign_nnunet_data_set_is_read_with_the_classes_its_regions_mean(tmp_path):
    export_dataset([make_case()], find_exporter("nnunet"), tmp_path / "out")
    folder = tmp_path / "out"
    (folder / "medfm.json").unlink()
    content = json.loads((folder / "dataset.json").read_text())
    content["labels"] = {"background": 0, "abdomen": [1, 2, 3], "liver": [1, 2], "lesion": [2]}
    (folder / "dataset.json").write_text(json.dumps(content))
    dataset = open_dataset(folder)
    case = dataset.cases[0]()
    assert (dataset.form, dataset.manifest) == ("nnunet", None)
    assert {kind.name: kind.parent for kind in case.classes} == {"abdomen": None, "liver": "abdomen", "lesion": "liver"}
    assert {thing.id: thing.class_name for thing in case.objects} == {1: "liver", 2: "lesion", 3: "abdomen"}
    assert (case.patient, case.name) == ("case_0001", "case_0001")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("nnunet", {"labels": {"background": 0, "liver": 1}}, "label 2, which is not declared"),
        ("nnunet", {"labels": {"background": 0, "liver": "one"}}, "gives the label liver"),
        ("nnunet", {"labels": None}, "names no labels"),
        ("nnunet", {"file_ending": None}, "no file_ending"),
        ("nnunet", {"channel_names": {"0": "CT", "1": "MR"}}, "has no image"),
        ("decathlon", {"labels": {"0": "background", "1": "liver"}}, "label 2, which is not declared"),
        ("decathlon", {"training": [{"image": "./imagesTr/case_0001.nii.gz"}]}, "names no image and label"),
        ("decathlon", {"training": [{"image": "../a.nii.gz", "label": "../b.nii.gz"}]}, "outside of its folder"),
        ("decathlon", {"training": []}, "holds no case"),
    ],
)
def test_a_data_set_that_is_not_as_it_should_be_is_refused_with_the_reason(tmp_path, name, change, message):
    export_dataset([make_case()], find_exporter(name), tmp_path / "out")
    path = tmp_path / "out" / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ExportError, match=message):
        [source() for source in open_dataset(tmp_path / "out").cases]


def test_a_form_that_nobody_offers_is_refused_with_those_there_are():
    with pytest.raises(ExportError, match="nnunet, decathlon, coco, dicom_seg, nifti"):
        find_exporter("betamax")


def test_classes_with_names_that_a_form_keeps_for_itself_are_refused(tmp_path):
    classes = (*CLASSES, ObjectClass("ignore"))
    for name in ("nnunet", "decathlon"):
        with pytest.raises(ExportError, match="keeps for itself"):
            export_dataset([make_case(classes=classes)], find_exporter(name), tmp_path / name)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["nnunet", "coco"])
def test_a_real_oblique_volume_comes_back_where_it_was(shared_data, tmp_path, name):
    folder = shared_data / "train" / "niivue_brain_mr_3d"
    volume = open_volume(folder / "images" / "flair_ms.nii.gz")
    labels = open_labels(folder / "masks" / "flair_ms.nii.gz", volume)
    case = case_from_labels(volume, labels, CLASSES[:1], patient="one")
    plan = export_dataset([case], find_exporter(name), tmp_path / "out").plan
    (source,) = open_dataset(tmp_path / "out").cases
    found = source()
    np.testing.assert_array_equal(class_map(found, plan), class_map(case, plan))
    np.testing.assert_allclose(found.geometry.affine, volume.geometry.affine, rtol=0, atol=1e-5)
