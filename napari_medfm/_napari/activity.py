"""Long work in napari's activity dock."""

from typing import Any

from napari.utils.progress import progress


class Activity:
    """One bar in the activity dock, for as long as there is something to wait for.

    napari handles events while it draws a bar, so that `show` and `close` are called again
    before they return: what is asked for meanwhile is drawn afterwards.

    Parameters
    ----------
    title : str
        What is being done.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._wanted: tuple[int, int] | None = None
        self._shown: tuple[int, int] | None = None
        self._drawing = False

    def show(self, done: int, total: int) -> None:
        """Show how far it is; a bar that is complete goes away."""
        self._wanted = (done, total) if done < total else None
        self._follow()

    def close(self) -> None:
        """Take the bar away."""
        self._wanted = None
        self._follow()

    def _follow(self) -> None:
        if self._drawing:
            return
        self._drawing = True
        try:
            while self._shown != self._wanted:
                before, self._shown = self._shown, self._wanted
                self._draw(before, self._shown)
        finally:
            self._drawing = False

    def _draw(self, before: tuple[int, int] | None, now: tuple[int, int] | None) -> None:
        if before is not None and (now is None or before[1] != now[1]):
            self._bar.close()
            self._bar = None
        if now is not None:
            self._bar = self._bar or progress(total=now[1], desc=self._title)
            self._bar.update(now[0] - self._bar.n)
