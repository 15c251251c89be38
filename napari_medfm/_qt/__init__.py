"""The dock panel: layout and wiring only.

Knows the session, its events and Qt; knows neither napari nor torch, and decides
nothing. Pixels, layers and the viewer belong to the bridge beside it.
"""

from napari_medfm._qt.main_thread import MainThreadDispatcher
from napari_medfm._qt.panel import MedfmPanel

__all__ = ["MainThreadDispatcher", "MedfmPanel"]
