"""Long work in napari's activity dock."""

from typing import Any

from napari.utils.progress import progress


class Activity:
    """One bar in the activity dock, for as long as there is something to wait for.

    Parameters
    ----------
    title : str
        What is being done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None

    def show(self, done: int, total: int) -> None:
        """Show how far it is; a bar that is complete goes away."""
        if done >= total:
            self.close()
            return
        if self._bar is None or self._bar.total != total:
            self.close()
            self._bar = progress(total=total, desc=self._title)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
