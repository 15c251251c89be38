"""Intensity windows: which values a model sees as black and as white."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_medfm.volume.lazy import blocks
from napari_medfm.volume.volume import Volume

AUTOMATIC = "auto"
"""Name of the window that suits the image."""

_SAMPLE = 200_000  # voxels looked at when a window is chosen
_PERCENTILES = (0.5, 99.5)
_LARGEST = float(np.finfo(np.float64).max)
_NARROWEST = 1e-30  # a window this narrow can still be stretched to 0..255 in float32
_EXTREME = 1e300  # beyond it differences of float64 may overflow

_PADDING = -1100.0  # HU: no scanner measures less than air, so this was filled in
_AIR = -500.0
_LUNG = (-950.0, -600.0)
_FAT = (-150.0, -50.0)
_SOFT = (-200.0, 300.0)
_BRAIN = (10.0, 60.0)
_BONE = (300.0, 3000.0)


@dataclass(frozen=True, slots=True)
class Window:
    """The range of values shown from black to white.

    Attributes
    ----------
    name : str
        ``abdomen``, ``lung``, ..., ``automatic`` or ``custom``.
    low, high : float
        Values that become 0 and 255; finite, at least 1e-30 apart.

    Raises
    ------
    ValueError
        The range is empty, reversed or not finite.
    """

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.high - self.low >= _NARROWEST):
            msg = f"a window needs finite low < high, not {self.low} and {self.high}"
            raise ValueError(msg)

    @classmethod
    def from_level(cls, name: str, width: float, level: float) -> "Window":
        """Return the window of that width around that level."""
        return cls(name, level - width / 2, level + width / 2)

    @property
    def width(self) -> float:
        """Distance from black to white."""
        return self.high - self.low

    @property
    def level(self) -> float:
        """Middle of the window."""
        return self.low / 2 + self.high / 2

    @property
    def key(self) -> str:
        """What the window does to values, without its name, for cache keys."""
        return f"{float(self.low)!r}:{float(self.high)!r}"

    def to_uint8(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Map values to 0..255, rounded; NaN becomes 0, infinities the nearer end.

        Parameters
        ----------
        array : ndarray
            One slice or more, any real type. A uint8 array with a trailing axis
            of 3 is RGB and returned as it is.
        """
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3:
            return array
        work = np.result_type(array.dtype, np.float32)
        low, high = self.low, self.high
        with np.errstate(over="ignore", invalid="ignore"):
            values = array.astype(work, order="C")
            if max(abs(low), abs(high)) > _EXTREME:
                low, high = low / 4, high / 4
                values *= 0.25
            scale = 255.0 / (high - low)
            values -= work.type(low - 0.5 / scale)
            values *= work.type(scale)
        np.fmax(values, 0, out=values)
        np.fmin(values, 255, out=values)
        return values.astype(np.uint8)


PRESETS: dict[str, Window] = {
    name: Window.from_level(name, width, level)
    for name, width, level in (
        ("abdomen", 400, 40),
        ("lung", 1500, -600),
        ("brain", 80, 40),
        ("mediastinum", 350, 50),
        ("bone", 1800, 400),
    )
}
"""Windows for CT, in HU."""


def named_window(volume: Volume, name: str) -> Window:
    """Return a preset by its name, or what suits the image if the name is `AUTOMATIC`."""
    return automatic_window(volume) if name == AUTOMATIC else PRESETS[name]


def automatic_window(volume: Volume) -> Window:
    """Choose the window to start with, the same for every slice of a volume.

    CT gets the preset that suits its mixture of tissues; anything else the 0.5
    and 99.5 percentiles of a fixed strided sample. NaN, infinities and, in CT,
    padding are left out. Colour is shown as it is.
    """
    if volume.is_rgb:
        return Window("colour", 0.0, 255.0)
    sample = _sample(volume)
    if _is_ct(volume, sample):
        return PRESETS[_ct_preset(sample)]
    return _percentile_window(sample, volume.array)


def is_ct(volume: Volume) -> bool:
    """Whether values are HU: the file says so, or says nothing and they are distributed as in CT."""
    return not volume.is_rgb and _is_ct(volume, _sample(volume))


def _is_ct(volume: Volume, sample: NDArray[np.float64]) -> bool:
    return volume.modality == "CT" or (not volume.modality and _looks_like_ct(sample))


def _sample(volume: Volume) -> NDArray[np.float64]:
    array = volume.array
    step = max(1, int(np.ceil((array.size / _SAMPLE) ** (1 / array.ndim))))
    values = np.asarray(array[(slice(step // 2 if step > 1 else 0, None, step),) * array.ndim])
    values = values if values.size else np.asarray(array)  # thinner than a step
    flat = values.astype(np.float64).ravel()
    return flat[np.isfinite(flat)]


def _looks_like_ct(sample: NDArray[np.float64]) -> bool:
    """Whether values look like HU: some air, some soft tissue, and below air only one padding value."""
    if not sample.size:
        return False
    below = sample[sample < _PADDING]
    odd = np.count_nonzero(below != below.min()) if below.size else 0
    air = _share(sample, (_PADDING, _AIR))
    return bool(odd < 0.01 * sample.size and air > 0.01 and _share(sample, _SOFT) > 0.05)


def _ct_preset(sample: NDArray[np.float64]) -> str:
    body = sample[sample > _LUNG[0]]
    if not body.size:
        return "abdomen"
    lung, fat, brain, bone = (_share(body, tissue) for tissue in (_LUNG, _FAT, _BRAIN, _BONE))
    if lung > 0.35:
        return "lung"
    if lung > 0.15:
        return "mediastinum"
    if brain > 0.25 and bone > 0.06 and fat < 0.35 * brain:
        return "brain"
    return "abdomen"


def _share(values: NDArray[np.float64], limits: tuple[float, float]) -> float:
    return float(np.count_nonzero((values >= limits[0]) & (values <= limits[1])) / values.size)


def _percentile_window(sample: NDArray[np.float64], array: NDArray[Any]) -> Window:
    if not sample.size:
        return Window("automatic", 0.0, 1.0)
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES, method="nearest"))
    if high - low < _NARROWEST:
        low, high = float(sample.min()), float(sample.max())
    if high - low < _NARROWEST:
        low, high = _finite_range(array)
    if high - low < _NARROWEST:
        margin = max(1.0, abs(low) * 1e-3)
        low, high = max(low - margin, -_LARGEST), min(high + margin, _LARGEST)
    return Window("automatic", low, high)


def _finite_range(array: NDArray[Any]) -> tuple[float, float]:
    finite = [part for part in (block[np.isfinite(block)] for block in blocks(array)) if part.size]
    ends = [(float(part.min()), float(part.max())) for part in finite]
    return min((low for low, _ in ends), default=np.inf), max((high for _, high in ends), default=-np.inf)
