"""Images encoded together answer as those encoded alone, and memory that ends takes nothing away."""

import numpy as np
import pytest
import torch
from suites.backend import click, noise_image

from napari_medfm.inference import MemoryStore, Predictor, embed_planes
from napari_medfm.models import EncodesBatches, sam_layouts
from napari_medfm.models.backends.sam import SamModel, build_small_sam
from napari_medfm.models.steps import finish
from napari_medfm.models.tiny_vit import TinyVitShape
from napari_medfm.models.zoo import SAM_FAMILY
from napari_medfm.prompts import PromptSet
from napari_medfm.volume import Volume, Window, array_geometry

IMAGES = [noise_image((40, 50)), noise_image((50, 40)).T.copy(), np.full((40, 50), 90, np.uint8)]
TINY = TinyVitShape(True, widths=(16, 24, 32, 48), depths=(1, 1, 1, 1), heads=(1, 2, 2, 3), windows=(3, 3, 5, 4))


def vit():
    return SamModel(build_small_sam(seed=1, image_size=128), device="cpu", precision="float32", reduced=False)


def tiny():
    torch.manual_seed(0)
    sam = sam_layouts.assemble(TINY, 128)
    return SamModel(sam, SAM_FAMILY["mobile-sam"], device="cpu", precision="float32", reduced=False)


class Short:
    """Makes a part of a network run out of memory as long as it sees more than so many images, or so many times."""

    def __init__(self, part, images=99, times=0):
        self.images, self.times = images, times
        part.register_forward_pre_hook(self)

    def __call__(self, part, inputs):
        self.times -= 1
        if self.times >= 0 or (inputs and len(inputs[0]) > self.images):
            raise torch.OutOfMemoryError("out of memory")


@pytest.mark.parametrize("make", [vit, tiny])
def test_a_batch_is_each_of_its_images(make):
    model = make()
    assert isinstance(model, EncodesBatches)
    assert model.batch_size == 1  # on a CPU
    together = finish(model.encode_batch_steps(IMAGES))
    for image, found in zip(IMAGES, together, strict=True):
        alone = model.encode(image)
        assert np.allclose(found.arrays["features"], alone.arrays["features"], atol=1e-4)
        assert found.arrays["features"].flags.c_contiguous
        assert found.image_shape == alone.image_shape


def test_compiled_blocks_compute_the_same():
    model = vit()
    model._compile(backend="eager")  # traced as for a device, computed as ever
    found = finish(model.encode_batch_steps(IMAGES))
    for image, embedding in zip(IMAGES, found, strict=True):
        assert np.allclose(embedding.arrays["features"], vit().encode(image).arrays["features"], atol=1e-4)


def test_too_large_a_batch_is_halved_until_it_fits_and_stays_smaller():
    model = vit()
    model._batch_size = 3
    Short(model._sam.image_encoder.blocks[1], images=1)
    together = finish(model.encode_batch_steps(IMAGES))
    assert len(together) == 3
    assert model.batch_size == 1
    for image, found in zip(IMAGES, together, strict=True):
        assert np.allclose(found.arrays["features"], vit().encode(image).arrays["features"], atol=1e-4)


@pytest.mark.parametrize("times", [1, 2])
def test_a_single_image_is_tried_again_and_then_on_the_cpu(times):
    model = vit()
    Short(model._sam.image_encoder.blocks[0], times=times)
    assert np.array_equal(model.encode(IMAGES[0]).arrays["features"], vit().encode(IMAGES[0]).arrays["features"])
    assert model.device == "cpu"


def test_a_click_that_meets_no_memory_is_answered_all_the_same():
    model, prompts = vit(), PromptSet((click(20, 20),))
    embedding = model.encode(IMAGES[0])
    expected = model.decode(embedding, prompts)
    Short(model._sam.prompt_encoder, times=2)
    found = model.decode(embedding, prompts)
    assert np.array_equal(found.masks, expected.masks)


def test_a_volume_is_embedded_in_batches_and_stored_slice_by_slice():
    slices = np.stack([noise_image((40, 50)) + index for index in range(7)])
    volume = Volume(slices, array_geometry(slices.shape))
    planes = [*volume.geometry.planes(0), *volume.geometry.planes(1)[:2]]
    stored = []
    for size in (1, 3):
        model = vit()
        model._batch_size = size
        predictor = Predictor(model, MemoryStore(10**9))
        steps = list(embed_planes(predictor, volume, "f" * 64, Window("all", 0, 255), planes))
        progress = [step for step in steps if step is not None]
        assert [(step.done, step.total, step.plane) for step in progress] == [
            (number, 9, plane) for number, plane in enumerate(planes, start=1)
        ]
        keys = [predictor.key("f" * 64, plane, Window("all", 0, 255)) for plane in planes]
        stored.append([predictor.lookup(key).arrays["features"] for key in keys])
    for alone, together in zip(*stored, strict=True):
        assert np.allclose(alone, together, atol=1e-4)
