"""A model together with a store of its embeddings: embed an image once, then predict at will."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_medfm.errors import ModelError, PromptError
from napari_medfm.inference.keys import EmbeddingKey
from napari_medfm.inference.stores import EmbeddingStore, volatile
from napari_medfm.models import (
    EncodesBatches,
    EncodesInSteps,
    ImageEmbedding,
    MaskPrediction,
    ModelSpec,
    PromptableModel,
    RegionModel,
    RegionRecipe,
)
from napari_medfm.models.steps import finish
from napari_medfm.prompts import Box, Point, PromptSet, as_points, as_volume_points
from napari_medfm.volume import WHOLE, LatticeRegion, Plane, Volume, Window


class Predictor:
    """Embeds images and predicts masks.

    To be used from one thread, the device lane, like the model it holds.

    Parameters
    ----------
    model : PromptableModel
        Encodes and decodes.
    store : EmbeddingStore, optional
        Where embeddings with a key are kept. Of a model whose embeddings are not
        worth storing (``spec.cacheable``), only memory is used.
    """

    def __init__(self, model: PromptableModel, store: EmbeddingStore | None = None) -> None:
        self._model = model
        self._store = store if store is None or model.spec.cacheable else volatile(store)
        self._unfinished: tuple[EmbeddingKey, Generator[None, None, ImageEmbedding]] | None = None

    @property
    def model(self) -> PromptableModel:
        """The model."""
        return self._model

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model."""
        return self._model.spec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Digests of the adapters that take part in its answers; none of a model as it was loaded."""
        return tuple(getattr(self._model, "adapters", ()))

    def with_model(self, model: PromptableModel) -> "Predictor":
        """Return a predictor of another model with the same encoder, which shares the stored embeddings."""
        return Predictor(model, self._store)

    def key(self, fingerprint: str, plane: Plane, window: Window, aspect: float = 1.0) -> EmbeddingKey:
        """Return the key of a plane's embedding by this model.

        Parameters
        ----------
        fingerprint : str
            Of the volume, see `napari_medfm.volume.fingerprint`.
        plane : Plane
            The slice.
        window : Window
            The intensity window the model sees it through.
        aspect : float
            Height of the slice's pixels in their width, see `napari_medfm.inference.pixel_aspect`.

        Raises
        ------
        ModelError
            The model answers for volumes.
        """
        spec = self.spec
        if self.answers_volumes:
            step = "Click on the object itself, or choose another model for this."
            raise ModelError(spec.title, "answers for volumes, not for slices", step)
        where = int(plane.axis), int(plane.index)
        return EmbeddingKey(fingerprint, *where, window.key, spec.encoder_digest, spec.precision, aspect=aspect)

    @property
    def answers_volumes(self) -> bool:
        """Whether the model answers on regions of a volume, see `napari_medfm.models.RegionModel`."""
        return self.spec.ndim == 3

    @property
    def recipe(self) -> RegionRecipe:
        """How a model of volumes sees an image.

        Raises
        ------
        ModelError
            The model answers for slices.
        """
        if not isinstance(self._model, RegionModel):
            raise ModelError(self.spec.title, "answers for slices, not for volumes", "Choose another model for this.")
        return self._model.recipe

    def region_key(self, fingerprint: str, region: LatticeRegion) -> EmbeddingKey:
        """Return the key of a region's embedding by this model.

        Parameters
        ----------
        fingerprint : str
            Of the volume, see `napari_medfm.volume.fingerprint`.
        region : LatticeRegion
            Where it lies.
        """
        spec = self.spec
        digest, precision = spec.encoder_digest, spec.precision
        return EmbeddingKey(fingerprint, WHOLE.axis, WHOLE.index, "", digest, precision, region.key)

    def embed_region_steps(
        self, volume: Volume, fingerprint: str, region: LatticeRegion
    ) -> Generator[None, None, ImageEmbedding]:
        """Return a region's embedding, from the store if it is there, in as many steps as the model's encoder has.

        What is interrupted is kept, and goes on when the same region is asked for next: a further click need not
        begin anew.

        Parameters
        ----------
        volume : Volume
            The image; read only if the region is not stored.
        fingerprint : str
            Of that volume.
        region : LatticeRegion
            Where it lies.

        Raises
        ------
        ModelError
            The model answers for slices.
        """
        key, fill = self.region_key(fingerprint, region), self.recipe.fill
        found = self.lookup(key)
        if found is None:
            if self._unfinished is None or self._unfinished[0] != key:
                self._unfinished = key, self.embed_steps(lambda: region.read(volume.array, fill), key)
            found = yield from self._go_on(self._unfinished[1])
        return found if found.region == region else replace(found, region=region)

    def _go_on(self, steps: Generator[None, None, ImageEmbedding]) -> Generator[None, None, ImageEmbedding]:
        """Take the steps one by one; unlike ``yield from``, being closed does not close them."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                self._unfinished = None
                embedding: ImageEmbedding = end.value
                return embedding
            except BaseException:
                self._unfinished = None
                raise
            yield

    def cached(self, key: EmbeddingKey) -> bool:
        """Whether the store has an entry for the key; it may yet prove damaged when read."""
        return self._store is not None and self._store.contains(key)

    def lookup(self, key: EmbeddingKey) -> ImageEmbedding | None:
        """Return the stored embedding, or None.

        Raises
        ------
        ModelError
            The key is of another encoder.
        """
        if key.encoder_digest != self.spec.encoder_digest:
            raise ModelError("embedding key", "is of another encoder", "Make the key with this predictor.")
        return None if self._store is None else self._store.get(key)

    def embed(
        self, image: NDArray[np.uint8] | Callable[[], NDArray[np.uint8]], key: EmbeddingKey | None = None
    ) -> ImageEmbedding:
        """Return the image's embedding, from the store if it is there.

        Parameters
        ----------
        image : ndarray of uint8, (rows, columns) or (rows, columns, 3), or callable
            Already windowed to 0..255; or what returns it, called only if it is needed.
        key : EmbeddingKey, optional
            Names what the image shows, and the shape of its pixels; without it they are square, and nothing is looked
            up or kept.

        Raises
        ------
        ModelError
            Not such an image, or the key is of another encoder.
        """
        return finish(self.embed_steps(image, key))

    def embed_steps(
        self, image: NDArray[Any] | Callable[[], NDArray[Any]], key: EmbeddingKey | None = None
    ) -> Generator[None, None, ImageEmbedding]:
        """Do what `embed` does, as many blocks of the encoder at a time as the model says.

        Raises
        ------
        ModelError
            As `embed`.
        """
        found = None if key is None else self.lookup(key)
        if found is not None:
            return found
        seen = image() if callable(image) else image
        if isinstance(self._model, EncodesInSteps):
            embedding = yield from self._model.encode_steps(seen, *_told(key))
        else:
            embedding = self._model.encode(seen, *_told(key))
        if key is not None and self._store is not None:
            self._store.put(key, embedding)
        return embedding

    @property
    def batch_size(self) -> int:
        """How many images are best embedded together now."""
        return self._model.batch_size if isinstance(self._model, EncodesBatches) else 1

    def embed_batch_steps(
        self, images: Sequence[Callable[[], NDArray[np.uint8]]], keys: Sequence[EmbeddingKey]
    ) -> Generator[None, None, None]:
        """Embed images of one shape that are not stored yet, together where the model can, and store them.

        Their pixels are of one shape, too: that of the first key.

        Raises
        ------
        ModelError
            As `embed`.
        """
        if len(images) == 1 or not isinstance(self._model, EncodesBatches):
            for image, key in zip(images, keys, strict=True):
                yield from self.embed_steps(image, key)
            return
        embeddings = yield from self._model.encode_batch_steps([image() for image in images], *_told(keys[0]))
        for key, embedding in zip(keys, embeddings, strict=True):
            if self._store is not None:
                self._store.put(key, embedding)

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer the prompts of one object on one plane.

        Kinds of prompts that the model does not take are said in points.

        Parameters
        ----------
        embedding : ImageEmbedding
            From `embed`.
        prompts : PromptSet
            At least one; all on the same plane, but of a region on any planes of the volume.
        previous : MaskPrediction, optional
            The last answer for the same object and plane, or region, to be refined.

        Raises
        ------
        PromptError
            No prompt, prompts on several planes, or one outside the image.
        ModelError
            The embedding is another model's.
        """
        if embedding.region is not None:
            spoken = as_volume_points(prompts, embedding.region.lattice.limits[::-1], self.spec.prompt_kinds)
        else:
            spoken = as_points(prompts, embedding.image_shape, keep=self.spec.prompt_kinds)
        return self._model.decode(embedding, spoken, previous)

    def predict(
        self,
        embedding: ImageEmbedding,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        previous: MaskPrediction | None = None,
    ) -> MaskPrediction:
        """Answer prompts given as plain arrays.

        Parameters
        ----------
        embedding : ImageEmbedding
            From `embed`.
        points : array_like, (N, 2), optional
            (row, column) voxel coordinates of clicks.
        labels : array_like, (N,), optional
            1 for a click on the object, 0 for one beside it; all 1 if not given.
        box : array_like, (4,), optional
            (first row, first column, last row + 1, last column + 1) around the object.
        previous : MaskPrediction, optional
            The last answer, to be refined.

        Raises
        ------
        PromptError
            Neither points nor box, shapes that do not fit, or a position outside the image.
        """
        clicks = _points(points, labels)
        boxes = () if box is None else (_box(box),)
        return self.decode(embedding, PromptSet((*boxes, *clicks)), previous)


_PLANE = Plane(0, 0)


def _told(key: EmbeddingKey | None) -> tuple[float, ...]:
    """What a model is told of pixels that are not square."""
    return () if key is None or key.aspect == 1 else (key.aspect,)


def _points(points: ArrayLike | None, labels: ArrayLike | None) -> tuple[Point, ...]:
    if points is None:
        if labels is not None:
            raise PromptError("labels", "were given without points", "Give one point per label.")
        return ()
    positions = _numbers("points", points)
    if positions.ndim != 2 or positions.shape[1] != 2:
        raise PromptError("points", f"have shape {positions.shape}", "Give (N, 2): row and column of each.")
    signs = np.ones(len(positions)) if labels is None else _numbers("labels", labels)
    if signs.shape != (len(positions),) or not np.isin(signs, (0, 1)).all():
        reason = f"of shape {signs.shape} do not fit {len(positions)} points"
        raise PromptError("labels", reason, "Give 1 (object) or 0 (not the object) for each point.")
    return tuple(
        Point(_PLANE, (row, column), positive=sign == 1)
        for (row, column), sign in zip(positions.tolist(), signs.tolist(), strict=True)
    )


def _box(box: ArrayLike) -> Box:
    corners = _numbers("box", box)
    if corners.shape != (4,):
        step = "Give first row, first column, last row + 1, last column + 1."
        raise PromptError("box", f"has shape {corners.shape}", step)
    top, left, bottom, right = corners.tolist()
    if not (top < bottom and left < right):
        raise PromptError("box", "is empty", "The stop must lie beyond the start on both axes.")
    return Box(_PLANE, (top, left), (bottom, right))


def _numbers(subject: str, values: ArrayLike) -> NDArray[Any]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(subject, "not all of it is a number", "Give an array of voxel coordinates.") from error
    if not np.isfinite(numbers).all():
        raise PromptError(subject, "not all of it is finite", "Give voxel coordinates inside the image.")
    return numbers
