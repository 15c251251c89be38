"""The committed phantoms are what their script makes, and behave as their README says."""

import csv
import importlib
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label

from napari_medfm.session import read_classes
from napari_medfm.volume import open_labels, open_volume

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "sample_volumes"
NAMES = ("abdomen_ct", "brain_mr", "ultrasound")
MEGABYTE = 10**6


@pytest.fixture(scope="module")
def make():
    """The script, imported from its folder as Python does when it is run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        own = {"make", "phantom", "shapes", *NAMES}
        assert not own & set(sys.modules)
        yield importlib.import_module("make")
        for name in own:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def samples():
    volumes = {name: open_volume(FOLDER / f"{name}.nii.gz") for name in NAMES}
    return {name: (each, open_labels(FOLDER / f"{name}_labels.nii.gz", each)) for name, each in volumes.items()}


@pytest.fixture(scope="module")
def ct(samples):
    volume, labels = samples["abdomen_ct"]
    return volume.array.astype(float), labels


@pytest.fixture(scope="module")
def mr(samples):
    volume, labels = samples["brain_mr"]
    return volume.array.astype(float), labels


@pytest.fixture(scope="module")
def us(samples):
    volume, labels = samples["ultrasound"]
    return volume.array.astype(float), labels


class TestFiles:
    def test_every_file_is_as_recorded_and_none_is_missing_from_the_record(self, make):
        assert make.wrong_checksums(FOLDER) == []
        kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".gz", ".json", ".csv"}}
        assert set(make.read_checksums(FOLDER)) == kept

    @pytest.mark.parametrize("path", sorted(FOLDER.glob("*.gz")), ids=lambda path: path.name)
    def test_a_file_is_small_enough_to_ship(self, path):
        assert path.stat().st_size <= 2 * MEGABYTE

    @pytest.mark.parametrize(
        ("name", "slices"), [("abdomen_ct", (3, 14, 24)), ("brain_mr", (6, 17)), ("ultrasound", (0,))]
    )
    def test_slices_made_again_are_the_committed_ones(self, make, name, slices):
        (phantom,) = (each for each in make.phantoms() if each.name == name)
        assert make.differences(phantom, FOLDER, slices) == []

    def test_another_patient_is_told_from_the_committed_one(self, make):
        other = importlib.import_module("ultrasound").phantom(seed=1)
        (difference,) = make.differences(other, FOLDER)
        assert difference.startswith("ultrasound, slice 0: grey values differ by up to")

    def test_a_damaged_file_is_noticed(self, make, tmp_path):
        (tmp_path / "checksums.txt").write_bytes((FOLDER / "checksums.txt").read_bytes())
        for name in make.read_checksums(FOLDER):
            (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
        content = bytearray((tmp_path / "ultrasound.nii.gz").read_bytes())
        content[1000] ^= 1
        (tmp_path / "ultrasound.nii.gz").write_bytes(content)
        (tmp_path / "brain_mr.json").unlink()
        assert make.wrong_checksums(tmp_path) == ["brain_mr.json", "ultrasound.nii.gz"]

    def test_the_package_ships_the_same_single_copy(self):
        assert (ROOT / "napari_medfm" / "sample-volumes").samefile(FOLDER)

    @pytest.mark.parametrize("name", NAMES)
    def test_class_list_description_and_labels_agree(self, samples, name):
        names = json.loads((FOLDER / f"{name}.json").read_text())["labels"]
        classes = read_classes(FOLDER / f"{name}_classes.csv")
        assert [each.name for each in classes] == list(names)[1:]
        assert list(names.values()) == list(range(len(names)))
        assert np.unique(samples[name][1]).tolist() == list(names.values())
        with (FOLDER / f"{name}_classes.csv").open() as rows:
            assert all(row["parent"] in {"", *names} for row in csv.DictReader(rows))

    @pytest.mark.parametrize(
        ("name", "shape", "spacing", "modality"),
        [
            ("abdomen_ct", (26, 240, 240), (5.0, 1.5, 1.5), "CT"),
            ("brain_mr", (30, 240, 196), (4.0, 0.9, 0.9), "MR"),
            ("ultrasound", (560, 720), (0.25, 0.25), "US"),
        ],
    )
    def test_grid_and_modality_are_as_documented(self, samples, name, shape, spacing, modality):
        volume = samples[name][0]
        assert volume.shape == shape
        assert volume.spacing == pytest.approx(spacing, abs=1e-5)
        assert (volume.modality, volume.geometry.known) == (modality, True)

    def test_nibabel_alone_finds_labels_on_the_grid_of_their_image(self):
        for name in NAMES:
            image, labels = (nib.load(FOLDER / f"{name}{end}.nii.gz") for end in ("", "_labels"))
            assert image.shape == labels.shape
            assert np.array_equal(image.affine, labels.affine)
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


class TestAbdomen:
    @pytest.mark.parametrize(
        ("structure", "low", "high"),
        [(1, 900, 1900), (2, 90, 300), (3, 100, 200), (4, 100, 200), (6, 20, 60), (7, 5, 20)],
    )
    def test_an_organ_has_the_volume_of_an_organ(self, ct, structure, low, high):
        assert low < np.count_nonzero(ct[1] == structure) * 5 * 1.5 * 1.5 / 1000 < high  # ml

    @pytest.mark.parametrize(("structure", "level", "off"), [(1, 108, 6), (2, 122, 6), (6, 168, 8), (3, 160, 20)])
    def test_an_organ_has_its_hounsfield_units_inside(self, ct, structure, level, off):
        image, labels = ct
        inside = binary_erosion(labels == structure, np.ones((1, 3, 3)), iterations=2)
        assert np.median(image[inside]) == pytest.approx(level, abs=off)

    def test_liver_lies_on_the_patients_right_and_spine_behind_the_aorta(self, ct):
        centre = {each: np.argwhere(ct[1] == each).mean(axis=0) for each in (1, 2, 3, 4, 5, 6)}
        assert centre[1][2] < 120 < centre[2][2]
        assert centre[3][2] < 120 < centre[4][2]
        assert centre[5][1] > centre[6][1]

    def test_air_fat_and_couch_are_there(self, ct):
        image = ct[0]
        assert np.median(image[:, :20]) == pytest.approx(-1000, abs=3)
        assert np.count_nonzero((image > -130) & (image < -80)) > 100_000
        assert np.median(image[:, 200:].max(axis=1)[:, 60:180]) > -600  # the shell under the back

    def test_there_are_four_small_lesions_of_low_contrast(self, ct):
        image, labels = ct
        lesions, count = label(labels == 7)
        assert count == 4
        for number in range(1, 5):
            lesion = lesions == number
            around = binary_dilation(lesion, np.ones((3, 7, 7))) & (labels == 1)
            assert 80 < np.count_nonzero(lesion) < 600
            assert 15 < image[around].mean() - image[lesion].mean() < 40
            assert image[around].std() > 7

    def test_noise_is_correlated_and_lacks_low_frequencies(self, make):
        abdomen = importlib.import_module("abdomen_ct")
        noise = abdomen.reconstruction_noise(256, 1.0, np.random.default_rng(0))
        power = np.abs(np.fft.rfft2(noise)) ** 2
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None])
        bands = [power[(frequency >= low) & (frequency < low + 0.04)].mean() for low in (0.0, 0.14, 0.44)]
        assert noise.std() == pytest.approx(1)
        assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.3
        assert bands[0] < 0.5 * bands[1]
        assert bands[2] < 0.1 * bands[1]

    def test_noise_in_the_image_is_correlated_along_rows_but_not_between_slices(self, ct):
        image, labels = ct
        liver = binary_erosion(labels == 1, np.ones((1, 3, 3)), iterations=5)
        grain = image - gaussian_filter(image, (0, 4, 4))
        along = grain[:, :, 1:], grain[:, :, :-1], liver[:, :, 1:] & liver[:, :, :-1]
        across = grain[1:], grain[:-1], liver[1:] & liver[:-1]
        correlations = [np.corrcoef(first[both], second[both])[0, 1] for first, second, both in (along, across)]
        assert correlations[0] > 0.4
        assert abs(correlations[1]) < 0.2
        assert 8 < grain[liver].std() < 14

    def test_partial_volume_blurs_edges_between_thick_slices(self, ct):
        image, labels = ct
        edge = (labels[:-1] == 3) & (labels[1:] == 0)  # kidney below, fat above
        assert np.count_nonzero((image[:-1][edge] < 120) & (image[:-1][edge] > -60)) > 0.15 * edge.sum()


class TestBrain:
    def test_background_is_rayleigh_noise(self, mr):
        corners = np.concatenate([mr[0][:, :14, :14].ravel(), mr[0][:, :14, -14:].ravel()])
        assert corners.mean() / corners.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)
        assert corners.mean() == pytest.approx(15 * np.sqrt(np.pi / 2), rel=0.03)

    def test_coil_shading_changes_white_matter_over_the_head(self, mr):
        image, labels = mr
        white = np.where(labels == 2, image, np.nan)
        corners = np.argwhere(np.ones((3, 4, 4))) * (10, 60, 49)
        blocks = [white[z : z + 10, y : y + 60, x : x + 49] for z, y, x in corners]
        levels = [np.nanmedian(block) for block in blocks if np.isfinite(block).sum() > 500]
        assert 1.2 < max(levels) / min(levels) < 2

    def test_tissues_are_ordered_as_in_flair(self, mr):
        image, labels = mr
        fluid, white, grey = (np.median(image[labels == each]) for each in (3, 2, 1))
        lesion = np.median(image[labels == 4])
        assert fluid < white < grey < lesion

    def test_the_cortex_is_folded(self, mr):
        grey = mr[1][20] == 1
        furrows = np.abs(np.diff(((mr[1][20] == 1) | (mr[1][20] == 2)).astype(int), axis=1)).sum()
        assert furrows > 6 * grey.any(axis=1).sum()  # a smooth oval has two edges in a row

    def test_there_are_about_a_dozen_lesions_some_small(self, mr):
        lesions, count = label(mr[1] == 4, np.ones((3, 3, 3)))
        sizes = np.bincount(lesions.ravel())[1:]
        assert 10 <= count <= 14
        assert sizes.min() >= 10
        assert np.median(sizes) * 4 * 0.9 * 0.9 < 1000  # mm3

    def test_the_affine_is_oblique(self, samples):
        directions = samples["brain_mr"][0].geometry.affine[:3, :3] / (4.0, 0.9, 0.9)
        assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-5)
        assert np.abs(directions).max(axis=0).max() < 0.99


class TestUltrasound:
    def test_speckle_is_fully_developed(self, make):
        simulation = importlib.import_module("ultrasound")
        even = np.ones((simulation.SAMPLES, simulation.BEAMS))
        envelope = simulation.speckle(even, np.random.default_rng(0))
        assert envelope.mean() / envelope.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.03)
        assert (envelope**2).mean() == pytest.approx(1, rel=0.1)

    def test_the_beam_is_narrowest_at_its_focus(self, make):
        simulation = importlib.import_module("ultrasound")
        envelope = simulation.speckle(np.ones((simulation.SAMPLES, simulation.BEAMS)), np.random.default_rng(0))
        depth = np.linspace(0, simulation.DEPTH, simulation.SAMPLES)

        def width(middle):
            rows = envelope[np.abs(depth - middle) < 4]
            rows = rows - rows.mean()
            correlation = (rows[:, 2:] * rows[:, :-2]).mean() / rows.var()
            return correlation * (simulation.PROBE_RADIUS + middle)

        assert width(simulation.FOCUS) < width(118)

    def test_the_mass_is_darker_than_liver_and_speckled(self, us):
        image, labels = us
        mass = binary_erosion(labels == 1, iterations=8)
        liver = binary_dilation(labels == 1, iterations=28) & ~binary_dilation(labels == 1, iterations=8)
        decibels = 60 / 255
        assert 5 < (np.median(image[liver]) - np.median(image[mass])) * decibels < 14
        assert image[mass].std() * decibels > 3

    def apex(self, make):
        """Return the (row, column) in which all beams meet, above the picture."""
        simulation = importlib.import_module("ultrasound")
        down, across, _, _ = simulation.screen()
        return np.array([(-simulation.PROBE_RADIUS - down[0, 0]), -across[0, 0]]) / simulation.PIXEL

    def test_the_stone_is_bright_and_casts_a_shadow_along_the_beam(self, make, us):
        image, labels = us
        rows, columns = np.nonzero(labels == 3)
        stone, apex = np.array([rows.mean(), columns.mean()]), self.apex(make)
        beam = (stone - apex) / np.linalg.norm(stone - apex)
        behind = np.round(stone + np.outer(np.arange(60, 160), beam)).astype(int)
        beside = np.round(behind + 90 * np.array([beam[1], -beam[0]])).astype(int)
        assert image[rows.min() : rows.min() + 10, columns.min() : columns.max()].max() > 200
        assert np.median(image[tuple(behind.T)]) < 0.4 * np.median(image[tuple(beside.T)])

    def test_outside_the_fan_is_black(self, us):
        assert not us[0][:100, :100].any()
        assert not us[0][:100, -100:].any()


class TestLarge:
    def test_a_large_volume_is_written_slice_by_slice_with_its_labels(self, make, tmp_path):
        abdomen = importlib.import_module("abdomen_ct")
        grid = abdomen.Grid(4, 64, (0.5, 5.6), layers=1)
        path = make.write_large(tmp_path / "large.nii.gz", grid)
        volume = open_volume(path)
        labels = open_labels(tmp_path / "large_labels.nii.gz", volume)
        phantom = abdomen.phantom(grid)
        image, truth = phantom.draw_all()
        assert np.array_equal(volume.array, image)
        assert np.array_equal(labels, truth)
        assert np.allclose(volume.geometry.affine, phantom.geometry.affine)
        assert abdomen.LARGE.shape == (300, 512, 512)

    def test_an_uncompressed_one_holds_the_same(self, make, tmp_path):
        abdomen = importlib.import_module("abdomen_ct")
        grid = abdomen.Grid(2, 48, (0.5, 7.4), layers=1)
        packed, plain = (make.write_large(tmp_path / name, grid) for name in ("a.nii.gz", "b.nii"))
        assert np.array_equal(open_volume(packed).array, open_volume(plain).array)
