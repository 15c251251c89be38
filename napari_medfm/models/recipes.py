"""How each model of the Segment Anything families wants to be asked: the same weights' layout, different habits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from napari_medfm.models.base import PromptKind
from napari_medfm.models.transforms import (
    AreaUnit,
    CubicColour,
    CubicUnit,
    Frame,
    LinearColour,
    LinearGrey,
    LongestSide,
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is asked.

    Attributes
    ----------
    preprocessing : str
        Identifier of the image transform; part of every cache key.
    frame : callable
        Makes the transform, given the image's shape, the side of the square and the height of a pixel in its width.
    candidates : str
        When the decoder makes three masks instead of one: ``ambiguous``, for a lone click; ``always``, as the model
        was trained so, though the best is enough for more than a click; ``never``.
    prompt_kinds : frozenset of str
        What goes in as it is; the rest becomes points.
    side : int
        Of the square, in pixels, where the weights do not tell; otherwise 0.
    """

    preprocessing: str
    frame: Callable[[tuple[int, int], int, float], Frame]
    candidates: Literal["ambiguous", "always", "never"] = "ambiguous"
    prompt_kinds: frozenset[PromptKind] = frozenset({"point", "box", "mask"})
    side: int = 0

    def gives_three(self, ambiguous: bool) -> bool:
        """Return whether the decoder is to make three masks of prompts."""
        return self.candidates == "always" or (self.candidates == "ambiguous" and ambiguous)


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "sam": Recipe("longest-side uint8 imagenet pad", LongestSide),
        "medsam": Recipe("stretch cubic 0..1", CubicUnit, candidates="never"),
        "lite-medsam": Recipe("longest-side area 0..1 pad", AreaUnit, candidates="never"),
        "scribbleprompt-sam": Recipe(
            "stretch linear grey imagenet",
            LinearGrey,
            candidates="always",
            prompt_kinds=frozenset({"point", "box", "scribble", "mask"}),
        ),
        "sam2": Recipe("stretch linear imagenet", LinearColour, side=1024),
        "medsam2": Recipe("stretch cubic uint8 imagenet", CubicColour, side=512),
    }
)
"""By the name that stands in `ModelFacts.recipe`."""
