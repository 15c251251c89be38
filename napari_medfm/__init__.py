"""Interactive annotation of medical volumes with promptable foundation models.

Importing this package loads neither torch nor Qt: the public names below are
resolved on first use. For research use only; not a medical device.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_medfm.errors import MedfmError
    from napari_medfm.inference import Predictor
    from napari_medfm.models import load_model, register_model
    from napari_medfm.prompts import Box, Lasso, Point, Scribble
    from napari_medfm.session import AnnotationSession
    from napari_medfm.volume import open_volume

__version__ = "0.1.0"

_HOMES = {
    "AnnotationSession": "napari_medfm.session",
    "Box": "napari_medfm.prompts",
    "Lasso": "napari_medfm.prompts",
    "MedfmError": "napari_medfm.errors",
    "Point": "napari_medfm.prompts",
    "Predictor": "napari_medfm.inference",
    "Scribble": "napari_medfm.prompts",
    "load_model": "napari_medfm.models",
    "open_volume": "napari_medfm.volume",
    "register_model": "napari_medfm.models",
}

__all__ = [
    "AnnotationSession",
    "Box",
    "Lasso",
    "MedfmError",
    "Point",
    "Predictor",
    "Scribble",
    "load_model",
    "open_volume",
    "register_model",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
