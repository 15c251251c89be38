"""Sessions in viewers: one without a window, for what layers do, and one on the screen, for hands."""

import gc
from dataclasses import dataclass

import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_medfm._napari.images import image_layer_data
from napari_medfm._napari.workspace import Workspace
from napari_medfm.inference import MemoryStore, Predictor
from napari_medfm.models import load_model
from napari_medfm.session import AnnotationSession, LiveSegmentation, Proposals
from napari_medfm.volume import fingerprint
from napari_medfm.workers import Lane

from .canvas import Canvas, top_level_widgets


@dataclass
class Desk:
    """A session in a viewer, with the real random walker behind it."""

    viewer: object
    image: Image
    session: AnnotationSession
    live: LiveSegmentation
    workspace: Workspace
    proposals: Proposals
    canvas: Canvas | None = None
    qtbot: object = None
    typing: bool = False
    closed: bool = False

    @property
    def layers(self):
        return self.workspace.layers

    @property
    def objects(self):
        return self.workspace.layers.objects

    @property
    def active(self):
        return self.session.state.active

    def clear(self):
        """Put everything back as it was when the desk was new, but for ids and history."""
        self.settle()
        for number in list(self.session.state.objects):
            self.session.set_locked(number, False)
            self.session.delete_object(number)
        self.live.clear_hover()
        self.viewer.dims.ndisplay = 2
        self.viewer.dims.order = (0, 1, 2)
        self.viewer.dims.set_current_step(0, 6)
        self.workspace.tools.select("point")
        self.workspace.tools.set_positive(True)
        self.workspace.tools.set_hover(True)
        self.workspace.tools.last_click = None
        if self.workspace.crosshair.voxel is not None:
            self.workspace.crosshair.toggle()

    def settle(self):
        """Wait until every prompt is answered."""
        if self.qtbot is None:
            assert self.live.wait()
        else:
            self.qtbot.waitUntil(lambda: not self.live.busy, timeout=10_000)

    def close(self):
        if not self.closed:
            self.closed = True
            self.live.close()
            self.workspace.teardown()
            self.proposals.close()
            self.session.close()


@pytest.fixture(scope="module", autouse=True)
def quick_collection():
    """Leave what the imports made out of every search for leaks: it is about what tests make."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def predictor():
    return Predictor(load_model("random_walker"), MemoryStore(10**8))


@pytest.fixture
def lane():
    with Lane() as lane:
        yield lane


def open_desk(viewer, volume, predictor, lane, dispatch=None):
    data, arguments, _ = image_layer_data(volume)
    image = viewer.add_layer(Image(data, **arguments))
    digest = fingerprint(volume)
    session = (AnnotationSession.resume if AnnotationSession.exists(digest) else AnnotationSession.create)(
        volume, digest
    )
    live = LiveSegmentation(session, predictor, lane, dispatch=dispatch)
    desk = Desk(viewer, image, session, live, None, Proposals(session))
    desk.workspace = Workspace(viewer, image, session, live, desk.proposals, is_typing=lambda: desk.typing)
    return desk


@pytest.fixture
def open_headless(predictor, lane):
    """Return a function that opens a volume in a viewer without a window."""
    desks = []

    def open_volume(volume, viewer=None):
        desks.append(open_desk(viewer or ViewerModel(), volume, predictor, lane))
        return desks[-1]

    yield open_volume
    for desk in desks:
        desk.close()


@pytest.fixture
def headless(open_headless, small_volume):
    desk = open_headless(small_volume)
    desk.viewer.dims.set_current_step(0, 6)
    return desk


@pytest.fixture(autouse=True)
def no_widget_outlives_its_test():
    """Leave the search for widgets to `window`: napari keeps pop-ups of removed layers until its window closes."""


@pytest.fixture(scope="module")
def window(qapp):
    """Return a viewer on the screen, the same for a module; no widget outlives it."""
    import napari

    before = top_level_widgets()
    viewer = napari.Viewer(title="desk", show_welcome_screen=False)
    yield viewer
    viewer.close()
    left = top_level_widgets() - before
    assert not left, f"top-level widgets left behind: {sorted(map(repr, left))}"


@pytest.fixture(scope="module")
def open_on_screen(window, predictor, folders_of_this_module):
    """Return a function that opens a volume in the viewer on the screen, or in another one."""
    from napari_medfm._qt import MainThreadDispatcher

    desks, dispatch, lane = [], MainThreadDispatcher(), Lane()

    def open_volume(volume, qtbot, viewer=window):
        desk = open_desk(viewer, volume, predictor, lane, dispatch)
        desk.canvas, desk.qtbot = Canvas(viewer, desk.objects), qtbot
        desks.append(desk)
        return desk

    yield open_volume
    dispatch.close()
    for desk in desks:
        desk.close()
    lane.close()


@pytest.fixture(scope="module")
def folders_of_this_module(folders_of_this_run, tmp_path_factory):
    """Keep the journals of a module's desk apart from those of other modules."""
    folder = tmp_path_factory.mktemp("module")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDFM_DATA_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def shared_desk(open_on_screen, small_volume):
    """Return one desk for a module: opening one takes a second."""
    return open_on_screen(small_volume, None)


@pytest.fixture
def desk(shared_desk, qtbot):
    """Return a desk that looks new, on slice 6 of the phantom."""
    shared_desk.qtbot = qtbot
    shared_desk.clear()
    shared_desk.viewer.reset_view()
    return shared_desk
