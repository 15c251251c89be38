"""What a person did to an image: objects, prompts and voxels, with undo, in a journal that loses nothing.

`AnnotationSession` is the only mutable owner; `LiveSegmentation` is its conversation with a model, which `Adapting`
teaches, `Filling` lets look further and `Propagating` carries from slice to slice; `Hand` is that with a person who
knows better, and `Proposals` keeps what is not accepted yet. None of them knows napari, Qt or torch.
"""

from napari_medfm.session.adapting import Adapting, AdaptingEvents, InUse, Workshop
from napari_medfm.session.classes import read_classes
from napari_medfm.session.events import SessionEvents
from napari_medfm.session.examples import Earlier, Example, Examples
from napari_medfm.session.filling import Filling, FillingEvents
from napari_medfm.session.growth import Origin, Target
from napari_medfm.session.hand import Hand, HandEvents
from napari_medfm.session.keyslices import Reach, key_slices
from napari_medfm.session.lessons import FillProgress, Glimpse
from napari_medfm.session.live import LiveEvents, LiveSegmentation
from napari_medfm.session.measures import Measures
from napari_medfm.session.notes import Undertaking, Work
from napari_medfm.session.opening import journal_path, set_aside
from napari_medfm.session.propagating import Propagated, Propagating, PropagatingEvents
from napari_medfm.session.proposals import Pending, Proposals
from napari_medfm.session.record import Deed, SessionRecord, read_record
from napari_medfm.session.replay import Replayed, replay
from napari_medfm.session.request import PredictionRequest, outstanding, resolve
from napari_medfm.session.session import AnnotationSession
from napari_medfm.session.shaping import Shaping, SliceChange
from napari_medfm.session.state import (
    CommitPolicy,
    Extent,
    ObjectClass,
    SegmentedObject,
    SessionState,
)
from napari_medfm.session.teaching import Teaching
from napari_medfm.session.transitions import with_class
from napari_medfm.session.unfinished import Unfinished
from napari_medfm.session.verify import Recovery, VerifyReport, recover, verify

__all__ = [
    "Adapting",
    "AdaptingEvents",
    "AnnotationSession",
    "CommitPolicy",
    "Deed",
    "Earlier",
    "Example",
    "Examples",
    "Extent",
    "FillProgress",
    "Filling",
    "FillingEvents",
    "Glimpse",
    "Hand",
    "HandEvents",
    "InUse",
    "LiveEvents",
    "LiveSegmentation",
    "Measures",
    "ObjectClass",
    "Origin",
    "Pending",
    "Plan",
    "PredictionRequest",
    "Propagated",
    "Propagating",
    "PropagatingEvents",
    "Proposals",
    "Reach",
    "Recovery",
    "Replayed",
    "SegmentedObject",
    "SessionEvents",
    "SessionRecord",
    "SessionState",
    "Shaping",
    "SliceChange",
    "Target",
    "Teaching",
    "Undertaking",
    "Unfinished",
    "VerifyReport",
    "Work",
    "Workshop",
    "journal_path",
    "key_slices",
    "outstanding",
    "read_classes",
    "read_record",
    "recover",
    "replay",
    "resolve",
    "set_aside",
    "verify",
    "with_class",
]
