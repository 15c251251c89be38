"""How far the model is, how fast it answers, and that nothing can be lost."""

import time

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Line, Section, Wiring, row
from napari_medfm._qt.task_bar import TaskBar
from napari_medfm.inference import EmbeddingProgress
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import Plane

_TICK_MS = 1000
_NO_ANSWER = "No prediction yet"
_REGIONS = "Regions are prepared where you click"
_NOTHING_AHEAD = "This model sees the region around your clicks, not slices: nothing can be prepared ahead"


class ProgressSection(Section):
    """Progress and saving.

    Attributes
    ----------
    embed_all_requested, cancel_embedding_requested, save_requested, labels_import_requested : Signal
        As in `MedfmPanel`.
    """

    embed_all_requested = Signal()
    cancel_embedding_requested = Signal()
    save_requested = Signal()
    labels_import_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Progress and saving", parent)
        self._session: AnnotationSession | None = None
        self._live: LiveSegmentation | None = None
        self._saved_at: float | None = None
        self._embedding = False
        self._progress: EmbeddingProgress | None = None
        self._last_answer = _NO_ANSWER
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._build()
        self._wire()
        self.show_progress(None)
        self._show_binding()

    def bind(self, session: AnnotationSession, live: LiveSegmentation | None, wiring: Wiring) -> None:
        """Show the work on a session."""
        self._session, self._live, self._saved_at = session, live, None
        wiring.connect(session.events.history_changed, self._note_saved)
        if live is not None:
            wiring.connect(live.events.progress, self.show_progress)
            wiring.connect(live.events.busy_changed, self._show_busy)
            wiring.connect(live.events.preparing, self._show_preparing)
            wiring.connect(live.events.applied, self._show_answer)
            wiring.connect(live.events.predictor_changed, self._follow_model)
        self.show_progress(None)
        self._show_binding()

    def unbind(self) -> None:
        """Show nothing."""
        self._session = self._live = self._saved_at = self._progress = None
        self._last_answer = _NO_ANSWER
        self.answer.setText(_NO_ANSWER)
        self.show_progress(None)
        self._show_binding()

    def show_progress(self, progress: EmbeddingProgress | None) -> None:
        """Show how many slices are embedded; None when nothing is under way any more."""
        self._embedding = progress is not None and progress.done < progress.total
        self._progress = progress or self._progress
        done, total = (self._progress.done, self._progress.total) if self._progress is not None else (0, 1)
        self.bar.setMaximum(max(total, 1))
        self.bar.setValue(done)
        told = describe_progress(self._progress, under_way=self._embedding)
        self.bar.setFormat(_REGIONS if self._sees_regions else told)
        begun = 0 < done < total
        self.embed.setText("Pause" if self._embedding else "Go on preparing" if begun else "Prepare all slices")
        tip = "Stop; what is done is kept" if self._embedding else "Embed every slice in the background"
        self.embed.set_tip(_NOTHING_AHEAD if self._sees_regions else tip)

    def showEvent(self, event: QShowEvent) -> None:
        """Keep the age of the last step true while it can be seen."""
        super().showEvent(event)
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        """Rest while nobody looks."""
        super().hideEvent(event)
        self._timer.stop()

    def _build(self) -> None:
        self.bar = QProgressBar()
        self.bar.setToolTip("Slices that the model has seen; on these it answers at once")
        self.bar.setAccessibleName("Embedded slices")
        self.embed = CompactButton("", "")
        self.answer = Line(_NO_ANSWER, tip="The last prediction of the model")
        self.saved = Line(tip="Every step is written to the journal before it is shown")
        self.exporting = TaskBar()
        self.save = CompactButton("Export…", "Write the labels to a file on the image, or a training set")
        self.load = CompactButton("Open labels…", "Open a label file as objects")
        self.rows.addWidget(self.bar)
        self.rows.addWidget(self.embed)
        self.rows.addWidget(self.answer)
        self.rows.addWidget(self.saved)
        self.rows.addLayout(row(self.load, self.save))
        self.rows.addWidget(self.exporting)

    def _wire(self) -> None:
        self._timer.timeout.connect(self._show_saved)
        self.embed.clicked.connect(self._ask_for_embedding)
        self.save.clicked.connect(self.save_requested)
        self.load.clicked.connect(self.labels_import_requested)

    def _ask_for_embedding(self) -> None:
        (self.cancel_embedding_requested if self._embedding else self.embed_all_requested).emit()

    @property
    def _sees_regions(self) -> bool:
        """Whether the model embeds regions of a volume, and no slices."""
        return self._live is not None and self._live.predictor.answers_volumes

    def _follow_model(self) -> None:
        """Forget what another model had seen."""
        self._progress, self._last_answer = None, _NO_ANSWER
        self.answer.setText(_NO_ANSWER)
        self.show_progress(None)
        self._show_binding()

    def _show_binding(self) -> None:
        for button in (self.embed, self.save, self.load):
            button.setEnabled(self._session is not None)
        self.embed.setEnabled(self._session is not None and not self._sees_regions)
        self._show_saved()

    def _show_busy(self, busy: bool) -> None:
        self.answer.setText("Predicting…" if busy else self._last_answer)

    def _show_preparing(self, share: float) -> None:
        self.answer.setText(f"Looking at the region: {share:.0%}")

    def _show_answer(self, object_id: int, plane: Plane, quality: float, seconds: float) -> None:
        meaning = self._live.predictor.spec.quality_meaning if self._live is not None else "quality"
        self._last_answer = f"Answered in {describe_latency(seconds)} · {meaning} {quality:.0%}"
        self.answer.setText(self._last_answer)

    def _note_saved(self) -> None:
        self._saved_at = time.monotonic()
        self._show_saved()

    def _show_saved(self) -> None:
        age = None if self._saved_at is None else time.monotonic() - self._saved_at
        self.saved.setText(describe_saved(self._session, age))


def describe_saved(session: AnnotationSession | None, age: float | None) -> str:
    """Return whether the work is safe; `age` is in seconds since the last step of this sitting."""
    if session is None:
        return ""
    if session.read_only:
        return "Read-only: nothing is being changed"
    if age is None:
        return "Everything is saved"
    return f"Everything is saved; last step {describe_seconds(age)} ago"


def describe_latency(seconds: float) -> str:
    """Return how long an answer took."""
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def describe_seconds(seconds: float) -> str:
    """Return a duration in the one unit that matters."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def describe_progress(progress: EmbeddingProgress | None, *, under_way: bool) -> str:
    """Return how many slices are embedded and, while it is under way, how long the rest takes."""
    if progress is None:
        return "Slices are prepared as you go"
    counts = f"{progress.done} of {progress.total} slices"
    return f"{counts} · {describe_seconds(progress.seconds_left)} left" if under_way else f"{counts} prepared"
