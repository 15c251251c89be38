"""What a person points at: frozen values in voxel space, used unchanged by every room above.

Knows planes and nothing else: no images, no models, no widgets.
"""

from napari_medfm.prompts.prompts import Box, Lasso, MaskPrompt, Point, Prompt, PromptSet, Scribble

__all__ = ["Box", "Lasso", "MaskPrompt", "Point", "Prompt", "PromptSet", "Scribble"]
