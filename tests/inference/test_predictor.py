import hashlib
import itertools
import json

import numpy as np
import pytest

from napari_medfm import load_model
from napari_medfm.errors import ModelError, PromptError
from napari_medfm.inference import DiskStore, EmbeddingKey, MemoryStore, Predictor, TieredStore
from napari_medfm.prompts import Box, Point, PromptSet, Scribble
from napari_medfm.volume import Plane, Window

from .conftest import BlockMeans


def test_without_a_key_every_image_is_encoded(model, image):
    predictor = Predictor(model, MemoryStore(10**6))
    predictor.embed(image)
    predictor.embed(image)
    assert model.encoded == 2


def test_with_a_key_an_image_is_encoded_once(model, image, key):
    predictor = Predictor(model, MemoryStore(10**6))
    assert not predictor.cached(key)
    first = predictor.embed(image, key)
    assert predictor.cached(key)
    assert predictor.embed(image, key) is first
    assert model.encoded == 1


def test_an_image_is_not_even_made_if_its_embedding_is_stored(model, image, key):
    predictor, made = Predictor(model, MemoryStore(10**6)), []

    def make():
        made.append(True)
        return image

    predictor.embed(make, key)
    predictor.embed(make, key)
    assert made == [True]


def test_without_a_store_nothing_is_kept(predictor, model, image, key):
    predictor.embed(image, key)
    assert predictor.lookup(key) is None
    assert not predictor.cached(key)
    predictor.embed(image, key)
    assert model.encoded == 2


def test_another_program_run_finds_the_embedding_on_disk(tmp_path, image, key):
    first, second = (Predictor(BlockMeans(), DiskStore(tmp_path, 10**6, reserve_bytes=0)) for _ in range(2))
    embedding = first.embed(image, key)
    found = second.embed(image, key)
    assert second.model.encoded == 0
    assert found.arrays["means"].tobytes() == embedding.arrays["means"].tobytes()
    answers = [part.predict(found, points=[(15, 20)]) for part in (first, second)]
    assert np.array_equal(answers[0].mask, answers[1].mask)


def test_what_is_not_worth_storing_never_reaches_the_disk(tmp_path, image, key):
    disk, memory = DiskStore(tmp_path, 10**6, reserve_bytes=0), MemoryStore(10**6)
    predictor = Predictor(BlockMeans(cacheable=False), TieredStore([memory, disk]))
    predictor.embed(image, key)
    assert memory.contains(key)
    assert not disk.contains(key)
    alone = Predictor(BlockMeans(cacheable=False), disk)
    alone.embed(image, key)
    assert not disk.contains(key)


def test_a_key_names_plane_window_and_encoder(predictor, model):
    key = predictor.key("f" * 64, Plane(1, 7), Window("lung", -1350.0, 150.0))
    spec = model.spec
    assert key == EmbeddingKey("f" * 64, 1, 7, "-1350.0:150.0", spec.encoder_digest, spec.precision)


def test_the_shape_of_pixels_is_part_of_the_key_unless_they_are_square(predictor):
    plane, window = Plane(1, 7), Window("lung", -1350.0, 150.0)
    plain = predictor.key("f", plane, window)
    assert predictor.key("f", plane, window, 1.0).digest == plain.digest
    assert predictor.key("f", plane, window, 5.0).digest != plain.digest
    values = {name: getattr(plain, name) for name in plain.__slots__ if name not in ("aspect", "region")}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    assert plain.digest == hashlib.sha256(text.encode()).hexdigest()  # what was stored before stays valid


def test_indices_of_numpy_make_the_same_key(predictor):
    plane, window = Plane(np.int64(1), np.int32(7)), Window("lung", -1350.0, 150.0)
    assert predictor.key("f", plane, window).digest == predictor.key("f", Plane(1, 7), window).digest


def test_the_key_of_another_encoder_is_refused(image, key):
    other = Predictor(BlockMeans(encoder_digest="0" * 64), MemoryStore(10**6))
    with pytest.raises(ModelError, match="another encoder"):
        other.embed(image, key)


def test_points_labels_and_box_become_prompts(predictor, model, image):
    embedding = predictor.embed(image)
    predictor.predict(embedding, points=[(15, 20.5), (3, 3)], labels=[1, 0], box=(8, 12, 24, 36))
    plane = Plane(0, 0)
    assert set(model.asked) == {
        Point(plane, (15.0, 20.5), positive=True),
        Point(plane, (3.0, 3.0), positive=False),
        Box(plane, (8.0, 12.0), (24.0, 36.0)),
    }


