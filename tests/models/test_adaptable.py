"""The seam between a model and what adapts it: squares, looks, and decoders that answer as their models do."""

import numpy as np
import pytest
import torch
from suites.backend import PLANE, disc_image

from napari_medfm.models.adaptable import Adaptable, GridPrompts, Square
from napari_medfm.models.backends.compact import load
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.models.backends.sam2 import Sam2, build_small_sam2
from napari_medfm.models.catalogue import SAM2_FAMILY, SAM_FAMILY
from napari_medfm.models.sam2_layout import CHANNELS
from napari_medfm.models.sam2_training import part
from napari_medfm.prompts import Box, Point, PromptSet
from napari_medfm.simulation import dice

IMAGE, _ = disc_image()
SHAPE = IMAGE.shape[:2]


def square_over(shape):
    return Square((0.0, 0.0), (float(max(shape)), float(max(shape))), shape)


ONE_OF_EACH = {entry.facts.recipe: name for name, entry in {**SAM_FAMILY, **SAM2_FAMILY}.items()}


@pytest.fixture(scope="module", params=["compact", *ONE_OF_EACH.values()])
def model(request):
    if request.param == "compact":
        return load(device="cpu")
    if request.param in SAM2_FAMILY:
        return Sam2(build_small_sam2(), SAM2_FAMILY[request.param], device="cpu", reduced=False)
    return SamModel(build_small_sam(), SAM_FAMILY[request.param], device="cpu", reduced=False)


def test_what_is_gathered_is_spread_back():
    rows, columns = np.mgrid[:40, :64].astype(np.float32)
    values = rows + 2 * columns
    square = square_over(values.shape)
    again = square.spread(square.gather(values, 64), outside=-1.0)
    np.testing.assert_allclose(again[2:-2, 2:-2], values[2:-2, 2:-2], atol=0.1)


def test_shares_beyond_the_image_are_nothing():
    shares = square_over((30, 60)).shares(np.ones((30, 60), bool), 20)
    assert shares[:10].min() == 1
    assert shares[10:].max() == 0


def test_a_part_of_the_image_is_spread_where_it_lies():
    square = Square((10.0, 20.0), (16.0, 16.0), (40, 60))
    mask = np.zeros((40, 60), bool)
    mask[12:20, 24:30] = True
    shares = square.shares(mask, 16)
    assert np.array_equal(square.spread(shares) > 0.5, mask)


def test_the_model_is_adaptable(model):
    assert isinstance(model, Adaptable)


def test_the_look_holds_the_features_of_the_embedding(model):
    embedding = model.encode(IMAGE)
    look = model.look(embedding)
    several = model.spec.name in SAM2_FAMILY
    levels = zip(CHANNELS, part(look.features[None]), strict=True) if several else [("features", look.features[None])]
    for name, level in levels:
        np.testing.assert_array_equal(level[0].numpy(), embedding.arrays[name].astype(np.float32))
    assert look.square.image_shape == SHAPE


def box_and_click(decoder, square, family):
    """Return the same prompts in pixels of the image and on the decoder's grid."""
    pixels = np.array(square.extent) / decoder.cells  # of the image in a cell
    box, place = np.array([[17.0, 23.0], [44.0, 50.0]]), np.array([28.0, 35.0])
    # Segment Anything adds its half of a pixel after scaling, not before.
    half = 0.5 / (decoder.side / decoder.cells) if family else 0.5 / pixels
    on_grid = GridPrompts(
        torch.tensor(place / pixels + half - 0.5, dtype=torch.float32)[None, None],
        torch.tensor([[1]]),
        torch.tensor((box / pixels).reshape(1, 4), dtype=torch.float32),
    )
    return PromptSet((Box(PLANE, tuple(box[0]), tuple(box[1])), Point(PLANE, tuple(place)))), on_grid


def test_the_trainable_decoder_answers_as_the_model_does(model):
    family = model.spec.name != "compact"
    decoder, embedding = model.trainable_decoder(), model.encode(IMAGE)
    look = model.look(embedding)
    prompts, on_grid = box_and_click(decoder, look.square, family)
    answer = model.decode(embedding, prompts)
    with torch.no_grad():
        logits, quality = decoder.answer(look.features[None], on_grid, None)
    assert quality.shape == logits.shape[:2]
    if family:
        np.testing.assert_allclose(logits[0, 0].numpy(), answer.logits, atol=1e-3)
    else:  # which answers in half precision on some machines, and stores its logits on another grid
        assert dice(look.square.spread(logits[0, 0].numpy(), -9.0) > 0, answer.mask) > 0.97


def test_the_trainable_decoder_takes_what_is_to_be_corrected(model):
    decoder, look = model.trainable_decoder(), model.look(model.encode(IMAGE))
    _, prompts = box_and_click(decoder, look.square, model.spec.name != "compact")
    previous = torch.full((1, 1, decoder.cells, decoder.cells), -7.0)
    with torch.no_grad():
        first, _ = decoder.answer(look.features[None], prompts, previous)
        previous[..., : decoder.cells // 2] = 7.0
        second, _ = decoder.answer(look.features[None], prompts, previous)
    assert not torch.allclose(first, second, atol=1e-2)


def test_a_model_with_the_same_decoder_answers_alike(model):
    embedding = model.encode(IMAGE)
    click = PromptSet((Point(PLANE, (20.0, 24.0)),))
    same = model.with_decoder(dict(model.trainable_decoder().module.named_parameters()))
    np.testing.assert_array_equal(same.decode(embedding, click).low_res, model.decode(embedding, click).low_res)


def test_changing_a_decoder_leaves_the_model_as_it_was(model):
    embedding = model.encode(IMAGE)
    click = PromptSet((Point(PLANE, (20.0, 24.0)), Point(PLANE, (24.0, 28.0))))
    before = model.decode(embedding, click).low_res
    decoder = model.trainable_decoder()
    moved = {name: each.detach() + 0.5 for name, each in decoder.module.named_parameters() if each.requires_grad}
    other = model.with_decoder(moved)
    assert not np.allclose(other.decode(embedding, click).low_res, before, atol=1e-3)
    np.testing.assert_array_equal(model.decode(embedding, click).low_res, before)
    assert other.spec.encoder_digest == model.spec.encoder_digest
