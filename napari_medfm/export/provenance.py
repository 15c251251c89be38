"""How a case was made, out of its journal: who, when, with which prompts, models, adapters and strokes."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from napari_medfm import __version__
from napari_medfm.prompts import to_json
from napari_medfm.session import Deed, SegmentedObject, SessionRecord

_STROKES = {"paint": "painted", "erase": "erased"}


def provenance_of(record: SessionRecord) -> dict[str, Any]:
    """Return what is known of how the annotations of an image were made, as JSON values.

    Names of files, images and objects are not in it: people put names of patients into these.
    """
    deeds = record.deeds
    return {
        "image_sha256": record.fingerprint,
        "journal_sha256": record.head,
        "software": f"napari-medfm {__version__}",
        "annotators": _annotators(deeds),
        "first": deeds[0].time if deeds else "",
        "last": deeds[-1].time if deeds else "",
        "models": _models(deeds),
        "adapters": sorted({adapter for deed in deeds for adapter in deed.facts.get("adapters", ())}),
        "imported_labels": any(deed.kind == "import" for deed in deeds),
        "objects": [_object(thing, _about(deeds, thing.id)) for thing in record.state.objects.values()],
    }


def _object(thing: SegmentedObject, deeds: tuple[Deed, ...]) -> dict[str, Any]:
    strokes = Counter(deed.kind for deed in deeds)
    return {
        "id": thing.id,
        "class": thing.class_name,
        "accepted": thing.accepted,
        "prompts": to_json(thing.prompts),
        "answers": sum(deed.kind == "mask" for deed in deeds),
        "strokes": {word: strokes[kind] for kind, word in _STROKES.items()},
        "models": _models(deeds),
        "adapters": sorted({adapter for deed in deeds for adapter in deed.facts.get("adapters", ())}),
        "annotators": _annotators(deeds),
        "first": deeds[0].time if deeds else "",
        "last": deeds[-1].time if deeds else "",
    }


def _about(deeds: Iterable[Deed], number: int) -> tuple[Deed, ...]:
    return tuple(deed for deed in deeds if number in (deed.facts.get("object"), *deed.facts.get("subject", ())[:1]))


def _models(deeds: Iterable[Deed]) -> list[Mapping[str, str]]:
    known = {(deed.facts["model"], deed.facts["model_digest"]) for deed in deeds if "model" in deed.facts}
    return [{"name": name, "sha256": digest} for name, digest in sorted(known)]


def _annotators(deeds: Iterable[Deed]) -> list[str]:
    return sorted({deed.annotator for deed in deeds if deed.annotator})
