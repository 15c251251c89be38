"""A licence is agreed to once; another licence, another model or a damaged file is asked about again."""

import json

import pytest

from napari_medfm.models import ModelFacts, available_models
from napari_medfm.models.agreements import Agreements, describe_licence, needs_agreement

FACTS = ModelFacts("X", licence="CC-BY-NC-4.0", commercial_use=False, weights="download")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "licences.json"


def test_what_was_agreed_to_holds_in_the_next_sitting(path):
    assert not Agreements(path).holds(FACTS)
    Agreements(path).agree(FACTS)
    assert Agreements(path).holds(FACTS)
    assert not Agreements(path).holds(ModelFacts("X", licence="MIT", weights="download"))
    assert not Agreements(path).holds(ModelFacts("Y", licence="CC-BY-NC-4.0", weights="file"))


def test_several_agreements_stand_beside_each_other(path):
    other = ModelFacts("Y", licence="MIT", weights="file")
    for facts in (FACTS, other, FACTS):
        Agreements(path).agree(facts)
    assert Agreements(path).holds(FACTS)
    assert Agreements(path).holds(other)
    assert len(json.loads(path.read_text())) == 2
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]", b"\xff\xfe"])
def test_a_damaged_file_means_asking_again_and_is_replaced(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    assert not Agreements(path).holds(FACTS)
    Agreements(path).agree(FACTS)
    assert Agreements(path).holds(FACTS)


def test_only_weights_from_elsewhere_are_asked_about():
    needed = {entry.name: needs_agreement(entry.facts) for entry in available_models()}
    assert not needed["compact"]
    assert not needed["random_walker"]
    assert needed["sam"]
    assert needed["scribbleprompt-sam"]


def test_the_text_tells_licence_and_a_ban_on_commercial_use():
    assert describe_licence(FACTS) == (
        "The weights of X are their authors', under: CC-BY-NC-4.0. No commercial use. For research, not for diagnosis."
    )
    assert "an unknown licence" in describe_licence(ModelFacts("Z", weights="file"))
