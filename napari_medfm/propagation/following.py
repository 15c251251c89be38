"""Slice by slice, then across: all that is done to follow an object from its key slices."""

from collections.abc import Iterator, Sequence
from itertools import chain

from napari_medfm.inference import Predictor
from napari_medfm.inference.proposals import Proposal
from napari_medfm.propagation.cleaning import keep_connected
from napari_medfm.propagation.crossing import agree, cross
from napari_medfm.propagation.ending import taper
from napari_medfm.propagation.keys import KeySlice, Stop
from napari_medfm.propagation.propagating import Course, propagate
from napari_medfm.propagation.scene import Scene

LIGHT = 512
"""Pixels a side: a model that sees more takes too long to be asked in the planes across, too."""


def follow(
    predictor: Predictor, scene: Scene, keys: Sequence[KeySlice], indices: range
) -> Iterator[Proposal | Stop | tuple[Proposal, ...] | None]:
    """Propose an object's mask on slices between and around key slices.

    Parameters
    ----------
    predictor : Predictor
        Its answers. A light one is asked in the planes across, too.
    scene : Scene
        The image, and what is locked in it.
    keys : sequence of KeySlice
        Across one axis.
    indices : range
        The slices that may be proposed for.

    Yields
    ------
    Proposal, Stop, tuple of Proposal, or None
        As `propagate`; at last, once, what replaces proposals of the same planes, or is added. An empty one takes back.

    Raises
    ------
    PromptError
        The keys do not fit together or the volume.
    """
    found: list[Proposal] = []
    if not indices:
        return
    for each in propagate(predictor, scene, tuple(keys), Course(indices[0], indices[-1])):
        found += [each] if isinstance(each, Proposal) else []
        yield each
    if not any(key.mask.any() for key in keys):
        return
    geometry = scene.volume.geometry
    if 0 < predictor.spec.input_size <= LIGHT:
        crossing = yield from cross(predictor, scene, keys, indices)
        changed = agree(found, crossing, keys, scene)
    else:
        changed = keep_connected(found, keys, geometry)
    yield _latest(changed, taper(_latest(found, changed), keys, geometry))


def _latest(*proposals: Sequence[Proposal]) -> tuple[Proposal, ...]:
    """Of each plane the last one."""
    return tuple({each.plane: each for each in chain(*proposals)}.values())


def gathered(steps: Iterator[Proposal | Stop | tuple[Proposal, ...] | None]) -> list[Proposal]:
    """Run `follow` to its end and return what is proposed then, in order; empty ones left out."""
    found: dict[int, Proposal] = {}
    for step in steps:
        if isinstance(step, Proposal | tuple):
            found |= {each.plane.index: each for each in (step if isinstance(step, tuple) else (step,))}
    return [found[index] for index in sorted(found) if not found[index].is_empty]
