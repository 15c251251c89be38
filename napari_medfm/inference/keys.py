"""What an embedding depends on, as a value."""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """Everything that changes an embedding, and nothing else.

    The weights of a decoder are not part of it: adapting only the decoder keeps
    every stored embedding valid.

    Attributes
    ----------
    fingerprint : str
        Of the volume's voxels, see `napari_medfm.volume.fingerprint`.
    axis, index : int
        The plane that was encoded.
    window : str
        ``Window.key`` of the intensity window it was seen through.
    encoder_digest : str
        ``ModelSpec.encoder_digest``: weights and preprocessing.
    precision : str
        ``ModelSpec.precision``: the number format it is stored in.
    aspect : float
        Height of the plane's pixels in their width, as the model was told.
    """

    fingerprint: str
    axis: int
    index: int
    window: str
    encoder_digest: str
    precision: str
    aspect: float = 1.0

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal; names the entry in every store."""
        values = asdict(self)
        if self.aspect == 1:  # as before there were others, so that what is stored stays valid
            del values["aspect"]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
