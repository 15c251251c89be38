"""Telling a person through napari's notifications, once, what went wrong and what to do."""

from collections.abc import Callable

from napari.utils.notifications import show_error, show_info, show_warning

from napari_medfm.errors import JournalError, MedfmError, PromptError, SessionError


def tell(error: MedfmError) -> None:
    """Show a failure; what the person can simply do differently is a warning, the rest an error."""
    mild = isinstance(error, PromptError | SessionError) and not isinstance(error, JournalError)
    (show_warning if mild else show_error)(str(error))


def say(sentence: str) -> None:
    """Show something worth knowing."""
    show_info(sentence)


def attempt(action: Callable[[], object]) -> bool:
    """Do something that may be refused; a refusal is told, and False returned."""
    try:
        action()
    except MedfmError as error:
        tell(error)
        return False
    return True
