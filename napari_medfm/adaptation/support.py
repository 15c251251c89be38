"""The labelled slices that a model is adapted to, as values."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from napari_medfm.errors import AdapterError
from napari_medfm.models import ImageEmbedding

_SOME = 0.1  # of the largest part: smaller ones are specks
_MORE = "Annotate a slice of the structure fully and mark it so."


@dataclass(frozen=True, slots=True, eq=False)
class SupportSlice:
    """One slice that was looked at as a whole: what is not labelled on it is not the structure.

    Attributes
    ----------
    embedding : ImageEmbedding
        Of the slice.
    labels : ndarray of uint16, (rows, columns)
        0 is not the structure; each other value is one object of it.
    ignore : ndarray of bool, (rows, columns)
        Where nothing is known; neither learned from nor judged.
    title : str
        Shown to people; no folder, no name of a patient.
    digest : str
        SHA-256 of all that is learned from.
    """

    embedding: ImageEmbedding
    labels: NDArray[np.uint16]
    ignore: NDArray[np.bool_]
    title: str
    digest: str

    @classmethod
    def annotated(
        cls,
        embedding: ImageEmbedding,
        labels: NDArray[Any],
        ignore: NDArray[np.bool_] | None = None,
        title: str = "slice",
    ) -> Self:
        """Return a slice that is fully annotated.

        Parameters
        ----------
        embedding, ignore, title
            See `SupportSlice`; by default all of it is known.
        labels : ndarray of bool or int, (rows, columns)
            Objects of the structure, or one mask of it.

        Raises
        ------
        AdapterError
            The shapes differ, or there are more objects than 65535.
        """
        known = np.zeros(labels.shape, dtype=np.bool_) if ignore is None else ignore.astype(np.bool_)
        if labels.shape != embedding.image_shape or known.shape != labels.shape:
            reason = f"has labels of shape {labels.shape} on an image of shape {embedding.image_shape}"
            raise AdapterError(title, reason, "Label the slice that was embedded.")
        if labels.min(initial=0) < 0 or labels.max(initial=0) > np.iinfo(np.uint16).max:
            raise AdapterError(title, "has labels beyond 0 to 65535", "Number the objects from 1.")
        values = np.where(known, 0, labels).astype(np.uint16)
        values.setflags(write=False)
        return cls(embedding, values, known, title, _digest(embedding, values, known))

    @classmethod
    def empty(cls, embedding: ImageEmbedding, title: str = "slice") -> Self:
        """Return a slice that was confirmed to hold nothing of the structure."""
        return cls.annotated(embedding, np.zeros(embedding.image_shape, dtype=np.uint16), title=title)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """All of the structure on it, (rows, columns)."""
        return self.labels > 0

    @property
    def objects(self) -> tuple[NDArray[np.bool_], ...]:
        """Each object on it, (rows, columns)."""
        return tuple(self.labels == value for value in np.unique(self.labels) if value)

    @property
    def is_positive(self) -> bool:
        """Whether any of the structure is on it."""
        return bool(self.labels.any())


@dataclass(frozen=True, slots=True)
class SupportSet:
    """All labelled slices of one structure.

    Attributes
    ----------
    structure : str
        Name of its class.
    slices : tuple of SupportSlice
        Of one encoder; a slice that is there twice counts once.

    Raises
    ------
    AdapterError
        None of them holds the structure, or they were embedded by different encoders.
    """

    structure: str
    slices: tuple[SupportSlice, ...]

    def __post_init__(self) -> None:
        once = tuple({each.digest: each for each in self.slices}.values())
        object.__setattr__(self, "slices", once)
        if not self.positives:
            raise AdapterError(self.structure, "is on none of the labelled slices", _MORE)
        if len({each.embedding.encoder_digest for each in once}) > 1:
            raise AdapterError(self.structure, "was labelled on embeddings of different models", "Embed them again.")

    @property
    def positives(self) -> tuple[SupportSlice, ...]:
        """Those that hold the structure."""
        return tuple(each for each in self.slices if each.is_positive)

    @property
    def encoder_digest(self) -> str:
        """Of the encoder that embedded them."""
        return self.slices[0].embedding.encoder_digest

    @property
    def has_several(self) -> bool:
        """Whether any slice holds more than one object."""
        return any(len(each.objects) > 1 for each in self.slices)

    @property
    def is_scattered(self) -> bool:
        """Whether on any slice it has several parts of some size that do not touch."""
        return any(_parts(each.mask) > 1 for each in self.positives)

    def without(self, digest: str) -> Self:
        """Return the set with one slice left out.

        Raises
        ------
        AdapterError
            It was the last that holds the structure.
        """
        return replace(self, slices=tuple(each for each in self.slices if each.digest != digest))

    def split(self, turn: int) -> "tuple[SupportSet, SupportSlice | None]":
        """Return the slices to learn from, and the one to judge by; None if all are needed.

        Parameters
        ----------
        turn : int
            Counts adaptations, so that each judges by another slice. The first one takes the middle slice: in a
            volume the outer ones are unlike the others.
        """
        count = len(self.positives)
        if count < 2:
            return self, None
        judged = self.positives[(count // 2 + turn) % count]
        return self.without(judged.digest), judged


def embedding_digest(embedding: ImageEmbedding) -> str:
    """Return the SHA-256 of all that an embedding holds, in hexadecimal."""
    digest = hashlib.sha256(f"{embedding.encoder_digest} {embedding.image_shape}\n".encode())
    for name in sorted(embedding.arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(embedding.arrays[name]).data)
    return digest.hexdigest()


def _parts(mask: NDArray[np.bool_]) -> int:
    numbers, _ = label(mask, np.ones((3, 3)))
    sizes = np.bincount(numbers.ravel())[1:]
    return int(np.count_nonzero(sizes >= _SOME * sizes.max()))


def _digest(embedding: ImageEmbedding, labels: NDArray[np.uint16], ignore: NDArray[np.bool_]) -> str:
    digest = hashlib.sha256(embedding_digest(embedding).encode())
    digest.update(np.ascontiguousarray(labels).data)
    digest.update(np.packbits(ignore).data)
    return digest.hexdigest()
