"""Manifests and the folders of challenge formats are read, or refused with the row that is wrong."""

import json

import pytest

from napari_medfm.errors import EvaluationError
from napari_medfm.evaluation import read_cases, read_dataset_folder, read_manifest, select_cases

from .datasets import COLUMNS, write_manifest

GOOD = ("set", "i.png", "m.png", "CT, axial", "labels")


def read_rows(tmp_path, *rows, columns=COLUMNS):
    return read_manifest(write_manifest(tmp_path / "manifest.csv", rows, columns))


@pytest.fixture
def nnunet(tmp_path):
    folder = tmp_path / "Dataset007_Liver"
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    for case in ("liver_1", "liver_0"):
        (folder / "labelsTr" / f"{case}.nii.gz").touch()
        for channel in range(2):
            (folder / "imagesTr" / f"{case}_000{channel}.nii.gz").touch()
    (folder / "labelsTr" / "._liver_0.nii.gz").touch()
    content = {
        "channel_names": {"0": "CT", "1": "PET"},
        "labels": {"background": 0, "liver": 1, "ignore": 2},
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def decathlon(tmp_path, modalities, training):
    (tmp_path / "dataset.json").write_text(json.dumps({"name": "Spleen", "modality": modalities, "training": training}))
    return tmp_path


def test_paths_are_relative_to_the_manifest_and_rows_are_counted_as_in_a_spreadsheet(tmp_path):
    (case,) = read_rows(tmp_path, GOOD)
    assert (case.image, case.mask) == (tmp_path / "i.png", tmp_path / "m.png")
    assert (case.number, case.dataset, case.modality, case.targets) == (2, "set", "CT, axial", "labels")


def test_columns_may_stand_in_any_order_among_others(tmp_path):
    columns = ("patient", *reversed(COLUMNS))
    (case,) = read_rows(tmp_path, ("x", *reversed(GOOD)), columns=columns)
    assert case.dataset == "set"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("set", "i.png", "m.png", "CT", "label"), "has the targets 'label'. Write labels or components"),
        (("set", "", "m.png", "CT", "labels"), "has no image"),
        (("set", "i.png", "m.png"), "has not as many values"),
        (("set", "i.png", "m.png", "CT", "axial", "labels"), "has not as many values"),
    ],
)
def test_a_bad_row_is_named_with_its_file(tmp_path, row, reason):
    with pytest.raises(EvaluationError) as error:
        read_rows(tmp_path, GOOD, row)
    assert error.value.subject == "manifest.csv, row 3"
    assert reason in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"manifest\.csv: has no column targets"):
        read_rows(tmp_path, GOOD[:-1], columns=COLUMNS[:-1])


def test_a_manifest_without_images_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="lists no image"):
        read_rows(tmp_path)


def test_a_manifest_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "manifest.csv"
    path.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_manifest(path)


def test_an_nnunet_folder_pairs_images_with_masks_and_leaves_its_ignore_label_out(nnunet):
    cases = read_cases(nnunet)
    assert [case.image.name for case in cases] == ["liver_0_0000.nii.gz", "liver_1_0000.nii.gz"]
    assert [case.mask.name for case in cases] == ["liver_0.nii.gz", "liver_1.nii.gz"]
    assert {(case.dataset, case.modality, case.ignore, case.choice) for case in cases} == {
        ("Dataset007_Liver", "CT", 2, None)
    }


def test_another_channel_of_an_nnunet_folder_can_be_chosen(nnunet):
    case = read_dataset_folder(nnunet, channel=1)[0]
    assert (case.image.name, case.modality) == ("liver_0_0001.nii.gz", "PET")
    with pytest.raises(EvaluationError, match="has no image of channel 2"):
        read_dataset_folder(nnunet, channel=2)


def test_an_nnunet_folder_without_a_file_ending_is_refused(nnunet):
    (nnunet / "dataset.json").write_text("{}")
    with pytest.raises(EvaluationError, match=r"Dataset007_Liver/dataset\.json: has no file_ending"):
        read_cases(nnunet)


def test_a_decathlon_folder_lists_its_pairs(tmp_path):
    training = [{"image": "./imagesTr/s_1.nii.gz", "label": "./labelsTr/s_1.nii.gz"}]
    (case,) = read_cases(decathlon(tmp_path, {"0": "CT"}, training))
    assert (case.dataset, case.modality, case.choice) == ("Spleen", "CT", None)
    assert (case.image, case.mask) == (tmp_path / "imagesTr/s_1.nii.gz", tmp_path / "labelsTr/s_1.nii.gz")


def test_of_a_decathlon_image_with_several_modalities_one_is_chosen(tmp_path):
    training = [{"image": "i.nii.gz", "label": "l.nii.gz"}]
    (case,) = read_cases(decathlon(tmp_path, {"0": "FLAIR", "1": "T1w"}, training), channel=1)
    assert (case.modality, case.choice) == ("T1w", 1)


@pytest.mark.parametrize("pair", [["i", "l"], {"image": "i"}, {"image": 1, "label": "l"}])
def test_a_bad_pair_of_a_decathlon_folder_is_counted(tmp_path, pair):
    with pytest.raises(EvaluationError, match="training case 2: names no image and label"):
        read_cases(decathlon(tmp_path, {}, [{"image": "i", "label": "l"}, pair]))


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_description_that_says_nothing_is_refused(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(EvaluationError, match=r"dataset\.json"):
        read_cases(tmp_path)


def test_what_is_neither_manifest_nor_folder_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"holds no dataset\.json and no manifest\.csv"):
        read_cases(tmp_path)
    with pytest.raises(EvaluationError, match=r"nothing\.csv: is not there"):
        read_cases(tmp_path / "nothing.csv")


def test_a_draw_is_seeded_and_does_not_depend_on_other_data_sets(tmp_path):
    rows = [(name, f"{name}{number}.png", "m.png", "CT", "labels") for name in "ab" for number in range(20)]
    cases = read_rows(tmp_path, *rows)
    both = select_cases(cases, images=5)
    alone = select_cases(cases, datasets=["b"], images=5)
    assert [case for case in both if case.dataset == "b"] == list(alone)
    assert len(both) == 10
    assert alone != select_cases(cases, datasets=["b"], images=5, seed=1)
    assert select_cases(cases) == cases


def test_an_unknown_data_set_is_refused_and_the_known_ones_are_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"liver: is no data set that is listed. Choose of: set"):
        select_cases(read_rows(tmp_path, GOOD), datasets=["liver"])


@pytest.mark.shared_data
def test_the_manifest_of_the_real_images_is_read(shared_data):
    cases = read_cases(shared_data)
    assert len({case.dataset for case in cases}) == 36
    assert all(case.image.is_file() and case.mask.is_file() for case in cases)
