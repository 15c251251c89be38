"""Errors worded for a person."""

import logging

from napari_medfm.errors import MedfmError

_log = logging.getLogger(__name__)


def worded(error: BaseException) -> MedfmError:
    """Return an error for a person; one that was not expected is named by its kind only."""
    if isinstance(error, MedfmError):
        return error
    _log.error("unexpected %s", type(error).__name__)
    return MedfmError("napari-medfm", f"failed unexpectedly ({type(error).__name__})", "Try again, and report it.")
