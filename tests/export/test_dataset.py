import json
import os
from pathlib import Path

import pytest
from suites.exporter import make_case

from napari_medfm import files
from napari_medfm.errors import ExportError, WriteError
from napari_medfm.export import export_dataset, find_exporter, open_dataset
from napari_medfm.export.dataset import UNFINISHED


@pytest.fixture
def exporter():
    return find_exporter("nifti")


@pytest.fixture
def written(exporter, tmp_path):
    export_dataset([make_case()], exporter, tmp_path / "set")
    return tmp_path / "set"


def digest(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_that_is_there_is_left_alone(exporter, written):
    before = digest(written)
    with pytest.raises(WriteError, match="ask to replace it"):
        export_dataset([make_case(seed=1)], exporter, written)
    assert digest(written) == before


def test_an_export_of_ours_gives_way_on_request_and_nothing_is_left_beside_it(exporter, written):
    export_dataset([make_case(), make_case("p2")], exporter, written, replace=True)
    assert len(open_dataset(written, verify=True).cases) == 2
    assert [path.name for path in written.parent.iterdir()] == ["set"]


def test_a_folder_of_somebody_else_never_gives_way(exporter, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("...")
    with pytest.raises(WriteError, match="only a data set that napari-medfm exported"):
        export_dataset([make_case()], exporter, tmp_path / "thesis", replace=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "..."


def test_what_is_being_written_is_no_data_set_at_any_moment(exporter, tmp_path, monkeypatch):
    seen = set()

    def look(path, *arguments, real=files.atomic_write):
        done = real(path, *arguments)
        (draft,) = tmp_path.iterdir()
        seen.add(draft.name)
        with pytest.raises(ExportError, match="no training set"):
            open_dataset(draft)
        return done

    monkeypatch.setattr("napari_medfm.volume.nifti.atomic_write", look)
    export_dataset([make_case()], exporter, tmp_path / "set")
    (name,) = seen
    assert UNFINISHED in name
    assert name.startswith(".")


@pytest.mark.parametrize("number", range(1, 9))
def test_a_disk_that_fails_at_any_file_leaves_the_former_export_and_nothing_else(
    exporter, written, monkeypatch, number
):
    before, done = digest(written), 0

    def fail(source, target, real=os.replace):
        nonlocal done
        done += 1
        if done == number:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(files.os, "replace", fail)
    if number <= 7:  # image, labels, provenance, legend, splits, card, manifest
        with pytest.raises(WriteError, match="No space left"):
            export_dataset([make_case(seed=1)], exporter, written, replace=True)
        assert digest(written) == before
    else:
        export_dataset([make_case(seed=1)], exporter, written, replace=True)
        assert digest(written) != before
    assert [path.name for path in written.parent.iterdir()] == ["set"]


def test_a_rename_that_fails_brings_the_former_export_back(exporter, written, monkeypatch):
    before = digest(written)

    def fail(self, target, real=Path.rename):
        if UNFINISHED in self.name and not self.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(WriteError, match="Input/output error"):
        export_dataset([make_case(seed=1)], exporter, written, replace=True)
    assert digest(written) == before


def test_a_file_that_was_changed_later_is_found(written):
    path = written / "labels.json"
    path.write_text(path.read_text().replace("liver", "river"))
    with pytest.raises(ExportError, match=r"labels\.json: is not as it was written"):
        open_dataset(written, verify=True)


@pytest.mark.parametrize("content", ['{"format": 1}', "[]", "no", '{"format": 99}'])
def test_a_damaged_manifest_is_told(written, content):
    (written / "medfm.json").write_text(content)
    with pytest.raises(ExportError, match=r"medfm\.json"):
        open_dataset(written)


def test_folders_that_are_no_training_sets_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ExportError, match="no training set"):
            open_dataset(folder)


def test_steps_are_told_as_they_are_done(exporter, tmp_path):
    told = []
    export_dataset([make_case(), make_case()], exporter, tmp_path / "set", progress=lambda *step: told.append(step))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_card_counts_what_is_there(exporter, tmp_path):
    case = make_case(geometry=None)
    export_dataset([case], exporter, tmp_path / "set")
    card = (tmp_path / "set" / "README.md").read_text()
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in card.splitlines()) if len(cells) > 9}
    voxels = int(case.class_mask("liver").sum())
    ml = f"{voxels * 3 * 0.8 * 0.8 / 1000:.1f}"
    assert [cell.strip() for cell in rows["liver"][2:10]] == ["", "1", "1", "1", str(voxels), ml, ml, "5"]
    assert "1 objects were exported though nobody had accepted them" in card
    assert "20 voxels, 0.8 mm" in card
    assert "\n\n\n" not in card


def test_the_manifest_names_no_file_outside(written):
    content = json.loads((written / "medfm.json").read_text())
    assert set(content["files"]) == {
        path.relative_to(written).as_posix()
        for path in written.rglob("*")
        if path.is_file() and path.name != "medfm.json"
    }
