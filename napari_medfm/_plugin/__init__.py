"""The composition root: the one room that sees napari, Qt, the session and the models."""

from napari_medfm._plugin.annotator import Annotator, are_registered
from napari_medfm._plugin.case import Case
from napari_medfm._plugin.dialogs import is_typing
from napari_medfm._plugin.dock import AnnotationPanel
from napari_medfm._plugin.engine import Engine
from napari_medfm._plugin.wording import worded

__all__ = ["AnnotationPanel", "Annotator", "Case", "Engine", "are_registered", "is_typing", "worded"]
