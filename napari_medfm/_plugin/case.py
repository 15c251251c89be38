"""One image that is open for annotation, and everything that belongs to it."""

from dataclasses import dataclass

from napari_medfm._napari.contrast import Contrast
from napari_medfm._napari.workspace import Workspace
from napari_medfm._plugin.adapting import AdaptingControl
from napari_medfm._plugin.editing import Editing
from napari_medfm._qt import MedfmPanel
from napari_medfm.inference import Predictor
from napari_medfm.session import AnnotationSession, LiveSegmentation, Propagating, Proposals, Teaching


@dataclass(eq=False)
class Case:
    """One image that is open for annotation.

    Attributes
    ----------
    session : AnnotationSession
    proposals : Proposals
    live : LiveSegmentation
    workspace : Workspace
    contrast : Contrast
    editing : Editing
    propagating : Propagating
    teaching : Teaching
    adapting : AdaptingControl
    """

    session: AnnotationSession
    proposals: Proposals
    live: LiveSegmentation
    workspace: Workspace
    contrast: Contrast
    editing: Editing
    propagating: Propagating
    teaching: Teaching
    adapting: AdaptingControl

    def use(self, predictor: Predictor) -> None:
        """Let another model answer."""
        self.live.set_predictor(predictor)
        self.teaching.adapting.set_base(predictor)

    def close(self) -> None:
        """Take it out of the viewer; the journal holds everything."""
        self.adapting.close()
        self.propagating.close()
        self.live.close()
        self.editing.close()
        self.contrast.teardown()
        self.workspace.teardown()
        self.proposals.close()
        self.session.close()


def present(case: Case, panel: MedfmPanel) -> None:
    """Show a case in the panel."""
    tools, plane = case.workspace.tools, case.workspace.bridge.plane
    panel.bind(case.session, case.live, case.teaching)
    case.editing.present(panel)
    panel.bind_propagating(case.session, case.propagating, case.proposals)
    panel.set_volume(case.session.volume)
    panel.set_window(case.live.window)
    panel.set_tool(tools.tool)
    panel.set_positive(tools.positive)
    if plane is not None:
        panel.set_plane(plane)
