"""What every promptable model offers, and the values that pass between it and its callers."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_medfm.prompts import PromptSet
from napari_medfm.volume import LatticeRegion

Tier = Literal["classical", "general natural", "general medical", "modality", "organ-task"]
Origin = Literal["no training", "adapted", "from scratch"]
PromptKind = Literal["point", "box", "scribble", "lasso", "mask"]
WeightsSource = Literal["none", "package", "download", "file"]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A published file of weights.

    Attributes
    ----------
    name : str
        Of the file.
    url : str
        Where its publisher offers it; empty if nowhere that can be relied on.
    digest : str
        What it must be, such as ``sha256:...``, or ``md5:...`` where the publisher gives no better.
    size : int
        In bytes; 0 if not known.
    """

    name: str
    url: str = ""
    digest: str = ""
    size: int = 0

    def find(self, folder: Path) -> Path | None:
        """Return where it was downloaded to, or None; only its size is looked at."""
        path = folder / self.name
        return path if path.is_file() and self.size in {0, path.stat().st_size} else None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model before it is loaded.

    Attributes
    ----------
    title : str
        Name shown to people.
    tier : str
        What the model was made for.
    origin : str
        How it was made.
    licence : str
        SPDX identifier or name of the licence of the weights; empty if unknown.
    commercial_use : bool
        Whether that licence allows commercial use.
    weights : str
        ``none`` needed, in the ``package``, a verified ``download``, or a ``file`` that the person brings.
    recipe : str
        Of a model with weights of its authors: how it is asked, see `napari_medfm.models.recipes`.
    note : str
        What a person should know before using it, in one sentence.
    file : WeightsFile, optional
        The weights, where they are one published file.
    embedding_bytes : int
        Of one slice, or region, as it is kept; 0 if it depends on the image, or nothing is kept.
    verified : str
        What the way it is asked was compared with.
    """

    title: str
    tier: Tier = "general medical"
    origin: Origin = "adapted"
    licence: str = ""
    commercial_use: bool = True
    weights: WeightsSource = "none"
    recipe: str = ""
    note: str = ""
    file: WeightsFile | None = None
    embedding_bytes: int = 0
    verified: str = ""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Facts about a model, as data.

    Attributes
    ----------
    name : str
        Registry name.
    title : str
        Name shown to people.
    ndim : int
        2 for slices, 3 for regions.
    prompt_kinds : frozenset of str
        Kinds the model takes directly; callers convert the others to points.
    input_size : int
        Side of the square (cube) the encoder sees, in pixels; 0 for any size.
    preprocessing : str
        Identifier of the image transform.
    embedding_bytes : int
        Bytes of one embedding at `precision`; 0 if it depends on the image.
    cacheable : bool
        Whether encoding is worth storing on disk.
    precision : str
        Number format the embedding is stored in, such as ``float16``.
    tier : str
        What the model was made for.
    origin : str
        How it was made.
    licence : str
        SPDX identifier or name of the licence of the weights.
    commercial_use : bool
        Whether that licence allows commercial use.
    encoder_digest : str
        SHA-256 of the encoder's weights and preprocessing; part of every cache key.
    weights_url, weights_sha256, weights_size : str, str, int
        Where the weights can be had, their digest and their size in bytes; empty if none.
    model_digest : str
        SHA-256 of all weights, the decoder's too; for the provenance record.
    quality_meaning : str
        What the model says of an answer by its quality, 0..1, in words for people.
    """

    name: str
    title: str
    ndim: int
    prompt_kinds: frozenset[PromptKind]
    input_size: int
    preprocessing: str
    embedding_bytes: int
    cacheable: bool
    precision: str
    tier: Tier
    origin: Origin
    licence: str
    commercial_use: bool
    encoder_digest: str
    weights_url: str = ""
    weights_sha256: str = ""
    weights_size: int = 0
    model_digest: str = ""
    quality_meaning: str = "expected overlap"


@dataclass(frozen=True, slots=True, eq=False)
class ImageEmbedding:
    """What the encoder keeps of one image; everything a decoder needs besides prompts.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Named arrays on the CPU, in the precision they are stored in.
    shape : tuple of int
        (rows, columns) of the slice, or points (x, y, z) of the region, that was encoded.
    encoder_digest : str
        Digest of the encoder that made it.
    region : LatticeRegion, optional
        Of a region of a volume, where it lies; whoever asks for the embedding knows, and no store keeps it.
    aspect : float
        Height of the image's pixels in their width.
    """

    arrays: Mapping[str, NDArray[Any]]
    shape: tuple[int, ...]
    encoder_digest: str
    region: LatticeRegion | None = None
    aspect: float = 1.0

    @property
    def image_shape(self) -> tuple[int, int]:
        """(rows, columns) of the slice that was encoded."""
        rows, columns = self.shape
        return rows, columns

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays.values())


