"""Models that are known and not offered: why, and what to do about it."""

from dataclasses import dataclass

_ADD = "'napari-medfm models add NAME --like {} --weights FILE'"
_PACKAGE = "a package of one's own that offers it through the entry-point group napari_medfm.models"


@dataclass(frozen=True, slots=True)
class Other:
    """A model that is not offered.

    Attributes
    ----------
    title : str
        Name shown to people.
    reason : str
        Why it is not offered.
    way : str
        How to use it all the same.
    """

    title: str
    reason: str
    way: str


OTHERS = (
    Other("TinySAM", "no digest of its file is published", _ADD.format("mobile-sam") + ", untried"),
    Other("EdgeSAM", "non-commercial (S-Lab 1.0), an encoder of its own", _PACKAGE),
    Other("EfficientSAM", "takes no mask prompt, so that clicks do not refine an answer", _PACKAGE),
    Other("SAM 2.0", "SAM 2.1 has the same layout and better weights", _ADD.format("sam2-tiny") + ", untried"),
    Other("SAM 3, SAM 3.1", "behind a gate (request and token); need Python 3.12 and CUDA", _PACKAGE),
    Other("SAM-Med2D", "adapters in the encoder; no stable address, no digest", _PACKAGE),
    Other("IMIS-Net", "no licence", "none until its authors state one"),
    Other("ScribblePrompt-UNet", "no stable address, no digest; the licence of the weights is not stated", _PACKAGE),
    Other("UniverSeg, MultiverSeg", "research-only weights; want labelled examples with every question", _PACKAGE),
    Other(
        "nnInteractive", "non-commercial; wants a CUDA GPU and excludes some versions of torch", "its own napari plugin"
    ),
    Other("SAM-Med3D, SegVol", "answer for volumes as VISTA3D does; nobody has written them here yet", _PACKAGE),
    Other("UltraSam, SegmentAnyBone", "non-commercial; other frameworks", _PACKAGE),
    Other("Medical-SAM-Adapter", "code under GPL-3, one adapter for each organ", _PACKAGE),
    Other("BiomedParse, VoxTell, MedSAM3, Medical-SAM3", "asked by text, not by pointing", "their own programs"),
)
"""As far as they were known in November 2026."""
