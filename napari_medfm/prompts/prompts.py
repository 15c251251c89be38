"""Prompt types: a point, a box, a scribble, a lasso, a mask.

Positions are (row, column) voxel coordinates within a plane of the canonical
grid, voxel centres at whole numbers, in floating point. Every value is frozen
and hashable, so that a prompt in the history can never change behind its back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume import Plane

Position = tuple[float, float]
Kind = Literal["point", "box", "scribble", "lasso", "mask"]


@dataclass(frozen=True, slots=True)
class Point:
    """A click.

    Attributes
    ----------
    plane : Plane
        The slice it was made on.
    position : (float, float)
        (row, column) voxel coordinates in that slice.
    positive : bool
        True adds to the object, False removes from it.
    """

    plane: Plane
    position: Position
    positive: bool = True
    kind: Kind = field(default="point", init=False)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around the object, half-open: rows ``start[0] .. stop[0]``, ``stop`` excluded.

    Attributes
    ----------
    plane : Plane
        The slice it was made on.
    start, stop : (float, float)
        (row, column) of the first voxel inside and of the first voxel beyond.
    """

    plane: Plane
    start: Position
    stop: Position
    kind: Kind = field(default="box", init=False)

    @property
    def positive(self) -> bool:
        """A box always adds."""
        return True


@dataclass(frozen=True, slots=True)
class Scribble:
    """A free-hand line through the object or through what is not the object.

    Attributes
    ----------
    plane : Plane
        The slice it was made on.
    path : tuple of (float, float)
        (row, column) vertices in drawing order; one vertex is a dot.
    positive : bool
        True adds to the object, False removes from it.
    """

    plane: Plane
    path: tuple[Position, ...]
    positive: bool = True
    kind: Kind = field(default="scribble", init=False)


@dataclass(frozen=True, slots=True)
class Lasso:
    """A closed outline; its inside belongs (or does not belong) to the object.

    Attributes
    ----------
    plane : Plane
        The slice it was made on.
    path : tuple of (float, float)
        (row, column) corners of the polygon, closed implicitly, at least three.
    positive : bool
        True adds to the object, False removes from it.
    """

    plane: Plane
    path: tuple[Position, ...]
    positive: bool = True
    kind: Kind = field(default="lasso", init=False)


@dataclass(frozen=True, slots=True)
class MaskPrompt:
    """A whole mask as a starting point, run-length coded over its bounding box.

    Attributes
    ----------
    plane : Plane
        The slice it belongs to.
    start : (int, int)
        (row, column) of the bounding box's first voxel.
    shape : (int, int)
        (rows, columns) of the bounding box.
    runs : tuple of int
        Lengths of alternating runs of background and object in row-major order,
        beginning with background (possibly 0 long).
    """

    plane: Plane
    start: tuple[int, int]
    shape: tuple[int, int]
    runs: tuple[int, ...]
    kind: Kind = field(default="mask", init=False)

    @property
    def positive(self) -> bool:
        """A mask always adds."""
        return True

    @classmethod
    def from_mask(cls, plane: Plane, mask: NDArray[np.bool_]) -> Self:
        """Encode a (rows, columns) boolean mask of the whole plane; empty masks have no runs."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return cls(plane, (0, 0), (0, 0), ())
        box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        flat = np.concatenate(([False], box.ravel()))
        edges = np.flatnonzero(np.diff(flat.astype(np.int8)))
        runs = np.diff(np.concatenate(([0], edges, [box.size])))
        return cls(plane, (int(rows[0]), int(columns[0])), (box.shape[0], box.shape[1]), tuple(runs.tolist()))

    def to_mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Decode to a boolean mask of the whole plane, (rows, columns) given by `shape`."""
        mask = np.zeros(shape, dtype=bool)
        if self.runs:
            values = np.arange(len(self.runs)) % 2 == 1
            box = np.repeat(values, self.runs).reshape(self.shape)
            row, column = self.start
            mask[row : row + self.shape[0], column : column + self.shape[1]] = box
        return mask


Prompt = Point | Box | Scribble | Lasso | MaskPrompt


@dataclass(frozen=True, slots=True)
class PromptSet:
    """All prompts of one object, in the order they were made.

    Attributes
    ----------
    prompts : tuple of Prompt
        May lie on several planes.
    """

    prompts: tuple[Prompt, ...] = ()

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    def __getitem__(self, index: int) -> Prompt:
        return self.prompts[index]

    def add(self, prompt: Prompt) -> Self:
        """Return a set with one more prompt at the end."""
        return replace(self, prompts=(*self.prompts, prompt))

    def remove(self, index: int) -> Self:
        """Return a set without the prompt at `index`."""
        return replace(self, prompts=self.prompts[:index] + self.prompts[index + 1 :])

    def move(self, index: int, prompt: Prompt) -> Self:
        """Return a set in which the prompt at `index` is replaced."""
        return replace(self, prompts=(*self.prompts[:index], prompt, *self.prompts[index + 1 :]))

    def in_plane(self, plane: Plane) -> Self:
        """Return the prompts that lie on one plane."""
        return self.where(lambda prompt: prompt.plane == plane)

    def where(self, keep: Callable[[Prompt], bool]) -> Self:
        """Return the prompts for which `keep` is true, in order."""
        return replace(self, prompts=tuple(prompt for prompt in self.prompts if keep(prompt)))

    @property
    def planes(self) -> tuple[Plane, ...]:
        """The planes that hold prompts, in order of first use."""
        return tuple(dict.fromkeys(prompt.plane for prompt in self.prompts))

    @property
    def points(self) -> tuple[Point, ...]:
        """The clicks."""
        return tuple(prompt for prompt in self.prompts if isinstance(prompt, Point))

    @property
    def box(self) -> Box | None:
        """The last box, which replaces earlier ones."""
        boxes = [prompt for prompt in self.prompts if isinstance(prompt, Box)]
        return boxes[-1] if boxes else None
