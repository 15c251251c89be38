"""Make the sample volumes, or check that they are what this script makes.

python sample_volumes/make.py            make them again, compare with checksums.txt
python sample_volumes/make.py --accept   make them again and write checksums.txt
python sample_volumes/make.py --check    write nothing; compare files and voxels
python sample_volumes/make.py --large ct.nii.gz   a CT of 512 x 512 x 300 voxels for benchmarks
python sample_volumes/make.py --dicom scans       CT series of invented patients as DICOM, for docs/tour.md
"""

import contextlib
import csv
import gzip
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy is imported: for products this small threads only wait

import abdomen_ct
import brain_mr
import nibabel as nib
import numpy as np
import typer
import ultrasound
from phantom import Phantom

from napari_medfm.files import atomic_write, atomic_write_bytes, sha256_file
from napari_medfm.volume import Geometry, Volume, open_labels, open_volume, write_labels, write_volume

HERE = Path(__file__).parent
CHECKSUMS = "checksums.txt"
_FIRST = 3000  # seeds of invented patients begin here


def phantoms() -> tuple[Phantom, ...]:
    """Return the committed phantoms."""
    return abdomen_ct.phantom(), brain_mr.phantom(), ultrasound.phantom()


def write(phantom: Phantom, folder: Path) -> list[Path]:
    """Write image, labels, class list and a BIDS-like description; return their paths."""
    image, labels = phantom.draw_all()
    name, geometry = phantom.name, phantom.geometry
    return [
        write_volume(folder / f"{name}.nii.gz", Volume(image, geometry, name, phantom.modality)),
        write_labels(folder / f"{name}_labels.nii.gz", labels, geometry),
        atomic_write_bytes(folder / f"{name}.json", _description(phantom)),
        atomic_write_bytes(folder / f"{name}_classes.csv", _class_list(phantom)),
    ]


def differences(phantom: Phantom, folder: Path, slices: Iterable[int] | None = None) -> list[str]:
    """Draw slices again and return how they differ from the files; nothing if they do not.

    Grey values may differ by the phantom's tolerance, labels not at all.
    """
    image = open_volume(folder / f"{phantom.name}.nii.gz")
    labels = open_labels(folder / f"{phantom.name}_labels.nii.gz", image)
    stack = (phantom.count, *phantom.geometry.shape[-2:])
    found = []
    for index in range(phantom.count) if slices is None else slices:
        drawn, truth = phantom.draw(index)
        off = np.abs(image.array.reshape(stack)[index].astype(np.int64) - drawn).max()
        wrong = np.count_nonzero(labels.reshape(stack)[index] != truth)
        if off > phantom.tolerance or wrong:
            found.append(f"{phantom.name}, slice {index}: grey values differ by up to {off}, {wrong} labels differ")
    return found


def read_checksums(folder: Path) -> dict[str, str]:
    """Return digest by file name from checksums.txt, which ``sha256sum --check`` reads too."""
    lines = (folder / CHECKSUMS).read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def wrong_checksums(folder: Path) -> list[str]:
    """Return the names of files that are missing or not as checksums.txt says."""
    recorded = read_checksums(folder)
    return [name for name, digest in recorded.items() if not _has_digest(folder / name, digest)]


def write_large(path: Path, grid: abdomen_ct.Grid = abdomen_ct.LARGE) -> Path:
    """Write a large CT slice by slice, and its labels beside it; a few slices are in memory at once.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; the labels get ``_labels.nii.gz`` in place of that.
    grid : Grid
        Its voxels.
    """
    phantom = abdomen_ct.phantom(grid)
    labels = path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + "_labels.nii.gz")

    def write_both(image_path: Path) -> None:
        with _nifti(image_path, np.int16, phantom.geometry) as image_stream:
            atomic_write(labels, lambda labels_path: _stream(phantom, image_stream, labels_path))

    return atomic_write(path, write_both)


