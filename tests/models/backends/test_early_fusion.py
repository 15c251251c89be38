"""A model whose image and prompts enter together goes through everything that the others go through."""

import numpy as np
import pytest
from suites.backend import BackendSuite, click, disc_image
from suites.early_fusion import SIDE, EarlyFusion

from napari_medfm.inference import DiskStore, MemoryStore, Predictor, TieredStore, embed_planes
from napari_medfm.prompts import Point, PromptSet
from napari_medfm.session import AnnotationSession, LiveSegmentation
from napari_medfm.volume import Plane, Window, fingerprint
from napari_medfm.workers import Lane


class TestConformance(BackendSuite):
    """The whole suite, but for what random weights cannot do."""

    segments = False

    @pytest.fixture
    def model(self):
        return EarlyFusion()


def test_every_answer_is_a_whole_pass_and_the_last_one_goes_into_the_next():
    model = EarlyFusion()
    embedding = model.encode(disc_image()[0])
    first = model.decode(embedding, PromptSet((click(30, 36),)))
    again = model.decode(embedding, PromptSet((click(30, 36),)))
    refined = model.decode(embedding, PromptSet((click(30, 36),)), first)
    assert model.passes == 3
    assert np.array_equal(first.low_res, again.low_res)
    assert not np.array_equal(first.low_res, refined.low_res)
    assert first.low_res.shape == (1, SIDE, SIDE)


def test_its_prepared_images_are_kept_in_memory_and_never_on_the_disk(small_volume, tmp_path):
    disk, memory = DiskStore(tmp_path / "cache", 10**9), MemoryStore(10**9)
    predictor = Predictor(EarlyFusion(), TieredStore([memory, disk]))
    planes = small_volume.geometry.planes()
    list(embed_planes(predictor, small_volume, fingerprint(small_volume), Window("all", 0, 255), planes))
    assert memory.info().entries == len(planes)
    assert disk.info().entries == 0
    assert memory.info().bytes == len(planes) * predictor.spec.embedding_bytes


def test_it_annotates_in_a_session(small_volume, tmp_path):
    digest = fingerprint(small_volume)
    model = EarlyFusion(seed=7)  # whose masks are neither empty nor full
    with Lane() as lane, AnnotationSession.create(small_volume, digest, folder=tmp_path) as session:
        live = LiveSegmentation(session, Predictor(model, MemoryStore(10**8)), lane, window=Window("all", 0, 255))
        number = session.add_object()
        plane = Plane(0, 6)
        for row, column, positive in ((24, 20, True), (28, 22, True), (4, 4, False)):
            live.add_prompt(Point(plane, (float(row), float(column)), positive))
            assert live.wait(20)
        live.close()
        asked = session.state.object(number).prompts
        assert len(asked) == model.passes == 3
        embedding = model.encode(Window("all", 0, 255).to_uint8(small_volume.plane(plane)))
        answer = None
        for count in (1, 2, 3):
            answer = model.decode(embedding, PromptSet(tuple(asked)[:count]), answer)
        assert answer.mask.any()
        assert np.array_equal(plane.take(session.labels) == number, answer.mask)
