"""How much memory reading a file may take, asked before anything is allocated."""

import psutil

from napari_medfm.errors import TooLargeError

_SHARE = 0.8
"""Part of the free memory one image may take: display, labels and model need the rest."""


def memory_limit() -> int:
    """Return how many bytes reading one image may take now."""
    return int(psutil.virtual_memory().available * _SHARE)


def check_memory(name: str, needed: int, limit: int | None, next_step: str) -> None:
    """Refuse what would not fit.

    Parameters
    ----------
    name : str
        File name for the message.
    needed : int
        Bytes that would be allocated, all at once.
    limit : int or None
        Bytes allowed; None asks the machine.
    next_step : str
        What the person can do instead.

    Raises
    ------
    TooLargeError
        More is needed than allowed.
    """
    allowed = memory_limit() if limit is None else limit
    if needed > allowed:
        raise TooLargeError(name, f"needs {_size(needed)} of memory and {_size(allowed)} may be used", next_step)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
