"""How far adapting is, how long it took and how long it may go on."""

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Literal

Phase = Literal["prepare", "head", "decoder", "judge", "settle"]

_ENDS: dict[Phase, float] = {"head": 0.42, "decoder": 0.8, "settle": 0.95}
"""Share of the time at which each training ends at the latest; what is left is for the last steps to come back."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far adapting is.

    Attributes
    ----------
    phase : str
        ``prepare`` embeds altered copies; ``head`` and ``decoder`` train; ``judge`` reads out; ``settle`` trains
        on the judged slice too.
    done, total : int
        Steps of this phase.
    loss : float, optional
        Of a step of training.
    validation : float, optional
        Dice of the head on the judged slice, where it was just looked at.
    seconds : float
        Of work so far, the time given to others not counted.
    left : float
        Seconds of work still to come, estimated from the steps so far.
    """

    phase: Phase
    done: int
    total: int
    loss: float | None = None
    validation: float | None = None
    seconds: float = 0.0
    left: float = 0.0


class Clock:
    """Counts seconds of work, and guesses how many are to come.

    Parameters
    ----------
    limit : float
        Seconds of work there are.
    planned : int
        Steps, all together.
    """

    def __init__(self, limit: float, planned: int) -> None:
        self._limit, self._planned = limit, planned
        self._done, self._spent, self._started = 0, 0.0, perf_counter()
        self._began = 0.0

    @property
    def seconds(self) -> float:
        """Work so far, that of the step being taken included."""
        return self._spent + perf_counter() - self._started

    def begin(self, phase: Phase) -> None:
        """Begin a phase."""
        self._began = min(self.seconds, self._end(phase))

    def share(self, phase: Phase) -> float:
        """Share of the time for the phase that was begun last which is over, 0..1."""
        span = self._end(phase) - self._began
        return min(1.0, (self.seconds - self._began) / span) if span else 1.0

    def is_over(self, phase: Phase) -> bool:
        """Whether a phase has had its time."""
        return self.seconds > self._end(phase)

    def _end(self, phase: Phase) -> float:
        return _ENDS.get(phase, 1.0) * self._limit

    def start(self) -> None:
        """Begin a step."""
        self._started = perf_counter()

    def stamp(self, progress: Progress) -> Progress:
        """End a step."""
        self._spent, self._done = self.seconds, self._done + 1
        left = max(0, self._planned - self._done) * self._spent / self._done
        return replace(progress, seconds=self._spent, left=left)
