"""How each model of other authors wants to be asked: even of one weights' layout they have different habits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from napari_medfm.models.base import PromptKind, RegionRecipe
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
"""Of models of slices, by the name that stands in `ModelFacts.recipe`."""

REGION_RECIPES: Mapping[str, RegionRecipe] = MappingProxyType(
    {
        # Air beyond the image, as the authors pad after scaling; who clicks 24 mm from the border wants to see beyond.
        "vista3d": RegionRecipe(
            "RAS linear 1.5 mm, HU -963.8..1053.7 to 0..1",
            side=128,
            spacing=1.5,
            margin=16,
            fill=-963.8247715525971,
            connected=True,
        ),
    }
)
"""Of models of volumes, by the same."""