@dataclass(frozen=True, slots=True, eq=False)
class MaskPrediction:
    """The decoder's answer, on a slice (rows, columns) or on a region of a volume (x, y, z).

    Attributes
    ----------
    masks : ndarray of bool, (candidates, rows, columns) or (candidates, x, y, z)
        Candidate masks at the image's own resolution.
    low_res : ndarray of float32, (candidates, h, w) or (candidates, x, y, z)
        The logits behind them, at the decoder's resolution; fed back as `previous`.
    qualities : ndarray of float32, (candidates,)
        Predicted agreement of each candidate with what was meant (IoU or Dice, as the model says), 0..1;
        candidates come best first.
    """

    masks: NDArray[np.bool_]
    low_res: NDArray[np.float32]
    qualities: NDArray[np.float32]

    @property
    def best(self) -> int:
        """Index of the candidate with the highest predicted quality."""
        return int(np.argmax(self.qualities))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The best mask, (rows, columns) or (x, y, z)."""
        best: NDArray[np.bool_] = self.masks[self.best]
        return best

    @property
    def logits(self) -> NDArray[np.float32]:
        """The best candidate's logits at the decoder's resolution, (h, w)."""
        best: NDArray[np.float32] = self.low_res[self.best]
        return best

    @property
    def quality(self) -> float:
        """Predicted quality of the best mask."""
        return float(self.qualities[self.best])


@runtime_checkable
class PromptableModel(Protocol):
    """A model that encodes an image once and then answers prompts on it.

    Both methods are called from one thread only, the device lane. What is said of images and planes here is said of
    slices; a model of volumes is a `RegionModel`.
    """

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""

    def encode(self, image: NDArray[Any], aspect: float = 1.0) -> ImageEmbedding:
        """Encode an image.

        Parameters
        ----------
        image : ndarray of uint8, (rows, columns) or (rows, columns, 3)
            Already windowed to 0..255.
        aspect : float
            Height of its pixels in their width. A network that learnt from square pixels is shown square ones; prompts
            and answers stay on the image's own. Not given where it is 1.
        """

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer the prompts of one plane.

        Parameters
        ----------
        embedding : ImageEmbedding
            From `encode` of the same model.
        prompts : PromptSet
            At least one prompt; all on the same plane.
        previous : MaskPrediction, optional
            The last answer for the same object and plane, to be refined.

        Raises
        ------
        PromptError
            No prompt, or a prompt outside the image.
        """


@dataclass(frozen=True, slots=True)
class RegionRecipe:
    """How a model of volumes sees an image, and where it wants to look.

    Attributes
    ----------
    preprocessing : str
        Identifier of the image transform; part of every cache key.
    side : int
        Points along each axis of a region.
    spacing : float or None
        mm from point to point; None for the volume's own voxels.
    margin : int
        Points from a face of the region within which a prompt moves the region.
    fill : float
        Value of points outside the image.
    connected : bool
        Whether only what hangs together with a positive prompt is kept of an answer.
    steps : int
        Steps of the encoder, by which progress is told; 0 if it has none.
    """

    preprocessing: str
    side: int
    spacing: float | None = None
    margin: int = 0
    fill: float = 0.0
    connected: bool = False
    steps: int = 0

    @property
    def size(self) -> tuple[int, int, int]:
        """Points of a region."""
        return self.side, self.side, self.side


@runtime_checkable
class RegionModel(PromptableModel, Protocol):
    """A model of volumes: ``spec.ndim`` is 3, and its images are regions of a volume.

    `encode` takes the region's values as they stand in the file, float32 (x, y, z); what they become is the model's
    own affair. `decode` gets an embedding that tells its region, and all prompts of an object, on whatever plane of
    the volume they were made, oldest first; those that lie outside the region are to be left out. It answers on the
    region's points.
    """

    @property
    def recipe(self) -> RegionRecipe:
        """How it sees an image."""


@runtime_checkable
class EncodesInSteps(Protocol):
    """A model whose encoder can be interrupted, so that a click need not wait for a whole slice."""

    def encode_steps(self, image: NDArray[Any], aspect: float = 1.0) -> Generator[None, None, ImageEmbedding]:
        """Encode an image as `PromptableModel.encode` does, one block of the network for every ``next``."""


@runtime_checkable
class EncodesBatches(EncodesInSteps, Protocol):
    """A model that encodes several images together, where that is faster than one after the other."""

    @property
    def batch_size(self) -> int:
        """How many images are best encoded together now: 1 on a CPU, fewer after memory ran out."""

    def encode_batch_steps(
        self, images: Sequence[NDArray[np.uint8]], aspect: float = 1.0
    ) -> Generator[None, None, list[ImageEmbedding]]:
        """Encode images of one shape, in steps; equal to encoding each of them, but for rounding."""
