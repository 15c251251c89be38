"""What a session must do, written as plainly as possible: one Python list per voxel, no journal, no boxes.

Written from the documentation, not from the code: it shares nothing with it but the
frozen values. `test_session_machine.py` holds the session against it.
"""

from dataclasses import dataclass

import numpy as np

from napari_medfm.prompts import MaskPrompt, PromptSet
from napari_medfm.session import CommitPolicy, Extent
from napari_medfm.session.request import prompts_digest

MISSING = object()


@dataclass
class Event:
    """What one event changed: voxel -> (before, after), property -> (before, after)."""

    voxels: dict
    facts: dict


class PlainModel:
    """Voxels as stacks of ids, facts as one flat dictionary."""

    def __init__(self, shape, parents, image):
        self.shape = shape
        self.parents = parents
        self.voxels = {tuple(v): ((), 0) for v in np.ndindex(*shape)}
        self.facts = {"active": None, "policy": CommitPolicy.KEEP, "image": image, "next": 1}
        self.done, self.undone = [], []

    # facts

    @property
    def ids(self):
        return sorted(key[1] for key in self.facts if key[0] == "object")

    def get(self, number, name):
        return self.facts[name, number]

    def locked(self, number):
        return self.facts["locked", number]

    def above(self, class_name):
        found = []
        while class_name is not None and self.parents[class_name] is not None:
            class_name = self.parents[class_name]
            found.append(class_name)
        return found

    def lies_in(self, child, parent):
        return self.get(parent, "class") is not None and self.get(parent, "class") in self.above(
            self.get(child, "class")
        )

    def prompts_on(self, number, plane):
        return [prompt for prompt in self.get(number, "prompts") if prompt.plane == plane]

    # voxels

    def stack(self, voxel):
        return list(self.voxels[voxel][0])

    def hand(self, voxel):
        return self.voxels[voxel][1]

    def shows(self, number, voxel):
        stack = self.stack(voxel)
        return number in stack and (stack[0] == number or self.lies_in(stack[0], number))

    def mask(self, number):
        return {voxel for voxel in self.voxels if self.shows(number, voxel)}

    def array(self, read):
        out = np.zeros(self.shape, np.int64)
        for voxel in self.voxels:
            out[voxel] = read(voxel)
        return out

    def level(self, depth):
        return self.array(lambda v: self.stack(v)[depth] if len(self.stack(v)) > depth else 0)

    def free(self, number, voxel, by_model):
        stack = self.stack(voxel)
        first = next((e for e in stack if e != number and not self.lies_in(e, number)), None)
        if first is None:
            return True
        if self.lies_in(number, first):
            return not self.locked(first)
        if self.facts["policy"] is CommitPolicy.KEEP or self.locked(first):
            return False
        if any(self.locked(e) and not self.related(number, e) for e in stack):
            return False
        return not (by_model and self.hand(voxel) == first)

    def related(self, one, other):
        return one == other or self.lies_in(one, other) or self.lies_in(other, one)

    def put(self, voxel, stack=None, hand=None):
        old_stack, old_hand = self.voxels[voxel]
        self.voxels[voxel] = (old_stack if stack is None else tuple(stack), old_hand if hand is None else hand)

    def give(self, number, voxel):
        stack = self.stack(voxel)
        if number not in stack:
            return
        on_top = stack[0] == number
        stack.remove(number)
        if on_top:
            stack = [e for e in stack if not self.locked(e) or self.lies_in(number, e) or self.lies_in(e, number)]
        self.put(voxel, stack)

    def take(self, number, voxel):
        stack = [e for e in self.stack(voxel) if e != number]
        depth = 0
        while depth < len(stack) and self.lies_in(stack[depth], number):
            depth += 1
        stack.insert(depth, number)
        self.put(voxel, stack)

    def predict(self, number, voxels, mask):
        for voxel in voxels:
            want = (voxel in mask and self.hand(voxel) != -number) or self.hand(voxel) == number
            if not want:
                self.give(number, voxel)
            elif not self.shows(number, voxel) and self.free(number, voxel, by_model=True):
                self.take(number, voxel)

    def paint(self, number, voxels):
        for voxel in voxels:
            if not self.shows(number, voxel):
                if not self.free(number, voxel, by_model=False):
                    continue
                self.take(number, voxel)
            self.put(voxel, hand=number)

    def erase(self, number, voxels):
        for voxel in voxels:
            held = number in self.stack(voxel)
            self.give(number, voxel)
            mark = self.hand(voxel)
            if mark in (0, number, -number) or (held and mark < 0):
                self.put(voxel, hand=-number)

    def clear(self, number):
        for voxel in self.voxels:
            self.give(number, voxel)
            if abs(self.hand(voxel)) == number:
                self.put(voxel, hand=0)

    # events and history

    def event(self, act):
        """Perform an act on a copy of everything and return what differs."""
        voxels, facts = dict(self.voxels), dict(self.facts)
        act()
        return Event(
            {v: (voxels[v], self.voxels[v]) for v in voxels if voxels[v] != self.voxels[v]},
            {
                key: (facts.get(key, MISSING), self.facts.get(key, MISSING))
                for key in {*facts, *self.facts}
                if facts.get(key, MISSING) != self.facts.get(key, MISSING)
            },
        )

    def step(self, act):
        """Perform an act as one undo step, unless it changes nothing."""
        event = self.event(act)
        if event.voxels or event.facts:
            self.done.append([event])
            self.undone.clear()

    def join(self, act, place, redoable):
        """Perform an act that belongs to the step at `place`, or is one of its own (None)."""
        event = self.event(act)
        if not (event.voxels or event.facts):
            return
        if place is None:
            self.done.append([event])
        else:
            self.done[place].append(event)
        if not redoable:
            self.undone.clear()

    def undo(self):
        step = self.done.pop()
        self.undone.append(step)
        for event in reversed(step):
            self._set(event, 0)

    def redo(self):
        step = self.undone.pop()
        self.done.append(step)
        for event in step:
            self._set(event, 1)

    def _set(self, event, side):
        for voxel, values in event.voxels.items():
            self.voxels[voxel] = values[side]
        for key, values in event.facts.items():
            self.facts[key] = values[side]
            if values[side] is MISSING:
                del self.facts[key]
        if self.facts["active"] not in self.ids:
            self.facts["active"] = None

    # acts

    def make(self, class_name, name=None):
        number = self.facts["next"]
        self.facts |= {
            ("object", number): True,
            ("name", number): name or f"{class_name or 'Object'} {number}",
            ("class", number): class_name,
            ("locked", number): False,
            ("visible", number): True,
            ("accepted", number): False,
            ("prompts", number): (),
            "active": number,
            "next": number + 1,
        }
        return number

    def classify(self, number, class_name):
        if self.get(number, "name") == f"{self.get(number, 'class') or 'Object'} {number}":
            self.facts["name", number] = f"{class_name or 'Object'} {number}"
        self.facts["class", number] = class_name

    def drop(self, number):
        self.clear(number)
        for key in list(self.facts):
            if isinstance(key, tuple) and key[0] != "extent" and key[1] == number:
                del self.facts[key]
        if self.facts["active"] == number:
            self.facts["active"] = None

    def plane_voxels(self, plane):
        return [voxel for voxel in self.voxels if voxel[plane.axis] == plane.index]

    def to_plane(self, plane, voxels):
        mask = np.zeros(plane.shape(self.shape), bool)
        for voxel in voxels:
            if voxel[plane.axis] == plane.index:
                mask[plane.from_voxel(voxel)] = True
        return mask

    def from_plane(self, plane, mask):
        return {voxel for voxel in self.plane_voxels(plane) if mask[plane.from_voxel(voxel)]}

    def settle(self, number, planes):
        """Answer planes that hold nothing but masks, and note which prompts are answered."""
        for plane in planes:
            prompts = self.prompts_on(number, plane)
            if all(isinstance(prompt, MaskPrompt) for prompt in prompts):
                drawn = set()
                for prompt in prompts:
                    drawn |= self.from_plane(plane, prompt.to_mask(plane.shape(self.shape)))
                self.predict(number, self.plane_voxels(plane), drawn)
                self.note_answer(number, plane)

    def note_answer(self, number, plane):
        prompts = tuple(self.prompts_on(number, plane))
        self.facts["answer", number, plane] = prompts
        if not prompts:
            del self.facts["answer", number, plane]

    def add_prompt(self, prompt):
        number = self.facts["active"]
        if number is None:
            last = self.get(self.ids[-1], "class") if self.ids else None
            number = self.make(last or next(iter(self.parents)))
        present = self.to_plane(prompt.plane, self.mask(number))
        before = ()
        if not self.prompts_on(number, prompt.plane) and present.any():
            before = (MaskPrompt.from_mask(prompt.plane, present),)
        self.facts["prompts", number] = (*self.get(number, "prompts"), *before, prompt)
        self.settle(number, [prompt.plane])

    def remove_prompt(self, index):
        number = self.facts["active"]
        prompts = list(self.get(number, "prompts"))
        plane = prompts.pop(index).plane
        self.facts["prompts", number] = tuple(prompts)
        self.settle(number, [plane])

    def move_prompt(self, index, prompt):
        number = self.facts["active"]
        prompts = list(self.get(number, "prompts"))
        former, prompts[index] = prompts[index].plane, prompt
        self.facts["prompts", number] = tuple(prompts)
        self.settle(number, dict.fromkeys([prompt.plane, former]))

    def answer(self, number, plane, mask):
        self.predict(number, self.plane_voxels(plane), self.from_plane(plane, mask))
        self.note_answer(number, plane)

    def reset(self, number):
        self.clear(number)
        for key in [key for key in self.facts if key[0] == "answer" and key[1] == number]:
            del self.facts[key]
        self.facts["prompts", number] = ()
        self.facts["accepted", number] = False

    def accept(self, number):
        self.facts["accepted", number] = True
        if self.facts["active"] == number:
            self.facts["active"] = None

    def lay(self, values):
        numbers = [int(n) for n in np.unique(values) if n]
        before = self.ids
        for number in numbers:
            active, following = self.facts["active"], self.facts["next"]
            self.facts["next"] = number
            self.make(None, f"Object {number}")
            self.facts |= {"active": active, "next": max(following, number + 1), ("accepted", number): True}
        for voxel in self.voxels:
            stack = self.stack(voxel)
            takes = not stack or (
                self.facts["policy"] is CommitPolicy.REPLACE
                and not any(self.locked(e) for e in stack if e in before)
                and self.hand(voxel) <= 0
            )
            if values[voxel] and takes:
                self.put(voxel, [int(values[voxel]), *stack])

    def mark(self, class_name, plane, extent):
        self.facts["extent", class_name, plane] = extent
        if extent is Extent.UNSEEN:
            del self.facts["extent", class_name, plane]

    def is_current(self, request):
        number = request.object_id
        return (
            ("object", number) in self.facts
            and not self.locked(number)
            and tuple(self.prompts_on(number, request.plane)) == request.prompts.prompts
            and self.facts["image"] == request.image
        )


def expected_facts(model):
    """Return the plain model's facts, with answers as the digests that a session keeps."""
    return {
        key: prompts_digest(PromptSet(value)) if key[0] == "answer" else value
        for key, value in model.facts.items()
        if key[0] != "object"
    }


def facts_of(state):
    """Return a session's state in the words of the plain model."""
    facts = {"active": state.active, "policy": state.policy, "image": state.image, "next": state.next_id}
    for number, thing in state.objects.items():
        facts |= {
            ("name", number): thing.name,
            ("class", number): thing.class_name,
            ("locked", number): thing.locked,
            ("visible", number): thing.visible,
            ("accepted", number): thing.accepted,
            ("prompts", number): thing.prompts.prompts,
        }
    facts |= {("extent", *key): extent for key, extent in state.extent.items()}
    return facts | {("answer", *key): digest for key, digest in state.answers.items()}
