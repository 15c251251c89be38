import json

import pytest

from napari_medfm.errors import SessionError, UnreadableFileError, UnsupportedDataError
from napari_medfm.session import ObjectClass, read_classes


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_names_alone_make_a_list_with_colours_of_its_own(write):
    for path in (write("a.txt", "liver\n\nspleen \n"), write("a.json", '["liver", "spleen"]')):
        classes = read_classes(path)
        assert [known.name for known in classes] == ["liver", "spleen"]
        assert classes[0].colour != classes[1].colour
        assert {known.parent for known in classes} == {None}


def test_json_objects_may_give_colour_and_parent(write):
    content = [{"name": "liver", "colour": "#ff8000"}, {"name": "tumour", "color": [1, 2, 3], "parent": "liver"}]
    assert read_classes(write("a.json", json.dumps(content))) == (
        ObjectClass("liver", (255, 128, 0)),
        ObjectClass("tumour", (1, 2, 3), "liver"),
    )


def test_csv_columns_are_found_by_their_names(write):
    path = write("a.csv", "\ufeffParent, Name, Colour\n, liver, #ff8000\nliver, tumour, 010203\n")
    assert read_classes(path) == (ObjectClass("liver", (255, 128, 0)), ObjectClass("tumour", (1, 2, 3), "liver"))


def test_labels_of_an_nnunet_data_set_are_classes(write):
    path = write("dataset.json", '{"labels": {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}}')
    assert [known.name for known in read_classes(path)] == ["liver", "tumour"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "{"),
        ("a.json", "{}"),
        ("a.json", "[1, 2]"),
        ("a.json", '[{"colour": "#000000"}]'),
        ("a.json", '[{"name": "liver", "colour": "red"}]'),
        ("a.json", '[{"name": "liver", "colour": [1, 2]}]'),
        ("a.json", '[{"name": "liver", "colour": [1, 2, 300]}]'),
        ("a.csv", "title\nliver\n"),
        ("a.xlsx", "liver"),
    ],
)
def test_what_is_no_class_list_is_refused_by_name(write, name, content):
    with pytest.raises(UnsupportedDataError, match=rf"{name}: is no class list"):
        read_classes(write(name, content))


def test_a_file_that_cannot_be_read_is_named_without_its_folder(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"^a\.txt: cannot be read"):
        read_classes(tmp_path / "jane" / "a.txt")


def test_a_list_without_sense_is_refused(write):
    with pytest.raises(SessionError, match="tumour"):
        read_classes(write("a.json", '[{"name": "tumour", "parent": "liver"}]'))
