"""Asking which of several images is meant; none is ever taken silently."""

from collections.abc import Sequence

from napari_medfm.errors import ChoiceRequiredError


def choose(name: str, what: str, labels: Sequence[str], choice: int | None) -> int:
    """Return the index of the chosen image; with only one there is nothing to choose.

    Parameters
    ----------
    name : str
        File name for the message.
    what : str
        What there are several of, in the plural.
    labels : sequence of str
        One for each.
    choice : int or None
        Index into `labels`, if somebody chose.

    Raises
    ------
    ChoiceRequiredError
        There are several and no choice was made, or the choice does not exist.
    """
    count = len(labels)
    if choice is None and count == 1:
        return 0
    if choice is not None and 0 <= choice < count:
        return choice
    reason = f"holds {count} {what}" + (f" and no number {choice}" if choice is not None else "")
    raise ChoiceRequiredError(name, reason, "Choose which one to open.", labels)
