"""From the Export button to a file or a training set of the image that is open."""

from functools import partial
from pathlib import Path

from napari_medfm._napari.notices import attempt
from napari_medfm._plugin.dialogs import ask_for_folder, ask_where_to_save
from napari_medfm._plugin.export_run import ExportRun
from napari_medfm._plugin.files import Files
from napari_medfm._qt import MedfmPanel
from napari_medfm._qt.export_dialog import LABEL_FILE, ExportChoice, ExportDialog, describe_looked_at
from napari_medfm.export import Exported, Facts, Options, case_from_journal, exporters, find_exporter
from napari_medfm.export.manifest import MANIFEST
from napari_medfm.session import AnnotationSession

_LONGEST = 60.0  # seconds that a window may take to close
_PATIENT = "patient"
"""Pseudonym of the one there is."""


class Exporting:
    """Asks for the form and the place, and has it written.

    Parameters
    ----------
    panel : MedfmPanel
        Owns the dialogs.
    files : Files
        Writes label files.
    run : ExportRun
        Writes training sets.
    """

    def __init__(self, panel: MedfmPanel, files: Files, run: ExportRun) -> None:
        self._panel, self._files, self._run = panel, files, run
        self._session: AnnotationSession | None = None

    def close(self) -> None:
        """Let go, once what is being written is written."""
        self._run.close(_LONGEST)

    def ask(self, session: AnnotationSession) -> None:
        """Ask in what form the labels of a session shall leave."""
        self._session = session
        forms = {name: exporter.title for name, exporter in exporters().items()}
        looked_at = describe_looked_at(session.state, len(session.volume.geometry.planes()))
        dialog = ExportDialog(forms, looked_at, self._panel)
        dialog.chosen.connect(self._place)
        dialog.open()

    def _place(self, choice: ExportChoice) -> None:
        if self._session is None:
            return
        if choice.form == LABEL_FILE:
            path = ask_where_to_save(self._panel, f"{self._session.volume.name}_labels.nii.gz")
            if path is not None:
                self._files.save(self._session, path)
        else:
            folder = ask_for_folder(self._panel, "Put the training set into")
            if folder is not None and choice.name:
                self.export(self._session, choice, folder / choice.name)

    def export(self, session: AnnotationSession, choice: ExportChoice, folder: Path) -> None:
        """Write a training set of one case in the background; how it went is told."""
        source = partial(
            case_from_journal,
            tuple(session.images.values()),
            session.fingerprint,
            patient=_PATIENT,
            folder=session.path.parent,
        )
        options = Options(facts=Facts(complete=choice.complete))

        def note(exported: Exported) -> None:
            attempt(lambda: session.note_saved(exported.folder / MANIFEST))

        self._run.begin([source], find_exporter(choice.form), folder, options, note)
