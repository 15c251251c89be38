"""A model with an adapter: asked as before, and able to find the structure by itself."""

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_medfm.adaptation.adapter import Adapter, combined_digest, is_at_a_loss
from napari_medfm.adaptation.finding import Found, as_answer, find, parts_of, probability_of
from napari_medfm.adaptation.networks import Head
from napari_medfm.adaptation.support import embedding_digest
from napari_medfm.errors import AdapterError
from napari_medfm.models import EncodesInSteps, ImageEmbedding, MaskPrediction, ModelSpec
from napari_medfm.models.adaptable import Adaptable
from napari_medfm.models.checks import check_embedding
from napari_medfm.models.recent import Recent
from napari_medfm.prompts import Point, PromptSet, voxel_at

_KEPT = 8  # maps of probabilities
_ELSEWHERE = 0.001  # probability of the structure; the figures are in benchmarks/RESULTS.md, fewshot


class AdaptedModel:
    """A `PromptableModel` that an adapter was put on, with a switch.

    It encodes as its base does, so that stored embeddings stay valid. With the adapter off it answers bit by bit as
    its base. With it on, prompts are answered by the adapted decoder. Unless the head was at a loss on the slice that
    it was judged by, it says what clicks are meant for: first clicks on what it found mean that, and clicks where it
    sees nothing of the structure mean something else, which the base answers.

    Parameters
    ----------
    base : Adaptable
        Unchanged.
    adapter : Adapter
        Made on that model.
    active : bool
        Whether the adapter is on.

    Raises
    ------
    AdapterError
        The adapter was made on another model, or does not hold what it should.
    """

    def __init__(self, base: Adaptable, adapter: Adapter, *, active: bool = True) -> None:
        adapter.check_fits(base.spec)
        self.active = active
        self._base, self._adapter = base, adapter
        try:
            self._head = Head.restored(adapter.head)
            self._decoding = base.with_decoder(adapter.decoder) if adapter.decoder else base
        except (KeyError, RuntimeError) as error:
            subject = f"adapter for {adapter.facts.structure}"
            raise AdapterError(subject, "does not hold the tensors it should", "Adapt again.") from error
        self._maps: Recent[NDArray[np.float32]] = Recent(_KEPT)

    @property
    def base(self) -> Adaptable:
        """The model without the adapter."""
        return self._base

    @property
    def adapter(self) -> Adapter:
        """The adapter."""
        return self._adapter

    @property
    def adapters(self) -> tuple[str, ...]:
        """Digests of the adapters that are on."""
        return (self._adapter.digest,) if self.active else ()

    @property
    def spec(self) -> ModelSpec:
        """Facts about the model: those of the base; with the adapter on, ``model_digest`` names both."""
        if not self.active:
            return self._base.spec
        return replace(self._base.spec, model_digest=combined_digest(self._base.spec, self._adapter))

    def encode(self, image: NDArray[np.uint8], aspect: float = 1.0) -> ImageEmbedding:
        """Encode an image as the base does. See `PromptableModel.encode`."""
        return self._base.encode(image, aspect)

    def encode_steps(self, image: NDArray[np.uint8], aspect: float = 1.0) -> Generator[None, None, ImageEmbedding]:
        """Encode an image in as many steps as the base takes. See `EncodesInSteps`."""
        if isinstance(self._base, EncodesInSteps):
            return (yield from self._base.encode_steps(image, aspect))
        return self._base.encode(image, aspect)

    def decode(
        self, embedding: ImageEmbedding, prompts: PromptSet, previous: MaskPrediction | None = None
    ) -> MaskPrediction:
        """Answer prompts. See `PromptableModel.decode`."""
        if not self.active:
            return self._base.decode(embedding, prompts, previous)
        spots, meant = self._spots(embedding, prompts), None
        if spots:
            probability = self.probability(embedding)
            if all(probability[spot] < _ELSEWHERE for spot in spots):
                return self._base.decode(embedding, prompts, previous)
            meant = self._meant(probability, spots) if previous is None else None
        return self._decoding.decode(embedding, prompts, meant or previous)

    def probability(self, embedding: ImageEmbedding) -> NDArray[np.float32]:
        """Return the probability of the structure at each pixel, (rows, columns), as the head sees it.

        Raises
        ------
        ModelError
            The embedding is another encoder's.
        """
        check_embedding(embedding, self._base.spec.encoder_digest)
        return self._maps.get(embedding_digest(embedding), lambda: self._look(embedding))

    def find(self, embedding: ImageEmbedding) -> Found:
        """Find the structure without prompts; the decoder looks again at what the head found.

        Raises
        ------
        ModelError
            The embedding is another encoder's.
        """
        return find(self._decoding, embedding, self.probability(embedding), several=self._adapter.facts.several)

    def _look(self, embedding: ImageEmbedding) -> NDArray[np.float32]:
        look = self._base.look(embedding)
        head = self._head.to(look.features.device)
        return probability_of(look, lambda features: head(features[None])[0, 0])

    def _spots(self, embedding: ImageEmbedding, prompts: PromptSet) -> list[tuple[int, int]]:
        """Where the positive clicks lie; empty for other prompts, outside the image, and if the head is at a loss."""
        clicks = [prompt for prompt in prompts if isinstance(prompt, Point) and prompt.positive]
        others = any(not isinstance(prompt, Point) for prompt in prompts)
        inside = all(_inside(embedding, click) for click in clicks)
        if others or not inside or is_at_a_loss(self._adapter.facts.head_dice):
            return []
        return [voxel_at(click.position) for click in clicks]

    def _meant(self, probability: NDArray[np.float32], spots: list[tuple[int, int]]) -> MaskPrediction | None:
        """What the head found where all the clicks lie; None for clicks elsewhere."""
        for part in parts_of(probability, several=self._adapter.facts.several):
            if all(part[spot] for spot in spots):
                return as_answer(part, probability)
        return None


def _inside(embedding: ImageEmbedding, click: Point) -> bool:
    place = voxel_at(click.position)
    return all(0 <= index < size for index, size in zip(place, embedding.image_shape, strict=True))
