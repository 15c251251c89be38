"""A small pack to train on."""

import pytest

from napari_medfm.pretraining import Bank
from napari_medfm.pretraining.pack import write_pack

from .drawings import draw_all


@pytest.fixture(scope="session")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "pack.npz"
    write_pack(path, draw_all())
    return path


@pytest.fixture(scope="session")
def bank(pack):
    return Bank.open(pack)