def write_patients(folder: Path, patients: int, grid: abdomen_ct.Grid = abdomen_ct.SAMPLE) -> list[Path]:
    """Write DICOM series of invented patients, each with an abdomen of its own, into a new folder.

    Parameters
    ----------
    folder : Path
        To make.
    patients : int
        How many.
    grid : Grid
        Voxels of each.
    """
    from dicom import write_series  # needs pydicom, which the phantoms do not

    folder.mkdir()
    numbers = range(1, patients + 1)
    series = {f"scan_{number}": abdomen_ct.phantom(grid, seed=_FIRST + number) for number in numbers}
    return [write_series(folder / name, each, f"PHANTOM-{name}") for name, each in series.items()]


def _stream(phantom: Phantom, image_stream: IO[bytes], labels_path: Path) -> None:
    with _nifti(labels_path, np.uint8, phantom.geometry) as labels_stream:
        for index in range(phantom.count):
            image, labels = phantom.draw(index)
            image_stream.write(image.tobytes())
            labels_stream.write(labels.tobytes())
            if index % 30 == 29:
                print(f"{index + 1} of {phantom.count} slices", flush=True)


@contextlib.contextmanager
def _nifti(path: Path, dtype: type[np.generic], geometry: Geometry) -> Iterator[IO[bytes]]:
    """Open a NIfTI file for voxels in canonical order: x fastest, then y, then z."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(geometry.shape[::-1])
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    affine = geometry.affine[:, [2, 1, 0, 3]]
    header.set_sform(affine, code="scanner")
    header.set_qform(affine, code="scanner")
    header["vox_offset"] = 352
    with path.open("wb") as file, _compressed(file, path) as stream:
        stream.write(header.binaryblock + bytes(4))
        yield stream


def _compressed(file: IO[bytes], path: Path) -> contextlib.AbstractContextManager[Any]:
    if path.suffix == ".gz":
        return gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0)
    return contextlib.nullcontext(file)


def _description(phantom: Phantom) -> bytes:
    names = {"background": 0} | {each.name: label for label, each in enumerate(phantom.structures, start=1)}
    content = {"Modality": phantom.modality, "SyntheticData": True, "labels": names}
    return (json.dumps(content, indent=2) + "\n").encode()


def _class_list(phantom: Phantom) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("name", "colour", "parent"))
    rows.writerows(phantom.structures)
    return text.getvalue().encode()


def _has_digest(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_file(path) == digest


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; compare files and voxels.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Write checksums.txt anew.")] = False,
    large: Annotated[Path | None, typer.Option(help="Only write a CT of 512 x 512 x 300 voxels here.")] = None,
    dicom: Annotated[Path | None, typer.Option(help="Only write DICOM series of invented patients here.")] = None,
    patients: Annotated[int, typer.Option(min=1, help="How many, with --dicom.")] = 4,
) -> None:
    """Make the sample volumes, or check them."""
    if dicom is not None:
        print(f"wrote {', '.join(path.name for path in write_patients(dicom, patients))}")
        return
    if large is not None:
        print(f"wrote {write_large(large).name}")
        return
    found = []
    for phantom in phantoms():
        if check:
            found += differences(phantom, HERE)
            print(f"{phantom.name}: compared", flush=True)
        else:
            names = [path.name for path in write(phantom, HERE)]
            print(f"wrote {', '.join(names)}", flush=True)
    if accept:
        names = sorted(path.name for path in HERE.iterdir() if path.suffix in {".gz", ".json", ".csv"})
        lines = [f"{sha256_file(HERE / name)}  {name}\n" for name in names]
        atomic_write_bytes(HERE / CHECKSUMS, "".join(lines).encode())
    found += [f"{name}: not as checksums.txt says" for name in wrong_checksums(HERE)]
    print("\n".join(found) or "all as recorded")
    raise typer.Exit(1 if found else 0)


if __name__ == "__main__":
    typer.run(main)
