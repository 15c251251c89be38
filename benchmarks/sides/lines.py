"""How a side of a comparison is asked: one JSON line in, one or more out, in a process that stays alive.

Needs the standard library only, because a side may run in another project's environment. What a library prints goes
to the standard error, so that it never gets between the answers.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


class Lines:
    """JSON lines from and to the process that started this one."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def serve(self, side: object) -> None:
        """Answer each request, which names a method in ``do`` and its arguments, until there are no more."""
        for line in sys.stdin:
            request = json.loads(line)
            self.tell(getattr(side, request.pop("do"))(**request))

    def tell(self, answer: object) -> None:
        """Answer."""
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()

    def pause(self, answer: object) -> None:
        """Answer, and wait for the sign to go on."""
        self.tell(answer)
        sys.stdin.readline()


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds an action took, and what it returned."""
    began = time.perf_counter()
    result = action()
    return time.perf_counter() - began, result
