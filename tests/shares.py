"""Work that the tests of spreading have done in other processes: functions that a worker can import."""

import os
import signal

from napari_medfm.errors import ProjectError


def square(number):
    """Return the square and who made it; 3 is refused, 4 breaks."""
    if number == 3:
        raise ProjectError("case 3", "is odd", "Leave it out.")
    return {"square": number * number, "rest": 12 // (number - 4), "process": os.getpid()}


def square_or_die(case):
    """Do `square`, but let the process end in the middle of a case, for the first that comes to it."""
    number, marker = case
    if number == 1:
        die_once(marker)
    return square(number)


def always_die(number):
    """End the process on 0."""
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die_once(marker):
    """Kill this process unless that was done before."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
