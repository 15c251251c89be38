"""From annotated volumes to training sets and back, in every form, checked by the readers of the forms.

A robot user annotates hippocampi (msd_hippocampus_mr_3d: small MR volumes, two parts, here inside one class) through
the session API, slice by slice, and says how far it came: of every third volume only half is looked at, the rest is
to be ignored. Volumes are taken in pairs as two visits of one patient, so that a division by case would be caught.
The journals are then exported in every form there is, with a fifth of the patients held out; the target's own reader
checks each; each is read again and compared with what was annotated. DICOM-SEG lies on a DICOM series, which the
volumes become first: written slice by slice, values rounded to whole numbers; highdicom and dcmqi read the result.
Volumes of other kinds (CT and MR with dozens of classes, a FLAIR image on an oblique grid; expert labels) go through
the other forms as sets of one case. `--dicom-only` takes the experts' labels through DICOM-SEG and does nothing else.

nnU-Net pins other packages than we use: `python3.11 -m venv NNUNET && NNUNET/bin/pip install nnunetv2`, then
`--nnunet-python NNUNET/bin/python`. Without it the check by nnU-Net counts as not passed.
"""

import argparse
import contextlib
import io
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import report

from napari_medfm.cli import exporting
from napari_medfm.evaluation import read_manifest, segment_like_expert
from napari_medfm.evaluation.training_check import TrainingCheck
from napari_medfm.export import (
    Case,
    DatasetPlan,
    Exported,
    Exporter,
    Options,
    case_from_journal,
    case_from_labels,
    class_map,
    export_dataset,
    find_exporter,
    open_dataset,
)
from napari_medfm.export.segmentation import read_masks
from napari_medfm.inference import MemoryStore, Predictor, open_lane
from napari_medfm.models import load_model
from napari_medfm.session import AnnotationSession, Extent, LiveSegmentation, ObjectClass
from napari_medfm.volume import Volume, automatic_window, fingerprint, open_labels, open_volume
from napari_medfm.volume.dicom import dicom_slices

MANIFEST = Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
DATASET = "msd_hippocampus_mr_3d"
CLASSES = (
    ObjectClass("hippocampus", (220, 180, 60)),
    ObjectClass("anterior", (230, 90, 60), parent="hippocampus"),
    ObjectClass("posterior", (60, 120, 230), parent="hippocampus"),
)
EXPERT = tuple(replace(kind, parent=None) for kind in CLASSES[1:])
PARTS = {"anterior": 1, "posterior": 2}
OTHERS = ("example_ct.nii.gz", "example_mr_sm.nii.gz", "flair_ms.nii.gz")
EMPTY = ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")
EMPTY += ("ReferringPhysicianName", "Manufacturer")
VOLUMES, QUICK = 24, 4
_VERIFY = (
    "import sys; from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity;"
    "verify_dataset_integrity(sys.argv[1], 2)"
)


def measure(run: report.Run) -> None:
    listed = [case for case in read_manifest(MANIFEST) if case.dataset == DATASET]
    count = QUICK if run.quick else run.options.volumes
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        if run.options.dicom_only:
            chosen = enumerate(listed[:count])
            experts = [partial(as_the_expert, case, f"person {number // 2}") for number, case in chosen]
            check = check_dicom(experts, work, run)
            run.n = len(check.identical)
            return
        volumes, cases = annotate([(case.image, case.mask) for case in listed[:count]], work / "sessions", run)
        run.n = len(volumes)
        run.bar("volumes", len(volumes))
        checks = [check_form(exporter, cases, work, run) for exporter in map(find_exporter, READERS)]
        checks.append(check_dicom(cases, work, run))
        if not run.quick:
            checks += [check for name in OTHERS for check in check_other(name, work, run)]
        run.bar("forms_that_pass_their_own_reader", statistics.fmean(each.passed for each in checks))
        run.bar("label_maps_voxel_identical", statistics.fmean(share for each in checks for share in each.identical))
        run.bar("largest_affine_difference", max(each.affine for each in checks))
        run.bar("patients_in_two_parts", sum(each.shared for each in checks))
        if not run.quick:
            train(work / "Dataset001_nnunet", run)


