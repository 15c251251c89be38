"""The dock panel: five sections, banners above them, the research-use notice below."""

from collections.abc import Sequence
from datetime import datetime

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_medfm.errors import MedfmError
from napari_medfm.volume import Plane, Volume


class MedfmPanel(QWidget):
    """Everything a person steers the annotation with, except the canvas.

    The panel calls the session and the live segmentation it is bound to. What concerns
    neither leaves as a signal, for the composition root to act on.

    Parameters
    ----------
    parent : QWidget, optional
        Owner of the panel.

    Attributes
    ----------
    image_selected : Signal(str)
        The name of the image to work on, as given to `set_images`.
    open_requested : Signal()
        The user wants to open an image.
    window_selected : Signal(Window)
        The intensity window the model shall see.
    contrast_linked : Signal(bool)
        Whether that window and the display's contrast limits follow each other.
    plane_cycle_requested : Signal()
        Show the next of the three orthogonal planes.
    model_selected : Signal(str)
        Registry name of a model.
    weights_chosen : Signal(str, Path)
        Registry name of the model and the weights file to load into it.
    tool_selected : Signal(str)
        One of `TOOLS`: point, box, scribble, lasso, brush, eraser, move.
    sign_toggled : Signal(bool)
        True if prompts add to the object from now on.
    hover_toggled : Signal(bool)
        Whether a preview follows the mouse.
    jump_requested : Signal(int)
        Show the object of that id.
    labels_import_requested : Signal()
        The user wants to open a label file as objects.
    embed_all_requested, cancel_embedding_requested : Signal()
        Embed the whole volume, or stop doing so.
    save_requested : Signal()
        Export the labels to a file.
    resume_answered : Signal(bool)
        The answer to `offer_resume`: True to resume, False to start anew.
    """

    image_selected = Signal(str)
    open_requested = Signal()
    window_selected = Signal(object)
    contrast_linked = Signal(bool)
    plane_cycle_requested = Signal()
    model_selected = Signal(str)
    weights_chosen = Signal(str, object)
    tool_selected = Signal(str)
    sign_toggled = Signal(bool)
    hover_toggled = Signal(bool)
    jump_requested = Signal(int)
    labels_import_requested = Signal()
    embed_all_requested = Signal()
    cancel_embedding_requested = Signal()
    save_requested = Signal()
    resume_answered = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)

    def bind(self, session: object, live: object | None = None) -> None:
        """Show a session and steer it, together with its conversation with the model, if there is one."""

    def unbind(self) -> None:
        """Let go of the session; nothing of it is shown or held any more."""

    def set_images(self, names: Sequence[str], current: str = "") -> None:
        """List the images to choose from, and which one is in use."""

    def set_volume(self, volume: Volume | None) -> None:
        """Show size, spacing and doubts about the geometry of the image in use."""

    def set_window(self, window: object) -> None:
        """Show the intensity window in use."""

    def set_contrast_linked(self, linked: bool) -> None:
        """Show whether the window and the display's contrast follow each other."""

    def set_plane(self, plane: Plane) -> None:
        """Show which slice the viewer shows."""

    def set_models(self, models: Sequence[object], current: str = "") -> None:
        """List the models to choose from, and which one is in use."""

    def set_model_status(self, text: str, *, busy: bool = False) -> None:
        """Say what the model is doing: ready, loading."""

    def set_device(self, text: str, *, fell_back: bool = False) -> None:
        """Show the device; `fell_back` announces that it is not the one asked for."""

    def set_tool(self, tool: str) -> None:
        """Show which tool is in the hand."""

    def set_positive(self, positive: bool) -> None:
        """Show whether prompts add or remove."""

    def set_hover(self, on: bool) -> None:
        """Show whether a preview follows the mouse."""

    def offer_resume(self, objects: int, when: datetime) -> None:
        """Ask whether to resume an earlier session; the answer leaves as `resume_answered`."""

    def show_error(self, error: MedfmError) -> None:
        """Show a failure with its reason and next step until it is dismissed."""
