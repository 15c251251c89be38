"""Altered copies."""

from dataclasses import replace

import pytest

from napari_medfm.adaptation import Adaptation, Variation, make_ahead
from napari_medfm.adaptation.variation import vary
from napari_medfm.inference import MemoryStore

from .discs import QUICK, support_on

VARIATION = Variation(copies=4)


@pytest.fixture
def store():
    return MemoryStore(2**28)


@pytest.mark.parametrize("mirrored", [False, True])
def test_labels_move_with_the_picture(compact, support, mirrored):
    for number in range(4):
        copy = vary(compact, support.slices[0], number, replace(VARIATION, mirrored=mirrored))
        picture = compact.picture(copy.embedding)
        beside = ~copy.mask & ~copy.ignore
        assert picture[copy.mask].mean() > picture[beside].mean() + 40
        assert copy.digest != support.slices[0].digest


def test_what_comes_in_from_beyond_the_edge_is_not_known(compact, support):
    copies = [vary(compact, support.slices[0], number, VARIATION) for number in range(4)]
    beyond = [compact.picture(copy.embedding)[copy.ignore] for copy in copies if copy.ignore.any()]
    assert beyond
    assert all(part.mean() < 30 for part in beyond)


def test_a_copy_is_always_the_same_and_unlike_every_other(compact, support):
    first, second = support.slices[:2]
    asked = ((first, 1, 0), (first, 1, 0), (first, 2, 0), (second, 1, 0), (first, 1, 7))
    digests = [vary(compact, each, number, replace(VARIATION, seed=seed)).digest for each, number, seed in asked]
    assert digests[0] == digests[1]
    assert len(set(digests)) == len(asked) - 1


def test_there_is_no_copy_where_no_picture_is_kept(sam, store):
    original = support_on(sam, (1,)).slices[0]
    assert vary(sam, original, 0, VARIATION) is None
    assert list(make_ahead(sam, original.embedding, VARIATION, store)) == []


def test_copies_made_ahead_are_those_that_adapting_asks_for(compact, support, store, monkeypatch):
    recipe = replace(QUICK, head_steps=1, decoder_steps=0)
    for each in support.slices:
        assert len(list(make_ahead(compact, each.embedding, recipe.variation, store))) == recipe.copies
    assert list(make_ahead(compact, support.slices[0].embedding, recipe.variation, store)) == []
    plain = Adaptation(compact, support, recipe)
    list(plain.steps())
    monkeypatch.setattr(compact, "encode", None)  # nothing is encoded again
    prepared = Adaptation(compact, support, recipe, store=store)
    list(prepared.steps())
    assert prepared.adapter.digest == plain.adapter.digest


def test_copies_that_were_not_made_ahead_are_kept(compact, support, store):
    vary(compact, support.slices[0], 0, VARIATION, store)
    assert len(list(make_ahead(compact, support.slices[0].embedding, VARIATION, store))) == VARIATION.copies - 1
