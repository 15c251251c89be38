"""One contestant on one object under one protocol: what happened, and what it is worth.

All scores count Dice: also NoC@85 and NoC@90, which the literature often counts in IoU.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

from napari_medfm.evaluation.targets import Form
from napari_medfm.prompts import MaskPrompt, PromptSet, from_json, to_json
from napari_medfm.simulation import ProtocolName, clicks_to, dsc_auc

ENOUGH = 0.85
"""Dice below which an object counts as failed at the end."""

CLICKS: Mapping[ProtocolName, int] = {"ritm": 20, "jittered": 20, "box": 5, "scribble": 10, "cvpr2025": 5}
"""Clicks, or strokes, of each protocol at most, an opening box not counted."""

_BEGIN_WITH_A_BOX = ("box", "cvpr2025")
_CLICK_ONLY = ("ritm", "jittered")
_AUC_CLICKS = 5


@dataclass(frozen=True, slots=True)
class Trial:
    """What a contestant made of one object.

    Attributes
    ----------
    case : int
        The image's number among all cases.
    dataset, image, mask, modality : str
        Data set, names of the two files without folders, and modality.
    target, slice : int
        The object's number in the mask, and its axial slice; 0 in a 2-D image.
    pixels : int
        Its size on that slice.
    form : str
        What it looks like there, see `napari_medfm.evaluation.targets.Form`.
    model : str
        Name of the contestant.
    protocol : str
        How the robot user pointed.
    clicks : int
        How often it could have clicked; it stops when nothing is left to correct.
    dice : tuple of float
        After each prompt, an opening box included.
    nsd, hd95 : float
        Of the last mask: normalised surface Dice at a tolerance of 2 `unit`, and the 95th percentile
        of the Hausdorff distance in `unit`; for an empty mask the diagonal of the image.
    unit : str
        ``mm``, or ``px`` where the image does not say how large a pixel is.
    encode_seconds : float
        To take in the image, once for all its objects.
    seconds : tuple of float
        To answer each prompt.
    prompts : PromptSet
        What the robot did.
    answer : MaskPrompt
        The last mask.
    """

    case: int
    dataset: str
    image: str
    mask: str
    modality: str
    target: int
    slice: int
    pixels: int
    form: Form
    model: str
    protocol: ProtocolName
    clicks: int
    dice: tuple[float, ...]
    nsd: float
    hd95: float
    unit: Literal["mm", "px"]
    encode_seconds: float
    seconds: tuple[float, ...]
    prompts: PromptSet
    answer: MaskPrompt

    @property
    def key(self) -> tuple[int, int, int, str, str]:
        """What no two trials of an evaluation share."""
        return self.case, self.target, self.slice, self.model, self.protocol

    @property
    def after_box(self) -> float | None:
        """Dice after the opening box; None if the protocol has none."""
        return self.dice[0] if self.protocol in _BEGIN_WITH_A_BOX else None

    def after(self, clicks: int) -> float | None:
        """Return Dice after so many clicks; None if so many were not allowed.

        Where the robot stopped because nothing was left to correct, the last score stays.
        """
        if not 1 <= clicks <= self.clicks:
            return None
        scores = self._after_clicks()
        return scores[min(clicks, len(scores)) - 1]

    def clicks_to(self, threshold: float) -> int | None:
        """Return the clicks until Dice first reached a threshold, or the cap; None for strokes and boxes."""
        if self.protocol not in _CLICK_ONLY:
            return None
        return clicks_to(threshold, self.dice, self.clicks)

    @property
    def area(self) -> float | None:
        """DSC_AUC of the CVPR 2025 challenge, over clicks 1 to 5, at most 4; None if fewer were allowed."""
        scores = [self.after(clicks) for clicks in range(1, _AUC_CLICKS + 1)]
        known = [score for score in scores if score is not None]
        return dsc_auc(known) if len(known) == _AUC_CLICKS else None

    @property
    def failed(self) -> bool:
        """Whether no answer reached `ENOUGH`."""
        return max(self.dice) < ENOUGH

    def _after_clicks(self) -> tuple[float, ...]:
        return (self.dice[1:] or self.dice) if self.protocol in _BEGIN_WITH_A_BOX else self.dice


MEASURES: dict[str, Callable[[Trial], float | None]] = {
    "dice_box": lambda trial: trial.after_box,
    "dice_1_click": lambda trial: trial.after(1),
    "dice_3_clicks": lambda trial: trial.after(3),
    "dice_5_clicks": lambda trial: trial.after(5),
    "dice_10_clicks": lambda trial: trial.after(10),
    "noc_85": lambda trial: trial.clicks_to(0.85),
    "noc_90": lambda trial: trial.clicks_to(0.90),
    "dsc_auc": lambda trial: trial.area,
    "nsd": lambda trial: trial.nsd,
    "hd95": lambda trial: trial.hd95,
    "failed": lambda trial: float(trial.failed),
}
"""What is averaged, by name; None where a trial does not tell. Strokes count as clicks."""


def to_row(trial: Trial) -> dict[str, Any]:
    """Return a trial as a value that `json.dumps` takes."""
    row = asdict(trial)
    row["prompts"] = to_json(trial.prompts)
    row["answer"] = to_json(PromptSet((trial.answer,)))[0]
    return row


def from_row(row: Mapping[str, Any]) -> Trial:
    """Read a trial from what `to_row` made of it and JSON brought back.

    Raises
    ------
    PromptError, KeyError, TypeError
        It is not what `to_row` makes.
    """
    values = {field.name: row[field.name] for field in fields(Trial)}
    values["prompts"] = from_json(values["prompts"])
    values["answer"] = cast("MaskPrompt", from_json([values["answer"]])[0])
    values |= {name: tuple(cast("Sequence[float]", values[name])) for name in ("dice", "seconds")}
    return Trial(**values)
