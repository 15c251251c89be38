"""Whether two images lie on the same voxels."""

import numpy as np

from napari_medfm.volume.geometry import Geometry

TOLERANCE = 1e-3
"""Voxels by which the corners of two grids may differ and still be the same grid."""


def grid_difference(geometry: Geometry, other: Geometry) -> str | None:
    """Return in words how two grids differ, or None if they are the same.

    Positions are compared at the corners, in voxels of `geometry`. Grids without
    a known position are the same if shape and spacing agree; a grid with and one
    without a known position never are.
    """
    if geometry.shape != other.shape:
        return f"its grid is {_times(other.shape)} voxels, the image's {_times(geometry.shape)}"
    if geometry.known != other.known:
        return "only one of the two says where it lies in the patient"
    if not geometry.known:
        close = np.allclose(geometry.spacing, other.spacing, rtol=TOLERANCE)
        return None if close else f"its voxels measure {_mm(other.spacing)}, the image's {_mm(geometry.spacing)}"
    voxels, distance = _offset(geometry, other)
    if voxels <= TOLERANCE:
        return None
    return f"its corners lie up to {distance:.3g} mm ({voxels:.3g} voxels) from the image's"


def _offset(geometry: Geometry, other: Geometry) -> tuple[float, float]:
    size = np.asarray(geometry.shape) - 1
    corners = np.array(np.meshgrid(*[(0, last) for last in size])).reshape(geometry.ndim, -1).T
    there = other.to_world(corners)
    distance = np.linalg.norm(there - geometry.to_world(corners), axis=-1).max()
    inverse = np.linalg.inv(geometry.affine)
    homogeneous = np.c_[there, np.ones(len(there))] @ inverse.T
    moved = np.abs(homogeneous[:, 3 - geometry.ndim : 3] - corners).max()
    beside = np.abs(homogeneous[:, : 3 - geometry.ndim]).max(initial=0)
    return float(max(moved, beside)), float(distance)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape[::-1])


def _mm(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{step:.4g}" for step in spacing[::-1]) + " mm"