def test_points_without_labels_lie_on_the_object(predictor, model, image):
    predictor.predict(predictor.embed(image), points=np.array([[15, 20], [16, 21]]))
    assert [point.positive for point in model.asked] == [True, True]


def test_the_mask_is_where_the_clicks_say(predictor, image):
    embedding = predictor.embed(image)
    answer = predictor.predict(embedding, points=[(15, 20), (3, 3)], labels=[True, False])
    assert np.array_equal(answer.mask, image > 100)
    assert answer.mask.dtype == bool
    assert answer.logits.ndim == 2
    assert 0 <= answer.quality <= 1


def test_the_previous_answer_is_refined(predictor, image):
    embedding = predictor.embed(image)
    first = predictor.predict(embedding, points=[(15, 20)])
    second = predictor.predict(embedding, points=[(15, 20)], previous=first)
    assert np.allclose(second.logits, first.logits)
    third = predictor.predict(embedding, points=[(3, 3)], previous=first)
    assert not np.allclose(third.logits, predictor.predict(embedding, points=[(3, 3)]).logits)


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ({}, "there is none"),
        ({"labels": [1]}, "without points"),
        ({"points": (15, 20)}, "shape"),
        ({"points": [(15, 20, 1)]}, "shape"),
        ({"points": [("a", "b")]}, "number"),
        ({"points": [(15,), (1, 2)]}, "number"),
        ({"points": [(np.nan, 2)]}, "finite"),
        ({"points": [(15, 20)], "labels": [1, 0]}, "do not fit 1 points"),
        ({"points": [(15, 20)], "labels": [2]}, "do not fit"),
        ({"points": [(15, 20)], "labels": 1}, "do not fit"),
        ({"box": (1, 2, 3)}, "shape"),
        ({"box": (8, 12, 8, 36)}, "empty"),
        ({"box": (8, 36, 24, 12)}, "empty"),
        ({"box": (8, np.inf, 24, 12)}, "finite"),
        ({"points": [(-3, 20)]}, "outside"),
        ({"points": [(15, 50)]}, "outside"),
        ({"box": (50, 60, 70, 80)}, "outside"),
    ],
)
def test_prompts_that_cannot_be_answered_are_refused(image, prompts, message):
    predictor = Predictor(load_model("random_walker"))
    embedding = predictor.embed(image)
    with pytest.raises(PromptError, match=message):
        predictor.predict(embedding, **prompts)


def test_what_the_model_does_not_take_is_said_in_points(predictor, model, image):
    plane = Plane(0, 4)
    scribble = Scribble(plane, ((10.0, 14.0), (10.0, 34.0)))
    click = Point(plane, (3.0, 3.0), positive=False)
    answer = predictor.decode(predictor.embed(image), PromptSet((scribble, click)))
    assert {prompt.kind for prompt in model.asked} == {"point"}
    assert click in model.asked
    assert np.array_equal(answer.mask, image > 100)


def test_what_the_model_takes_is_left_as_it_is(image):
    model = BlockMeans(prompt_kinds=("point", "box", "scribble"))
    scribble = Scribble(Plane(0, 0), ((10.0, 14.0), (10.0, 34.0)))
    Predictor(model).decode(Predictor(model).embed(image), PromptSet((scribble,)))
    assert model.asked == PromptSet((scribble,))


def test_an_embedding_of_the_real_architecture_answers_the_same_from_disk(tmp_path, image):
    """A small Segment Anything with random weights: float16 embeddings, stored and read back."""
    sam = pytest.importorskip("napari_medfm.models.backends.sam")
    numbers = itertools.count()

    def new_predictor():
        next(numbers)
        return Predictor(sam.SamModel(sam.build_small_sam(seed=3)), DiskStore(tmp_path, 10**8, reserve_bytes=0))

    first, second = new_predictor(), new_predictor()
    key = first.key("f" * 64, Plane(0, 0), Window("full", 0.0, 255.0))
    made, found = first.embed(image, key), second.lookup(second.key("f" * 64, Plane(0, 0), Window("x", 0.0, 255.0)))
    assert found is not None
    assert found is not made
    points, labels = [(15, 20), (3, 3)], [1, 0]
    answers = [first.predict(made, points, labels), second.predict(found, points, labels)]
    assert np.array_equal(answers[0].low_res, answers[1].low_res)
    assert np.array_equal(answers[0].masks, answers[1].masks)
