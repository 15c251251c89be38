"""The tour in docs/tour.md: every command of it is run, on invented patients."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_medfm import cli
from napari_medfm.export import open_dataset
from napari_medfm.projects import CaseStatus, Project
from napari_medfm.session import AnnotationSession
from napari_medfm.volume import open_volume

ROOT = Path(__file__).parents[2]
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
NNUNET = os.environ.get("NNUNET_PYTHON", sys.executable)


def commands():
    """Return every command of the tour, in order."""
    return [line for block in re.findall(r"```sh\n(.*?)```", TOUR, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def sample():
    """Return what makes the sample volumes, as a script beside it would import it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "sample_volumes"))
        import abdomen_ct
        import make

        yield make, abdomen_ct


def test_every_command_of_the_tour_works_and_ends_in_a_data_set_that_was_trained_on(sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = commands()
    assert len(found) == 9
    for command in found:
        follow(command, sample)
    dataset = open_dataset(tmp_path / "Dataset042_Organs", verify=True)
    assert len(dataset.cases) == 4
    assert len({entry.patient for entry in dataset.manifest.plan.entries}) == 4
    assert dataset.manifest.plan.values == {"spleen": 1, "left kidney": 2}
    assert (tmp_path / "key.csv").read_text().count("scan_") == 4


def follow(command, sample):
    """Do what a line of the tour says, with fewer voxels and steps; where it opens the viewer, draw headless."""
    program, *arguments = shlex.split(command)
    if "make.py" in command:
        make, abdomen_ct = sample
        assert arguments[1] == "--dicom"
        make.write_patients(Path(arguments[2]), int(arguments[4]), coarse(abdomen_ct))
    elif program == "printf":
        subprocess.run(["sh", "-c", command], check=True)
    elif program == "python":
        verify(arguments)
    elif arguments[:2] == ["project", "open"]:
        assert CliRunner().invoke(cli.app, [*arguments[:2], "--help"]).exit_code == 0
        annotate(Project(Path(arguments[2])), sample[1])
    else:
        assert program == "napari-medfm"
        quick = [argument if argument != "--minutes" else "--steps" for argument in arguments]
        result = CliRunner().invoke(cli.app, quick)
        assert result.exit_code == 0, (command, result.output, result.exception)
        assert "--patients" not in result.stderr, "the project knows who is who"


def coarse(abdomen_ct):
    return abdomen_ct.Grid(6, 48, (21.0, 7.5), layers=1)


def annotate(project, abdomen_ct):
    """Draw the organs of every case as the phantom has them, and have them reviewed."""
    while (case := project.take_next("ann")) is not None:
        number = int(case.path.name.removeprefix("scan_"))
        _, truth = abdomen_ct.phantom(coarse(abdomen_ct), seed=3000 + number).draw_all()
        names = [structure.name for structure in abdomen_ct.STRUCTURES]
        volume = open_volume(case.path)
        with AnnotationSession.create(volume, case.fingerprint, classes=project.classes) as session:
            for kind in project.classes:
                mask = truth == names.index(kind.name) + 1
                assert np.count_nonzero(mask)
                everywhere = tuple(slice(0, size) for size in volume.shape)
                session.write_voxels(session.add_object(kind.name), everywhere, mask)
        project.change(project.change(case, CaseStatus.DONE, "ann"), CaseStatus.REVIEWED, "bob")


def verify(arguments):
    """Let nnU-Net look at the data set, where it is installed."""
    if subprocess.run([NNUNET, "-c", "import nnunetv2"], capture_output=True, check=False).returncode == 0:
        done = subprocess.run([NNUNET, *arguments], capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stderr


def test_the_series_of_the_tour_lie_where_the_phantom_does(sample, tmp_path):
    make, abdomen_ct = sample
    (folder,) = make.write_patients(tmp_path / "scans", 1, coarse(abdomen_ct))
    phantom = abdomen_ct.phantom(coarse(abdomen_ct), seed=3001)
    volume = open_volume(folder)
    np.testing.assert_allclose(volume.geometry.affine, phantom.geometry.affine, atol=1e-4)
    np.testing.assert_array_equal(volume.array, phantom.draw_all()[0])


def test_its_links_and_pictures_are_files_of_the_repository():
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", TOUR)
    assert len(targets) >= 4
    assert [target for target in targets if not (ROOT / "docs" / target).is_file()] == []
    pictures = [ROOT / "docs" / target for target in targets if target.endswith(".png")]
    assert [picture.name for picture in pictures if picture.stat().st_size > 150_000] == []
