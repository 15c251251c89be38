"""From the finished cases of a project to a training set."""

from collections.abc import Callable
from functools import partial

from napari_medfm._plugin.dialogs import ask_for_folder
from napari_medfm._plugin.export_run import ExportRun
from napari_medfm._qt.export_dialog import ExportChoice, ExportDialog, FinishedCases
from napari_medfm._qt.project_panel import ProjectPanel
from napari_medfm.errors import ExportError, MedfmError
from napari_medfm.export import CaseSource, Facts, Options, case_from_file, exporters, find_exporter
from napari_medfm.projects import Case, CaseStatus

_PATIENCE = 5.0  # seconds that closing may wait for what is nearly written
_LOOKED_AT = "Voxels of slices that nobody marked as looked at are ignored in training, case by case."


class ProjectExport:
    """Asks for the form and the place, and has it written.

    Parameters
    ----------
    panel : ProjectPanel
        Owns the dialogs, and knows the cases.
    run : ExportRun
        Writes.
    failed : callable
        Given the error where nothing can be exported.
    """

    def __init__(self, panel: ProjectPanel, run: ExportRun, failed: Callable[[MedfmError], None]) -> None:
        self._panel, self._run, self._failed = panel, run, failed
        panel.export_requested.connect(self.ask)

    def ask(self) -> None:
        """Ask in what form the finished cases shall leave."""
        finished = FinishedCases(len(self._cases(False)), len(self._cases(True)))
        if not finished.done:
            step = "Annotate a case, and press Done."
            self._failed(ExportError("project", "has no case that is done or reviewed", step))
            return
        forms = {name: exporter.title for name, exporter in exporters().items()}
        dialog = ExportDialog(forms, _LOOKED_AT, self._panel, finished=finished)
        dialog.chosen.connect(self._place)
        dialog.open()

    def close(self) -> None:
        """Let go; what is not written by then is not there at all."""
        self._panel.export_requested.disconnect(self.ask)
        self._run.close(_PATIENCE)

    def _place(self, choice: ExportChoice) -> None:
        folder = ask_for_folder(self._panel, "Put the training set into")
        if folder is not None and choice.name:
            options = Options(test=choice.test, facts=Facts(complete=choice.complete))
            sources = [_source(case) for case in self._cases(choice.reviewed)]
            self._run.begin(sources, find_exporter(choice.form), folder / choice.name, options)

    def _cases(self, reviewed: bool) -> list[Case]:
        wanted = {CaseStatus.REVIEWED} if reviewed else {CaseStatus.DONE, CaseStatus.REVIEWED}
        return [case for case in self._panel.model.cases if case.status in wanted]


def _source(case: Case) -> CaseSource:
    return partial(
        case_from_file, case.path, case.fingerprint, patient=case.patient, title=case.title, choice=case.choice
    )
