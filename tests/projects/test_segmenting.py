"""A structure found in many images, by several processes one of which is killed; and what a second run does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medfm.adaptation import Adaptation, Recipe, SupportSet, SupportSlice, adaptable, write_adapter
from napari_medfm.errors import ModelError
from napari_medfm.models import load_model
from napari_medfm.projects.model_choice import ModelChoice
from napari_medfm.projects.segmenting import SegmentOrder, segment_image, segment_source
from napari_medfm.projects.sources import find_sources
from napari_medfm.spreading import spread
from napari_medfm.volume import Volume, array_geometry, automatic_window, write_labels, write_volume

from .shares_of_segmenting import segment_or_die


@pytest.fixture(scope="module")
def choice(tmp_path_factory, small_volume, small_labels):
    """The built-in model and what it learned of one structure in a moment."""
    model, window = adaptable(load_model("compact")), automatic_window(small_volume)
    slices = [
        SupportSlice.annotated(model.encode(window.to_uint8(small_volume.array[at])), small_labels[at] == 3)
        for at in (3, 5)
    ]
    adaptation = Adaptation(model, SupportSet("organ", tuple(slices)), Recipe(copies=0, head_steps=30, decoder_steps=0))
    for _ in adaptation.steps():
        pass
    path = write_adapter(adaptation.adapter, tmp_path_factory.mktemp("adapters") / "organ.safetensors")
    return ModelChoice.of("compact", adapter=path)


def thin(small_volume, shift):
    """Three slices, each image with voxels of its own."""
    return Volume(small_volume.array[4:7] + np.int16(shift), array_geometry((3, 48, 64), (3.0, 1.0, 1.0)))


@pytest.fixture
def images(tmp_path, small_volume, small_labels):
    """A folder of three images, one inside another folder, labels of two of them, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for shift, name in enumerate(("first", "killed", "more/third")):
        write_volume(folder / f"{name}.nii.gz", thin(small_volume, shift))
    for name in ("first_seg", "truth"):
        write_labels(folder / f"{name}.nii.gz", small_labels[4:7], thin(small_volume, 0).geometry)
    (folder / "broken.nii.gz").write_bytes(b"no image")
    return folder


def orders(images, choice, output):
    return [SegmentOrder(source, choice, output) for source in find_sources(images)]


def in_order(outcomes):
    """Return the rows of all cases, as the table has them, without the times."""
    rows = [row for each in sorted(outcomes, key=lambda each: each.number) for row in each.result]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_several_processes_find_what_one_finds_though_one_is_killed(images, choice, tmp_path):
    alone = in_order(spread(segment_source, orders(images, choice, tmp_path / "alone")))
    marker = tmp_path / "marker"
    pairs = [(order, marker) for order in orders(images, choice, tmp_path / "many")]
    many = in_order(spread(segment_or_die, pairs, jobs=2))
    assert marker.exists()
    assert many == alone
    assert files(tmp_path / "many") == files(tmp_path / "alone")
    told = {row["image"]: row["problem"] or row["passed_over"] or row["voxels"] for row in many}
    assert told.pop("broken.nii.gz").startswith("broken.nii.gz: ")
    assert told.pop("first_seg.nii.gz") == "labels, by their name"
    assert told.pop("truth.nii.gz") == "labels, by their values and grid"
    assert sorted(told) == ["first", "killed", "third"]
    assert all(voxels > 0 for voxels in told.values())
    assert len(list((tmp_path / "many").rglob("*.nii.gz"))) == 3
    assert (tmp_path / "many" / "more" / "third_labels.nii.gz").exists()


def test_a_second_run_makes_again_only_what_is_not_what_it_should_be(images, choice, small_volume, tmp_path):
    output = tmp_path / "out"
    (images / "broken.nii.gz").unlink()
    first = in_order(spread(segment_source, orders(images, choice, output)))
    assert not any(row["was_there"] for row in first)
    before = files(output)
    write_volume(images / "first.nii.gz", thin(small_volume, 9))
    (output / "killed_labels.nii.gz").write_bytes(b"half")
    again = in_order(spread(segment_source, orders(images, choice, output)))
    assert {row["image"]: row["was_there"] for row in again if not row["passed_over"]} == {
        "first": False, "killed": False, "third": True
    }  # fmt: skip
    after = files(output)
    assert {str(path) for path in before if before[path] != after[path]} >= {"first_labels.json"}
    assert after[Path("killed_labels.nii.gz")] == before[Path("killed_labels.nii.gz")]
    record = json.loads(after[Path("first_labels.json")])
    assert record["made_from"]["model_and_adapter"] == choice.digest
    assert not any("first" in str(value) for value in record["made_from"].values())


def test_a_process_that_has_other_weights_does_not_do_the_work(images, choice, tmp_path):
    (order,) = orders(images, replace(choice, digest="another"), tmp_path / "out")[-2:-1]
    (outcome,) = spread(segment_source, [order])
    assert "has other weights where the work is done" in outcome.result[0]["problem"]


def test_a_model_without_an_adapter_finds_nothing(images, tmp_path, small_volume):
    order = SegmentOrder(find_sources(images)[-1], ModelChoice.of("random_walker"), tmp_path)
    with pytest.raises(ModelError, match="has no adapter"):
        segment_image(order, thin(small_volume, 0), tmp_path / "labels.nii.gz")
