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
        The plane that was encoded; `napari_medfm.volume.WHOLE` of a region.
    window : str
        ``Window.key`` of the intensity window it was seen through; empty if it was seen as it is.
    encoder_digest : str
        ``ModelSpec.encoder_digest``: weights and preprocessing.
    precision : str
        ``ModelSpec.precision``: the number format it is stored in.
    region : str
        ``LatticeRegion.key`` of the region of the volume that was encoded; empty of a plane.
    aspect : float
        Height of the plane's pixels in their width, as the model was told.
    """

    fingerprint: str
    axis: int
    index: int
    window: str
    encoder_digest: str
    precision: str
    region: str = ""
    aspect: float = 1.0

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON form, in hexadecimal; names the entry in every store."""
        fields = asdict(self)  # of a plane with square pixels, as they were before there were others
        if not self.region:
            del fields["region"]
        if self.aspect == 1:
            del fields["aspect"]
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