def annotate(
    pairs: Sequence[tuple[Path, Path]], folder: Path, run: report.Run
) -> tuple[list[Volume], list[Callable[[], Case]]]:
    """Let the robot work through all volumes; return how to read each case from its journal."""
    predictor = Predictor(load_model("compact"), MemoryStore(1 << 28))
    volumes, sources, scores, start = [], [], [], time.perf_counter()
    with open_lane() as lane:
        for number, (image, mask) in enumerate(pairs):
            volume = open_volume(image)
            digest, expert = fingerprint(volume), open_labels(mask, volume)
            with AnnotationSession.create(
                volume, digest, folder=folder, classes=CLASSES, annotator="the robot user"
            ) as session:
                live = LiveSegmentation(session, predictor, lane, window=automatic_window(volume))
                scores += segment(session, live, expert, volume.shape[0] // 2 if number % 3 == 2 else volume.shape[0])
                live.close()
            volumes.append(volume)
            sources.append(partial(case_from_journal, [volume], digest, patient=f"person {number // 2}", folder=folder))
    run.detail("robot user, 2 clicks a slice at most: mean Dice with the expert", statistics.fmean(scores))
    run.detail("seconds per volume to annotate", (time.perf_counter() - start) / len(pairs))
    return volumes, sources


def segment(session: AnnotationSession, live: LiveSegmentation, expert: np.ndarray, slices: int) -> list[float]:
    """Annotate the first slices as the expert did, say so, and return the Dice of each part on them."""
    there = np.zeros(expert.shape, bool)
    there[:slices] = True
    masks = {name: (expert == value) & there for name, value in PARTS.items()}
    done = list(
        segment_like_expert(session, live, {name: mask for name, mask in masks.items() if mask.any()}, clicks=2)
    )
    planes = session.volume.geometry.planes()[:slices]
    for kind in CLASSES:
        session.set_extent(kind.name, planes, Extent.ANNOTATED)
    return [score.dice for score in done]


class Check:
    """What became of one form."""

    def __init__(self, exported: Exported) -> None:
        self.exported = exported
        self.identical: list[bool] = []
        self.affine = 0.0
        self.passed = False
        self.shared = shared_patients(exported.plan)


def check_form(exporter: Exporter, cases: Sequence[Callable[[], Case]], work: Path, run: report.Run) -> Check:
    """Export, have it read by the form's own reader, read it again, and compare."""
    folder, start = work / f"Dataset001_{exporter.name}", time.perf_counter()
    check = Check(export_dataset(cases, exporter, folder, Options(folds=4, test=0.2)))
    seconds = time.perf_counter() - start
    plan, found = (
        check.exported.plan,
        {case.name: case for case in (read() for read in open_dataset(folder, verify=True).cases)},
    )
    for source, entry in zip(cases, plan.entries, strict=True):
        meant, again = source(), found[entry.id]
        check.identical.append(np.array_equal(class_map(meant, plan), class_map(again, plan)))
        check.affine = max(check.affine, float(np.abs(meant.geometry.affine - again.geometry.affine).max()))
    read = READERS.get(exporter.name, read_by_highdicom_and_dcmqi)
    told = read(folder, cases, check.exported, run.options)
    check.passed = told == ""
    ignored = statistics.fmean(each.ignored for each in check.exported.counts)
    run.detail(
        f"{exporter.title}: cases, identical, affine difference, patients in two parts, own reader, seconds",
        f"{len(found)}, {sum(check.identical)}, {check.affine:.1e}, {check.shared}, {told or 'passed'}, {seconds:.1f}",
    )
    if exporter.name == "nnunet":
        run.detail("share of voxels that nobody looked at, to be ignored", ignored)
    return check


def check_other(name: str, work: Path, run: report.Run) -> list[Check]:
    """Take a volume with expert labels through every form."""
    listed = next(case for case in read_manifest(MANIFEST) if case.image.name == name)
    volume = open_volume(listed.image)
    labels = open_labels(listed.mask, volume)
    classes = [ObjectClass(f"structure {value}") for value in range(1, int(labels.max()) + 1)]
    classes[0] = ObjectClass("anterior")  # the structure that ITK counts
    case, checks = case_from_labels(volume, labels, classes, patient="one"), []
    for form in READERS:
        folder = work / f"{listed.image.name}_{form}"
        check = Check(export_dataset([case], find_exporter(form), folder))
        (again,) = (read() for read in open_dataset(folder, verify=True).cases)
        plan = check.exported.plan
        check.identical.append(np.array_equal(class_map(case, plan), class_map(again, plan)))
        check.affine = float(np.abs(volume.geometry.affine - again.geometry.affine).max())
        check.passed = READERS[form](folder, [lambda: case], check.exported, run.options) == ""
        checks.append(check)
    told = [sum(check.identical[0] for check in checks), max(check.affine for check in checks)]
    passed = sum(check.passed for check in checks)
    run.detail(
        f"{name}, {len(classes)} classes, 4 forms: identical, affine difference, own reader passed",
        f"{told[0]}, {told[1]:.1e}, {passed}",
    )
    return checks


def shared_patients(plan: DatasetPlan) -> int:
    """Return how many patients are on two sides of a division."""
    persons = {entry.id: entry.patient for entry in plan.entries}
    test = {entry.patient for entry in plan.entries if entry.test}
    shared = 0
    for fold in plan.folds:
        training, validation = ({persons[case] for case in part} for part in (fold.training, fold.validation))
        shared += len(training & validation) + len((training | validation) & test)
    return shared


def read_by_nnunet(folder: Path, cases: object, exported: Exported, options: argparse.Namespace) -> str:
    command = [options.nnunet_python, "-c", _VERIFY, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1]
    wrong = [line for line in done.stdout.splitlines() if any(word in line for word in ("Error:", "Warning:", "NaN"))]
    return "; ".join(wrong)


def read_by_monai(folder: Path, cases: object, exported: Exported, options: argparse.Namespace) -> str:
    from monai.data import load_decathlon_datalist
    from monai.transforms import LoadImage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a decoder that is not installed and not needed
        load = LoadImage(image_only=True)
    listed = 0
    for part in ("training", "validation"):
        for item in load_decathlon_datalist(str(folder / "dataset.json"), data_list_key=part) or ():
            image, labels = load(item["image"]), load(item["label"])
            if image.shape != labels.shape or not np.allclose(image.affine, labels.affine, rtol=0, atol=1e-5):
                return f"{Path(item['label']).name} does not lie on its image"
            listed += 1
    if any(entry.test for entry in exported.plan.entries):
        listed += len(load_decathlon_datalist(str(folder / "dataset.json"), data_list_key="test"))
    return "" if listed == len(exported.plan.entries) else f"lists {listed} cases"


def read_by_pycocotools(
    folder: Path, cases: Sequence[Callable[[], Case]], exported: Exported, options: argparse.Namespace
) -> str:
    from pycocotools.coco import COCO

    sources = dict(zip((entry.id for entry in exported.plan.entries), cases, strict=True))
    seen = 0
    for path in sorted((folder / "annotations").glob("*.json")):
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coco = COCO(str(path))
            for about in coco.dataset["cases"]:
                case, seen = sources[about["id"]](), seen + 1
                drawn = {thing.id: np.zeros(case.labels.shape, bool) for thing in case.objects}
                for image in (image for image in coco.imgs.values() if image["case"] == about["id"]):
                    for found in coco.loadAnns(coco.getAnnIds(imgIds=image["id"], iscrowd=False)):
                        drawn[found["object"]][image["slice"]] |= coco.annToMask(found).astype(bool)
                if not all(np.array_equal(mask, case.object_mask(number)) for number, mask in drawn.items()):
                    return f"{about['id']}: an object differs"
    return "" if seen == len(sources) else f"{seen} cases"


def read_by_itk(folder: Path, cases: object, exported: Exported, options: argparse.Namespace) -> str:
    import SimpleITK

    for entry, counts in zip(exported.plan.entries, exported.counts, strict=True):
        image, labels = (
            SimpleITK.ReadImage(str(folder / kind / f"{entry.id}.nii.gz")) for kind in ("images", "labels")
        )
        for one, other in (
            (image.GetOrigin(), labels.GetOrigin()),
            (image.GetSpacing(), labels.GetSpacing()),
            (image.GetDirection(), labels.GetDirection()),
        ):
            if not np.allclose(one, other, rtol=0, atol=1e-5):
                return f"{entry.id}: labels do not lie on the image"
        value = exported.plan.values["anterior"]
        if int((SimpleITK.GetArrayFromImage(labels) == value).sum()) != counts.classes["anterior"].voxels:
            return f"{entry.id}: another number of voxels"
    return ""


def check_dicom(cases: Sequence[Callable[[], Case]], work: Path, run: report.Run) -> Check:
    series = [partial(on_a_series, case, work / "series" / str(number)) for number, case in enumerate(cases)]
    return check_form(find_exporter("dicom_seg"), series, work, run)


def as_the_expert(listed: Any, patient: str) -> Case:
    volume = open_volume(listed.image)
    return case_from_labels(volume, open_labels(listed.mask, volume), EXPERT, patient=patient)


def on_a_series(case: Callable[[], Case], folder: Path) -> Case:
    """Return a case whose image was written as a DICOM series and read again; the labels are the same."""
    found = case()
    (volume,) = found.images.values()
    if not folder.exists():
        write_series(volume, folder)
    again = open_volume(folder)
    assert again.shape == volume.shape
    assert np.abs(again.geometry.affine - volume.geometry.affine).max() < 1e-5
    return replace(found, images={"MR": again}, source=folder)


def write_series(volume: Volume, folder: Path) -> None:
    """Write a volume as MR slices along its first axis; values are rounded to whole numbers."""
    lps = volume.geometry.affine[:3] * np.array([[-1], [-1], [1]])
    step, down, across = lps[:, :3].T
    sizes = float(np.linalg.norm(down)), float(np.linalg.norm(across))
    study, series, frame = (pydicom.uid.generate_uid() for _ in range(3))
    folder.mkdir(parents=True)
    for number, plane in enumerate(np.round(np.asarray(volume.array)).astype(np.int16)):
        made = pydicom.Dataset()
        made.file_meta = pydicom.dataset.FileMetaDataset()
        made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = pydicom.uid.MRImageStorage, pydicom.uid.generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, series, frame
        for name in EMPTY:
            setattr(made, name, "")
        made.PatientID, made.Modality, made.SeriesNumber, made.InstanceNumber = folder.name, "MR", 1, number + 1
        made.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
        made.Rows, made.Columns = plane.shape
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 1
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
        made.PixelSpacing, made.SliceThickness = decimals(sizes), decimals([np.linalg.norm(step)])[0]
        made.ImageOrientationPatient = decimals([*(across / sizes[1]), *(down / sizes[0])])
        made.ImagePositionPatient = decimals(lps[:, 3] + number * step)
        made.PixelData = plane.tobytes()
        made.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


def decimals(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.10f}") for value in values]


def read_by_highdicom_and_dcmqi(
    folder: Path, cases: Sequence[Callable[[], Case]], exported: Exported, options: argparse.Namespace
) -> str:
    """Compare every object with its segment as highdicom reads it, and as dcmqi, which shares no code with it, does."""
    for source, entry in zip(cases, exported.plan.entries, strict=True):
        case, path = source(), folder / "segmentations" / f"{entry.id}.dcm"
        volume = open_volume(folder / "images" / entry.id)
        meant = [mask for thing in case.objects if (mask := case.object_mask(thing.id)).any()]
        by_highdicom = read_masks(path, volume.geometry, dicom_slices(folder / "images" / entry.id, volume.geometry))
        for found in (by_highdicom, read_by_dcmqi(path, volume)):
            beyond = len(found) - len(meant)  # the last segment may hold what nobody decided
            if beyond not in (0, 1) or not all(map(np.array_equal, meant, found)):
                return f"{entry.id}: an object differs"
    return ""


def read_by_dcmqi(path: Path, volume: Volume) -> list[np.ndarray]:
    """Return the segments of a file in order, each voxel where it lies in the patient."""
    import dcmqi
    import SimpleITK

    found = []
    with tempfile.TemporaryDirectory() as out:
        converter = Path(dcmqi.__file__).parent / "bin" / "segimage2itkimage"
        command = [converter, "--inputDICOM", path, "--outputDirectory", out, "--outputType", "nrrd", "-p", "s"]
        subprocess.run(command, capture_output=True, check=True)
        for number in range(1, len(list(Path(out).glob("*.nrrd"))) + 1):
            image = SimpleITK.ReadImage(Path(out) / f"s-{number}.nrrd")
            voxels = np.argwhere(SimpleITK.GetArrayFromImage(image))[:, ::-1]
            direction = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
            places = volume.geometry.to_voxel((voxels @ direction.T + image.GetOrigin()) * (-1, -1, 1))
            mask = np.zeros(volume.shape, bool)
            mask[tuple(np.rint(places).astype(int).T)] = True
            found.append(mask)
    return found


READERS = {
    "nnunet": read_by_nnunet,
    "decathlon": read_by_monai,
    "coco": read_by_pycocotools,
    "nifti": read_by_itk,
}


def train(folder: Path, run: report.Run) -> None:
    """Train the small U-Net on what was exported for nnU-Net; tell its Dice on the first fold's validation part."""
    plan, sources = exporting.plan_of(open_dataset(folder), folder.name)
    training, validation = (
        [partial(exporting.sample_of, sources[case], plan) for case in part]
        for part in (plan.folds[0].training, plan.folds[0].validation)
    )
    check = TrainingCheck(training, validation, exporting.meaning_of(plan), seconds=60 * run.options.minutes)
    steps = sum(1 for _ in check.train())
    for score in check.scores():
        told = f"train-check, {run.options.minutes:g} minutes, {steps} steps, {score.cases} volumes left out"
        run.detail(f"{told}: Dice of {score.name}", score.dice)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--volumes", type=int, default=VOLUMES)
    parser.add_argument("--minutes", type=float, default=3.0, help="of training on the result")
    parser.add_argument("--dicom-only", action="store_true", help="experts' labels through DICOM-SEG, nothing else")
    parser.add_argument("--nnunet-python", default=sys.executable, help="a Python that has nnunetv2")


if __name__ == "__main__":
    report.main("training_sets", measure, add_options=add_options)
