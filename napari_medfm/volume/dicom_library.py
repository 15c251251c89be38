"""pydicom: an optional extra, imported when the first DICOM file is opened, and kept from talking."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType

from napari_medfm.errors import UnsupportedDataError

_TALKERS = ("pydicom", "highdicom")
_lock = threading.Lock()
_users = 0
_silence = ExitStack()


@contextmanager
def quiet_pydicom() -> Iterator[ModuleType]:
    """Give pydicom, which meanwhile neither logs nor warns, nor does highdicom.

    They quote what they find odd, and that may be a name. Any number of threads may be inside; the last one to
    leave undoes it.

    Raises
    ------
    UnsupportedDataError
        It is not installed.
    """
    pydicom = _pydicom()
    _enter(pydicom)
    try:
        yield pydicom
    finally:
        _leave()


def _enter(pydicom: ModuleType) -> None:
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            _silence.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=rf"({'|'.join(_TALKERS)})(\..*)?$")
            _silence.enter_context(pydicom.config.disable_value_validation())
            for log in _loggers():
                _silence.callback(setattr, log, "disabled", log.disabled)
                log.disabled = True


def _loggers() -> list[logging.Logger]:
    """Return the loggers there are of the two: one that is disabled does not silence those below it."""
    return [logging.getLogger(name) for name in (*_TALKERS, *logging.root.manager.loggerDict) if _talks(name)]


def _talks(name: str) -> bool:
    return name.split(".", maxsplit=1)[0] in _TALKERS


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0:
            _silence.close()


def _pydicom() -> ModuleType:
    try:
        return import_module("pydicom")
    except ImportError as error:
        step = 'Install it with "pip install napari-medfm[dicom]".'
        raise UnsupportedDataError("DICOM", "needs the package pydicom to be read", step) from error
