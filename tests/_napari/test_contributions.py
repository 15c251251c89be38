"""What the manifest promises napari is there: readers, a writer that keeps the grid, samples."""

import nibabel
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from npe2 import PluginManifest

from napari_medfm._napari import contributions
from napari_medfm._napari.contributions import ask_which, get_reader, read_volume, write_label_layer
from napari_medfm._napari.images import METADATA_KEY, volume_of
from napari_medfm._napari.layers import SessionLayers
from napari_medfm.errors import ChoiceRequiredError, GeometryError, UnreadableFileError
from napari_medfm.volume import open_labels, open_volume, write_volume


@pytest.fixture(autouse=True)
def installed(npe2pm):
    """Let napari know this plugin, and no other that happens to be installed."""
    npe2pm.register(PluginManifest.from_distribution("napari-medfm"))


@pytest.fixture
def oblique(tmp_path):
    """Return a NIfTI file with turned axes and an oblique affine, under a name with capitals."""
    rng = np.random.default_rng(5)
    affine = np.array([[-1.4, 0.2, 0, 90], [0.2, 1.4, 0.1, -80], [0, -0.3, 4.0, 12], [0, 0, 0, 1]])
    path = tmp_path / "Case 1.NII.GZ"
    nibabel.save(
        nibabel.Nifti1Image(rng.integers(-200, 300, (9, 10, 6)).astype(np.int16), affine), tmp_path / "a.nii.gz"
    )
    (tmp_path / "a.nii.gz").rename(path)
    return path


def open_in(viewer, path):
    layers = viewer.open(str(path), plugin="napari-medfm")
    return layers[0]


def test_the_manifest_is_valid_and_every_command_can_be_imported():
    manifest = PluginManifest.from_distribution("napari-medfm")
    manifest.validate_imports()
    assert [widget.display_name for widget in manifest.contributions.widgets] == ["Annotate", "Project"]


def test_the_manifest_at_the_root_is_the_one_that_ships():
    root = contributions.Path(__file__).parents[2]
    assert (root / "napari.yaml").resolve() == root / "napari_medfm" / "napari.yaml"


def test_napari_opens_a_nifti_file_on_its_voxel_grid(oblique):
    layer = open_in(ViewerModel(), oblique)
    expected = open_volume(oblique)
    assert np.array_equal(layer.data, expected.array)
    assert np.allclose(layer.scale, expected.spacing)
    assert np.allclose(np.asarray(layer.affine.affine_matrix), np.eye(4))
    assert volume_of(layer).geometry.source.affine.shape == (4, 4)


def test_several_files_become_several_layers(oblique, small_volume, tmp_path):
    second = write_volume(tmp_path / "second.nii.gz", small_volume)
    layers = get_reader([str(oblique), str(second)])([str(oblique), str(second)])
    assert len(layers) == 2


def test_other_files_are_left_to_other_readers(tmp_path):
    assert get_reader(str(tmp_path / "letter.docx")) is None
    assert get_reader([]) is None


def test_a_damaged_file_is_named_with_reason_and_next_step(tmp_path):
    path = tmp_path / "broken.nii.gz"
    path.write_bytes(b"not a volume")
    with pytest.raises(UnreadableFileError, match=r"broken\.nii\.gz"):
        open_in(ViewerModel(), path)


@pytest.fixture
def four_dimensional(tmp_path):
    path = tmp_path / "time.nii.gz"
    data = np.stack([np.full((5, 6, 7), value, np.int16) for value in (10, 20, 30)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    return path


def test_of_several_volumes_the_person_chooses_one(four_dimensional):
    asked = []

    def second(several):
        asked.append(several.choices)
        return 1

    assert np.unique(read_volume(four_dimensional, second).array).tolist() == [20]
    assert len(asked[0]) == 3
    with pytest.raises(ChoiceRequiredError):
        read_volume(four_dimensional, lambda several: None)


def test_the_question_offers_every_volume_by_name(monkeypatch):
    shown = {}

    def answer(title, choice):
        shown.update(title=title, **choice["options"])
        return {"choice": 2}

    monkeypatch.setattr(contributions, "request_values", answer)
    several = ChoiceRequiredError("time.nii.gz", "holds several volumes", "Choose one.", ("a", "b", "c"))
    assert ask_which(several) == 2
    assert shown["title"] == "time.nii.gz"
    assert shown["choices"] == [("a", 0), ("b", 1), ("c", 2)]
    monkeypatch.setattr(contributions, "request_values", lambda **_: None)
    assert ask_which(several) is None


def test_objects_saved_by_napari_lie_exactly_on_the_file_of_their_image(oblique, tmp_path):
    viewer = ViewerModel()
    image = open_in(viewer, oblique)
    volume = volume_of(image)
    labels = np.random.default_rng(8).integers(0, 4, volume.shape).astype(np.uint16)
    layers = SessionLayers(volume, labels, image)
    layers.add_to(viewer)
    viewer.layers.selection.active = layers.objects
    path = tmp_path / "objects.nii.gz"
    assert viewer.layers.save(str(path), selected=True, plugin="napari-medfm") == [str(path)]
    saved, source = nibabel.load(path), nibabel.load(oblique)
    assert np.allclose(saved.affine, source.affine, atol=1e-6)
    assert saved.shape == source.shape
    assert np.array_equal(open_labels(path, like=volume), labels)


def test_labels_that_do_not_know_where_they_lie_are_refused(tmp_path, small_volume):
    plain = Labels(np.zeros((4, 5, 6), int), name="plain")
    with pytest.raises(GeometryError, match="plain: does not know where it lies"):
        write_label_layer(str(tmp_path / "plain.nii.gz"), plain.data, {"name": plain.name, "metadata": {}})
    other_shape = {"name": "cut", "metadata": {METADATA_KEY: small_volume.geometry}}
    with pytest.raises(GeometryError, match="cut"):
        write_label_layer(str(tmp_path / "cut.nii.gz"), plain.data, other_shape)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "ndim", "modality"), [("abdomen_ct", 3, "CT"), ("brain_mr", 3, "MR"), ("ultrasound", 2, "US")]
)
def test_every_sample_opens(key, ndim, modality):
    viewer = ViewerModel()
    (layer,) = viewer.open_sample("napari-medfm", key)
    volume = volume_of(layer)
    assert volume.ndim == ndim
    assert volume.modality in (modality, "")
    assert np.ptp(layer.contrast_limits) > 0
