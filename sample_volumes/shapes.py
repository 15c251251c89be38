"""Implicit shapes on one image plane: distances in mm to a surface, negative inside.

A phantom is painted slice by slice, back to front, with edges one voxel wide; thick slices
are the mean of thin ones. So the partial volume of a scanner comes about as in a scanner.
Positions are mm in a frame of the phantom's own, axes (z, y, x) towards Superior,
Posterior and Left as everywhere in this project.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Field = NDArray[np.float64]
Level = Field | float
Place = tuple[float, float, float]

_FAR = 60.0
"""mm; a distance that is surely outside."""


@dataclass(frozen=True)
class Canvas:
    """One plane being painted.

    Attributes
    ----------
    z : float
        Height of the plane in mm.
    down, across : ndarray, (rows,) and (columns,)
        Straight coordinates in mm.
    y, x : ndarray, (rows, columns)
        The same, warped by a few mm so that nothing is quite an ellipse.
    intensity : ndarray, (rows, columns)
        What has been painted so far.
    labels : ndarray of uint8, (rows, columns)
        What an expert would say is there.
    pixel : float
        mm per voxel.
    """

    z: float
    down: Field
    across: Field
    y: Field
    x: Field
    intensity: Field
    labels: NDArray[np.uint8]
    pixel: float

    @classmethod
    def blank(cls, z: float, lines: tuple[Field, Field], warp: tuple[Level, Level], intensity: float) -> Self:
        """Return an even plane over straight coordinates, warped by the given mm."""
        down, across = lines
        y = np.broadcast_to(down[:, None] + warp[0], (len(down), len(across)))
        x = np.broadcast_to(across[None] + warp[1], (len(down), len(across)))
        labels = np.zeros(y.shape, np.uint8)
        return cls(z, down, across, y, x, np.full(y.shape, intensity), labels, float(down[1] - down[0]))

    def paint(self, distance: Field, intensity: Level, label: int | None = None) -> None:
        """Cover the inside of a shape, mixing along its edge; `label` None leaves the labels."""
        if distance.min() > self.pixel:
            return
        share = np.clip(0.5 - distance / self.pixel, 0.0, 1.0)
        self.intensity[...] += share * (intensity - self.intensity)
        if label is not None:
            self.labels[distance < 0] = label

    def part(self, y: tuple[float, float], x: tuple[float, float]) -> Self | None:
        """Return the part between the given mm, painted through to this canvas; None if nothing is left."""
        margin = 10.0  # more than the warp moves anything
        rows = _between(self.down, y[0] - margin, y[1] + margin)
        columns = _between(self.across, x[0] - margin, x[1] + margin)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        cut = {name: getattr(self, name)[rows, columns] for name in ("y", "x", "intensity", "labels")}
        return replace(self, down=self.down[rows], across=self.across[columns], **cut)

    def tube(self, path: Sequence[Place], radii: Sequence[float], intensity: float, label: int | None = None) -> None:
        """Paint a tube through the given places whose radius changes evenly between them."""
        for (start, stop), ends in zip(itertools.pairwise(path), itertools.pairwise(radii), strict=True):
            reach = max(ends)
            low, high = np.minimum(start, stop) - reach, np.maximum(start, stop) + reach
            if low[0] - self.pixel < self.z < high[0] + self.pixel:
                part = self.part((low[1], high[1]), (low[2], high[2]))
                if part is not None:
                    part.paint(part.capsule(start, stop, ends), intensity, label)

    def capsule(self, start: Place, stop: Place, radii: tuple[float, float]) -> Field:
        """Return the distance to a straight piece of tube."""
        axis = np.subtract(stop, start)
        z, y, x = self.z - start[0], self.y - start[1], self.x - start[2]
        along = np.clip((z * axis[0] + y * axis[1] + x * axis[2]) / (axis @ axis), 0.0, 1.0)
        away = np.sqrt((z - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (x - along * axis[2]) ** 2)
        return np.asarray(away - (radii[0] + along * (radii[1] - radii[0])))

    def ellipsoid(self, centre: Place, radii: Place, turn: float = 0.0) -> Field:
        """Return the distance to an ellipsoid turned by degrees about z (from x towards y)."""
        z = self.z - centre[0]
        if abs(z) > radii[0] + 15:
            return np.broadcast_to(_FAR, self.y.shape)
        y, x = self.y - centre[1], self.x - centre[2]
        if turn:
            y, x = turned(y, x, turn)
        yy, xx, zz = (y / radii[1]) ** 2, (x / radii[2]) ** 2, (z / radii[0]) ** 2
        scaled = np.sqrt(zz + yy + xx)
        slope = np.sqrt(zz / radii[0] ** 2 + yy / radii[1] ** 2 + xx / radii[2] ** 2)
        return np.asarray(scaled * (scaled - 1.0) / np.maximum(slope, 1e-6))


def turned(y: Field, x: Field, degrees: float) -> tuple[Field, Field]:
    """Return coordinates in axes turned by degrees from x towards y."""
    angle = np.deg2rad(degrees)
    return y * np.cos(angle) - x * np.sin(angle), x * np.cos(angle) + y * np.sin(angle)


def union(first: Field, second: Field, blend: float = 1e-6) -> Field:
    """Return the distance to two shapes grown together; `blend` mm rounds the seam."""
    overlap = np.maximum(blend - np.abs(first - second), 0.0)
    return np.asarray(np.minimum(first, second) - overlap**2 / (4 * blend))


def common(*shapes: Level) -> Field:
    """Return the distance to what lies in every shape; negate one to cut it out."""
    result = np.asarray(shapes[0], dtype=np.float64)
    for shape in shapes[1:]:
        result = np.maximum(result, shape)
    return result


@dataclass(frozen=True)
class Waves:
    """A smooth random field without a grid: a sum of plane waves, about unit variance.

    Attributes
    ----------
    vectors : ndarray, (waves, 3)
        Wave vectors in radians per mm, (z, y, x).
    phases : ndarray, (waves,)
        Radians.
    """

    vectors: Field
    phases: Field

    @classmethod
    def random(cls, rng: np.random.Generator, wavelengths: tuple[float, float], count: int = 8) -> Self:
        """Draw waves of any direction with wavelengths in mm between two bounds."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = rng.uniform(*wavelengths, size=(count, 1))
        return cls(2 * np.pi * directions / lengths, rng.uniform(0, 2 * np.pi, count))

    def at(self, z: float, down: Field, across: Field) -> Field:
        """Return the field on the plane at height `z` over straight coordinates, (rows, columns)."""
        # sin(a + b) = sin a cos b + cos a sin b: products of lines instead of sines of planes.
        first = down[:, None] * self.vectors[:, 1] + z * self.vectors[:, 0] + self.phases
        second = across[:, None] * self.vectors[:, 2]
        total = np.sin(first) @ np.cos(second).T + np.cos(first) @ np.sin(second).T
        return np.asarray(total * np.sqrt(2 / len(self.phases)))

    def through(self, z: Field, y: Field, x: Field) -> Field:
        """Return the field at scattered places in mm, of any one shape."""
        total = np.zeros(y.shape)
        for (kz, ky, kx), phase in zip(self.vectors, self.phases, strict=True):
            total += np.sin(z * kz + y * ky + x * kx + phase)
        return np.asarray(total * np.sqrt(2 / len(self.phases)))

    def sheets(self, z: Field, y: Field, x: Field) -> Field:
        """Return mm from the nearest surface on which the field is zero, at scattered places of any one shape."""
        value, slope = np.zeros(y.shape), np.zeros((3, *y.shape))
        for vector, phase in zip(self.vectors, self.phases, strict=True):
            angle = z * vector[0] + y * vector[1] + x * vector[2] + phase
            value += np.sin(angle)
            slope += np.multiply.outer(vector, np.cos(angle))
        steepness = np.sqrt((slope**2).sum(axis=0))
        usual = np.sqrt((self.vectors**2).sum() / 2)
        return np.asarray(np.abs(value) / np.maximum(steepness, 0.4 * usual))

    def on(self, canvas: Canvas) -> Field:
        """Return the field on a canvas."""
        return self.at(canvas.z, canvas.down, canvas.across)


@dataclass(frozen=True)
class Grain:
    """A texture tile in three dimensions that repeats without a seam; zero mean, unit variance.

    Attributes
    ----------
    tile : ndarray of float32, (side, side, side)
        One period.
    step : float
        mm per tile voxel.
    """

    tile: NDArray[np.float32]
    step: float

    @classmethod
    def random(cls, rng: np.random.Generator, size: float, side: int = 64) -> Self:
        """Draw a texture whose grains are about `size` mm across."""
        tile = gaussian_filter(rng.standard_normal((side,) * 3), 1.6, mode="wrap")
        return cls((tile / tile.std()).astype(np.float32), size / 4)

    def on(self, canvas: Canvas) -> Field:
        """Return the texture on a canvas."""
        side = len(self.tile)
        plane = self.tile[int(np.floor(canvas.z / self.step)) % side]
        rows, columns = (np.floor(line / self.step).astype(np.intp) % side for line in (canvas.down, canvas.across))
        return np.asarray(plane[np.ix_(rows, columns)], dtype=np.float64)


def _between(line: Field, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(line, low)), int(np.searchsorted(line, high, side="right")))
