"""What adapting leaves behind: a few tensors, and everything one has to know about them."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from napari_medfm.errors import AdapterError
from napari_medfm.models import ModelSpec
from napari_medfm.models.weights import state_digest

FORMAT = 1
"""Version of `AdapterFacts` as JSON."""

HEAD, DECODER = "head.", "decoder."
"""What the names of tensors begin with."""


_AT_A_LOSS = 0.5


@dataclass(frozen=True, slots=True)
class Readout:
    """How good the adapted model is on a slice that it had not learned from, against the model before.

    The robot user of `napari_medfm.simulation` clicks; without prompts, the model before is the nearest prototype,
    which needs no training.

    Attributes
    ----------
    title : str
        Of the slice.
    dice_before, dice_after : float
        Without prompts.
    clicks_before, clicks_after : float
        To Dice `enough`, mean over its objects; `cap` where it was never reached. Those after correct what was found
        without prompts, so that none may be needed.
    enough : float
        Dice that is good enough.
    cap : int
        Clicks at most.
    """

    title: str
    dice_before: float
    dice_after: float
    clicks_before: float
    clicks_after: float
    enough: float = 0.85
    cap: int = 10

    @property
    def improved(self) -> bool:
        """Whether it is better without prompts, and needs no more clicks."""
        return self.dice_after > self.dice_before and self.clicks_after <= self.clicks_before


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """All that is known of an adapter, as JSON values.

    Attributes
    ----------
    structure : str
        Name of the class it finds.
    base_name, base_digest : str, str
        Registry name and `ModelSpec.model_digest` of the only model it fits.
    encoder_digest, preprocessing : str, str
        Of that model.
    licence, commercial_use : str, bool
        Of that model's weights, which hold for the adapter as well.
    support : tuple of str
        Digests of the slices that were learned from.
    several : bool
        Whether parts that do not touch are objects of their own.
    scattered : bool
        Whether on any labelled slice it had parts that did not touch; else it is one part in three dimensions.
    placed : bool
        Whether the place in the image counts.
    steps : int
        Of training, all together.
    seconds : float
        That adapting took.
    seed : int
        Of all draws.
    readout : Readout, optional
        None if one labelled slice was all there was.
    head_dice : float, optional
        Of the head's map on the slice of the read-out, before that was learned from, too; None if there is none.
    created : str
        Time, ISO 8601, UTC; empty if not told.
    format : int
        See `FORMAT`.
    """

    structure: str
    base_name: str
    base_digest: str
    encoder_digest: str
    preprocessing: str
    licence: str
    commercial_use: bool
    support: tuple[str, ...]
    several: bool
    scattered: bool
    placed: bool
    steps: int
    seconds: float
    seed: int
    readout: Readout | None = None
    head_dice: float | None = None
    created: str = ""
    format: int = FORMAT

    @property
    def parts(self) -> int | None:
        """How many connected parts it has in three dimensions at most; None for any number."""
        return None if self.scattered or self.several else 1

    def to_json(self) -> dict[str, Any]:
        """Return them as a value that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "AdapterFacts":
        """Read what `to_json` returned.

        Raises
        ------
        TypeError, ValueError
            It is something else, or of a later version.
        """
        if value.get("format") != FORMAT:
            raise ValueError(f"format {value.get('format')} is not {FORMAT}")
        readout = value.get("readout")
        read = None if readout is None else Readout(**readout)
        return cls(**{**value, "support": tuple(value["support"]), "readout": read})


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A head, and the parameters of the decoder that moved.

    Attributes
    ----------
    facts : AdapterFacts
        What is known of it.
    tensors : mapping of str to Tensor
        On the CPU; names begin with `HEAD` or `DECODER`.
    digest : str
        SHA-256 of the tensors and of the model they belong to.
    """

    facts: AdapterFacts
    tensors: Mapping[str, Tensor]
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", state_digest(self.tensors, self.facts.base_digest))

    @property
    def improved(self) -> bool:
        """Whether the read-out says that it is better than the model before; False if there is none."""
        return self.facts.readout is not None and self.facts.readout.improved

    @property
    def head(self) -> dict[str, Tensor]:
        """State of the head."""
        return _part(self.tensors, HEAD)

    @property
    def decoder(self) -> dict[str, Tensor]:
        """Parameters of the decoder; empty if only a head was trained."""
        return _part(self.tensors, DECODER)

    def check_fits(self, spec: ModelSpec) -> None:
        """Refuse a model that the adapter was not made on.

        Raises
        ------
        AdapterError
            It is another one, or other weights of the same one.
        """
        if self.facts.base_digest == spec.model_digest:
            return
        other = "other weights of it" if spec.name == self.facts.base_name else spec.name
        reason = f"was made on {self.facts.base_name} and does not fit {other}"
        raise AdapterError(
            f"adapter for {self.facts.structure}", reason, f"Choose {self.facts.base_name}, or adapt again."
        )


def is_at_a_loss(head_dice: float | None) -> bool:
    """Whether a head does not know its structure, by its Dice on a slice that it had not learned from."""
    return head_dice is not None and head_dice < _AT_A_LOSS


def combined_digest(spec: ModelSpec, adapter: Adapter) -> str:
    """Return what names the weights of an adapted model in a record."""
    return hashlib.sha256(f"{spec.model_digest} {adapter.digest}".encode()).hexdigest()


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
