"""Where a network lives: what stays on the device between questions, and what happens when its memory ends."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

import torch

from napari_medfm.errors import ModelError
from napari_medfm.settings import load_settings

T = TypeVar("T")

_CPU = torch.device("cpu")
_log = logging.getLogger(__name__)


class Residence:
    """The device of a network, with a tier of the cache on it.

    Out of memory, the tier is given up and the work tried again; if that does not help, the network moves to the CPU
    for good and goes on there: slower, and nothing is lost.

    Parameters
    ----------
    title : str
        What is being run, for messages.
    device : torch.device
        Where it lives at first.
    settle : callable
        Moves the network to a device, and makes anew what depends on it; called now and when it moves.
    budget_bytes : int, optional
        Of what may stay on the device between questions; the least recently used makes room. By default the setting
        ``MEDFM_GPU_GB``.
    """

    def __init__(
        self,
        title: str,
        device: torch.device,
        settle: Callable[[torch.device], None],
        budget_bytes: int | None = None,
    ) -> None:
        self._title, self._settle = title, settle
        self._budget = load_settings().device_bytes if budget_bytes is None else budget_bytes
        self._kept: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._bytes = 0
        self.device = device
        settle(device)

    @property
    def kept_bytes(self) -> int:
        """Bytes that stay on the device."""
        return self._bytes

    def run(self, work: Callable[[], T]) -> T:
        """Do some work on the device, or on the CPU if the device's memory does not suffice.

        Parameters
        ----------
        work : callable
            Asks for `device` anew each time it is called.

        Raises
        ------
        ModelError
            The memory of the CPU does not suffice either.
        """
        for relieve in (self.make_room, self._move):
            try:
                return work()
            except torch.OutOfMemoryError:
                relieve()
        try:
            return work()
        except torch.OutOfMemoryError as error:
            step = "Close other programs, or choose a smaller model."
            raise ModelError(self._title, "needs more memory than there is", step) from error

    def keep(self, key: Hashable, make: Callable[[], T], nbytes: int) -> T:
        """Return what was made for a key before, or make it; it stays on the device as long as there is room.

        On the CPU nothing is kept: that is what the cache in memory is for.
        """
        if self.device == _CPU:
            return make()
        if key not in self._kept:
            made = make()
            self._bytes += nbytes
            self._kept[key] = made, nbytes
        self._kept.move_to_end(key)
        value = cast("T", self._kept[key][0])  # what `make` of this key gave
        while self._bytes > self._budget:
            self._bytes -= self._kept.popitem(last=False)[1][1]
        return value

    def make_room(self) -> None:
        """Give up what stays on the device."""
        self._kept.clear()
        self._bytes = 0
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _move(self) -> None:
        self.make_room()
        if self.device != _CPU:
            _log.warning("%s: the memory of %s does not suffice; it goes on on the CPU", self._title, self.device)
            self.device = _CPU
            self._settle(_CPU)
