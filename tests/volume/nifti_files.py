"""Writes NIfTI files field by field, right ones and wrong ones, without asking a library's opinion."""

import gzip

import nibabel as nib
import numpy as np

RAS_AFFINE = np.array([[0.8, 0, 0, -30], [0, 0.9, 0, -40], [0, 0, 2.5, 10], [0, 0, 0, 1]], np.float32)


def numbered(shape=(4, 5, 6), dtype=np.int16):
    """Return an array, (x, y, z), in which every voxel has its own value."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def nifti_header(array, affine=RAS_AFFINE, *, endian="<", version=1, **fields):
    """Return a header with the affine as sform, and any field overridden."""
    header = (nib.Nifti2Header if version == 2 else nib.Nifti1Header)(endianness=endian)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header["vox_offset"] = 544 if version == 2 else 352
    header["scl_slope"], header["scl_inter"] = 1, 0
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["sform_code"] = 1
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    header["xyzt_units"] = 2
    for field, value in fields.items():
        header[field] = value
    return header


def nifti_bytes(array, affine=RAS_AFFINE, *, endian="<", version=1, header=None, **fields):
    """Return a whole single-file NIfTI."""
    header = header or nifti_header(array, affine, endian=endian, version=version, **fields)
    return header.binaryblock + bytes(4) + array.astype(array.dtype.newbyteorder(endian)).tobytes(order="F")


def write_nifti_file(path, array, affine=RAS_AFFINE, **options):
    """Write a NIfTI file, compressed if its name says so, and return its path."""
    content = nifti_bytes(array, affine, **options)
    path.write_bytes(gzip.compress(content, 1, mtime=0) if path.suffix == ".gz" else content)
    return path


def qform_fields(affine, code=1):
    """Return the header fields of a rigid affine written as a qform."""
    header = nib.Nifti1Header()
    header.set_qform(affine, code=code)
    names = ("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "pixdim")
    return {name: header[name] for name in names}
