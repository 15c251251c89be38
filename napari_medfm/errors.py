"""Every error the package raises on purpose.

::

    MedfmError                      subject, reason, next step
    ├── SettingsError               an environment variable that cannot be used
    ├── VolumeError                 reading an image or a label file
    │   ├── UnreadableFileError     damaged, truncated, or not what its name says
    │   ├── UnsupportedDataError    intact, but of a kind that is refused by name
    │   ├── TooLargeError           would not fit the memory it may use
    │   ├── GeometryError           no usable position in space, or two grids that differ
    │   └── ChoiceRequiredError     several volumes in one file or folder: ask which
    ├── WriteError                  a file could not be written or did not read back equal
    ├── PromptError                 a prompt outside the image or of a kind the model lacks
    ├── ModelError                  a model that cannot be used
    │   ├── UnknownModelError       no model of that name
    │   └── WeightsError            weights refused before use
    ├── SessionError                an operation the session does not allow
    │   ├── LockedObjectError       the object is locked
    │   └── JournalError            the journal cannot be read or written
    │       ├── JournalBusyError    another process is writing it
    │       └── JournalDamagedError the hash chain or the database is broken
    ├── AdapterError                labelled slices, or an adapter, that cannot be used with this model
    ├── ExportError                 cases that a data set cannot hold, or a data set that cannot be read
    ├── ProjectError                a project that cannot be used, or a change that another person forestalled
    ├── ClusterError                processes or machines that cannot take a share of the work
    ├── EvaluationError             a manifest, or an evaluation, that cannot be run as asked
    ├── PretrainingError            training images, or a training, that cannot be used
    └── CancelledError              the caller asked to stop
"""

from collections.abc import Sequence


class MedfmError(Exception):
    """An expected failure, worded for the person who has to act on it.

    Parameters
    ----------
    subject : str
        The file or object that is concerned. File *names* only, never a folder:
        paths often hold patient names.
    reason : str
        What is wrong, in one clause.
    next_step : str
        What the person can do about it, as a sentence.
    """

    def __init__(self, subject: str, reason: str, next_step: str) -> None:
        super().__init__(subject, reason, next_step)
        self.subject = subject
        self.reason = reason
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}. {self.next_step}"


class SettingsError(MedfmError):
    """An environment variable that cannot be used."""


class VolumeError(MedfmError):
    """An image or label file that cannot be read as asked."""


class UnreadableFileError(VolumeError):
    """The file is damaged, truncated, or not what its name says."""


class UnsupportedDataError(VolumeError):
    """The file is intact, but its kind of data is refused by name."""


class TooLargeError(VolumeError):
    """The data would need more memory than it may use."""


class GeometryError(VolumeError):
    """No usable position in space, or two grids that do not match."""


class ChoiceRequiredError(VolumeError):
    """Several volumes are there and none may be taken silently.

    Parameters
    ----------
    subject, reason, next_step : str
        As in `MedfmError`.
    choices : sequence of str
        One label per choice, in the order the reader's ``choice`` argument counts.
    """

    def __init__(self, subject: str, reason: str, next_step: str, choices: Sequence[str]) -> None:
        super().__init__(subject, reason, next_step)
        self.choices = tuple(choices)


class WriteError(MedfmError):
    """A file could not be written, or did not read back equal."""


class PromptError(MedfmError):
    """A prompt outside the image, or of a kind the model does not take."""


class ModelError(MedfmError):
    """A model that cannot be used."""


class UnknownModelError(ModelError):
    """No model of that name is registered."""


class WeightsError(ModelError):
    """Weights that were refused before use."""


class SessionError(MedfmError):
    """An operation that the session does not allow."""


class LockedObjectError(SessionError):
    """The object is locked."""


class JournalError(SessionError):
    """The journal cannot be read or written."""


class JournalBusyError(JournalError):
    """Another process is writing this journal."""


class JournalDamagedError(JournalError):
    """The journal's hash chain or its database is broken."""


class AdapterError(MedfmError):
    """Labelled slices that a model cannot be adapted to, or an adapter that does not fit the model."""


class ExportError(MedfmError):
    """Cases that a data set of this form cannot hold, or a data set that cannot be read."""


class ProjectError(MedfmError):
    """A project that cannot be read or written, or a change that does not fit what its case has become."""


class ClusterError(MedfmError):
    """Processes, or machines of a cluster, that cannot take a share of the work."""


class EvaluationError(MedfmError):
    """A manifest that cannot be read, or an evaluation that cannot be run as asked."""


class PretrainingError(MedfmError):
    """Training images that cannot be used, or a training that cannot go on."""


class CancelledError(MedfmError):
    """The caller asked to stop."""
