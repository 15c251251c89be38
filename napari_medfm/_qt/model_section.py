"""Which model answers, what it is, where it runs, and whether it is well."""

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QProgressBar, QWidget
from superqt.utils import signals_blocked

from napari_medfm._qt.buttons import CompactButton
from napari_medfm._qt.section import Banner, Line, Paragraph, Section, choice, row
from napari_medfm.errors import MedfmError
from napari_medfm.models import ModelEntry, ModelFacts, WeightsFile

_WEIGHTS = "Weights (*.pth *.pt *.safetensors);;All files (*)"


class ModelSection(Section):
    """The model.

    Attributes
    ----------
    model_selected, weights_chosen, download_requested, licence_agreed : Signal
        As in `MedfmPanel`.
    """

    model_selected = Signal(str)
    weights_chosen = Signal(str, object)
    download_requested = Signal(str)
    licence_agreed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Model", parent)
        self._build()
        self._wire()
        self._show_facts()

    def set_models(self, models: Sequence[ModelEntry], current: str = "") -> None:
        """List the models, and which one is in use."""
        with signals_blocked(self.models):
            self.models.clear()
            for model in models:
                self.models.addItem(model.facts.title, model)
            names = [model.name for model in models]
            self.models.setCurrentIndex(names.index(current) if current in names else -1)
        self._show_facts()

    def set_status(self, text: str, *, busy: bool = False) -> None:
        """Say what the model is doing; an earlier failure is over."""
        self.status.setText(text)
        self.busy.setVisible(busy)
        self.failure.say("")

    def set_weights(self, file: Path | None) -> None:
        """Show which weights file is in use, by its name only."""
        self.weights.setText(file.name if file is not None else "No file")

    def set_device(self, text: str, *, fell_back: bool = False) -> None:
        """Show the device, and announce if it is not the one asked for."""
        self.device.setText("" if fell_back else f"Runs on {text}")
        self.device.setVisible(not fell_back)
        self.fallback.say(f"Runs on {text}" if fell_back else "")

    def ask_licence(self, text: str) -> None:
        """Ask for agreement to a licence; an empty text takes the question away."""
        self.licence.say(text)

    def show_failure(self, error: MedfmError) -> None:
        """Show why there is no usable model, and what to do about it."""
        self.status.setText("Not ready")
        self.busy.hide()
        self.failure.say(str(error))

    def _build(self) -> None:
        self.models = choice()
        self.models.setToolTip("The model that answers your prompts")
        self.models.setAccessibleName("Model")
        self.models.setPlaceholderText("Choose a model")
        self.facts = Paragraph(tip="What the model was made for, how it was made, and its licence")
        self.weights = Line("No file", tip="The weights file of this model")
        self.choose = CompactButton("Choose…", "Choose the file that holds the weights of this model")
        self.download = CompactButton("Download", "Download the weights of this model")
        self.status = Line("No model loaded", tip="State of the model")
        self.busy = QProgressBar(maximum=0, textVisible=False, visible=False)
        self.busy.setMaximumHeight(6)
        self.busy.setToolTip("The model is being prepared")
        self.device = Line("", tip="Where the model runs")
        self.fallback, self.failure = Banner("warning"), Banner("warning")
        self.licence = Banner("information")
        self.agree = CompactButton("Agree", "Use this model under its licence; you are asked only once")
        self.licence.buttons.addWidget(self.agree)
        self.licence.buttons.addStretch()
        self.rows.addWidget(self.models)
        self.rows.addWidget(self.facts)
        self.rows.addLayout(row(self.weights, self.download, self.choose, stretch=0))
        for part in (self.licence, self.busy, self.status, self.device, self.fallback, self.failure):
            self.rows.addWidget(part)

    def _wire(self) -> None:
        self.models.activated.connect(self._select)
        self.choose.clicked.connect(self._ask_for_weights)
        self.agree.clicked.connect(self._agree)
        self.download.clicked.connect(lambda: self.download_requested.emit(self.models.currentData().name))

    def _agree(self) -> None:
        self.licence.say("")
        self.licence_agreed.emit()

    def _entry(self) -> ModelEntry | None:
        entry: ModelEntry | None = self.models.currentData()
        return entry

    def _select(self) -> None:
        self._show_facts()
        entry = self._entry()
        if entry is not None:
            self.model_selected.emit(entry.name)

    def _show_facts(self) -> None:
        entry = self._entry()
        self.facts.setText(describe_model(entry.facts) if entry is not None else "")
        source = entry.facts.weights if entry is not None else "none"
        for part in (self.weights, self.choose):
            part.setVisible(source in {"file", "download"})
        self.download.setVisible(source == "download")
        if entry is not None and entry.facts.file is not None:
            self.download.setToolTip(f"Download {_sized(entry.facts.file)}, under its licence: {entry.facts.licence}")

    def _ask_for_weights(self) -> None:
        entry = self._entry()
        if entry is None:
            return
        dialog = QFileDialog(self, f"Weights of {entry.facts.title}", "", _WEIGHTS)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(lambda file: self._take_weights(entry.name, Path(file)))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _take_weights(self, name: str, file: Path) -> None:
        self.set_weights(file)
        self.weights_chosen.emit(name, file)


def _sized(file: WeightsFile) -> str:
    return f"{file.name} ({file.size / 1e6:.0f} MB)" if file.size else file.name


def describe_model(facts: ModelFacts) -> str:
    """Return tier, origin and licence of a model in one line, and below it what one should know before using it."""
    licence = facts.licence or "licence unknown"
    use = "" if facts.commercial_use else "no commercial use"
    line = " · ".join(part for part in (facts.tier.capitalize(), facts.origin, licence, use) if part)
    return f"{line}\n{facts.note}" if facts.note else line
