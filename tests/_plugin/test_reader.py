"""Who is at work is known once somebody said so."""

import pytest

from napari_medfm._plugin.reader import keep_reader, known_reader


def test_a_name_is_kept_and_nobody_is_known_before(tmp_path):
    folder = tmp_path / "data"
    assert known_reader(folder) == ""
    keep_reader(folder, "Änn")
    assert known_reader(folder) == "Änn"


@pytest.mark.parametrize("content", ["", "[]", "{", "{}", '{"reader": 3}'])
def test_a_file_that_says_nothing_of_use_names_nobody(tmp_path, content):
    (tmp_path / "reader.json").write_text(content)
    assert known_reader(tmp_path) == ""


def test_a_folder_that_cannot_be_written_is_no_matter(tmp_path):
    (tmp_path / "taken").write_text("a file")
    keep_reader(tmp_path / "taken", "ann")
    assert known_reader(tmp_path / "taken") == ""
