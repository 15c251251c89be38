"""What a person did to an image: objects, prompts and voxels, with undo, in a journal that loses nothing.

`AnnotationSession` is the only mutable owner; `LiveSegmentation` is its conversation
with a model, `Hand` that with a person who knows better. None of them knows napari, Qt or torch.
"""

from napari_medfm.session.classes import read_classes
from napari_medfm.session.events import SessionEvents
from napari_medfm.session.growth import Origin, Target
from napari_medfm.session.hand import Hand, HandEvents
from napari_medfm.session.live import LiveEvents, LiveSegmentation
from napari_medfm.session.measures import Measures
from napari_medfm.session.opening import journal_path, set_aside
from napari_medfm.session.proposals import Pending, Proposals
from napari_medfm.session.replay import Replayed, replay
from napari_medfm.session.request import PredictionRequest, outstanding, resolve
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.shaping import Plan, Shaping, SliceChange
from napari_medfm.session.state import (
    CommitPolicy,
    Extent,
    ObjectClass,
    SegmentedObject,
    SessionState,
)
from napari_medfm.session.verify import Recovery, VerifyReport, recover, verify

__all__ = [
    "AnnotationSession",
    "CommitPolicy",
    "Extent",
    "Hand",
    "HandEvents",
    "LiveEvents",
    "LiveSegmentation",
    "Measures",
    "ObjectClass",
    "Origin",
    "Pending",
    "Plan",
    "PredictionRequest",
    "Proposals",
    "Recovery",
    "Replayed",
    "SegmentedObject",
    "SessionEvents",
    "SessionState",
    "Shaping",
    "SliceChange",
    "Target",
    "VerifyReport",
    "journal_path",
    "outstanding",
    "read_classes",
    "recover",
    "replay",
    "resolve",
    "set_aside",
    "verify",
]
