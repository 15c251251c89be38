from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medfm.inference import EmbeddingKey

keys = st.builds(
    EmbeddingKey,
    fingerprint=st.text(),
    axis=st.integers(0, 2),
    index=st.integers(0, 10**6),
    window=st.text(),
    encoder_digest=st.text(),
    precision=st.text(),
)


@given(keys, keys)
def test_two_keys_share_a_digest_exactly_if_they_are_equal(first, second):
    assert (first.digest == second.digest) == (first == second)


@given(keys, st.data())
def test_every_field_changes_the_digest(key, data):
    field = data.draw(st.sampled_from(fields(EmbeddingKey)))
    value = getattr(key, field.name)
    other = data.draw((st.text() if isinstance(value, str) else st.integers()).filter(lambda new: new != value))
    assert replace(key, **{field.name: other}).digest != key.digest


@given(keys)
def test_nothing_but_the_fields_changes_the_digest(key):
    again = EmbeddingKey(**{field.name: getattr(key, field.name) for field in fields(key)})
    assert again.digest == key.digest
    assert again is not key


def test_text_does_not_flow_from_one_field_into_the_next():
    assert EmbeddingKey("ab", 1, 2, "c", "d", "e").digest != EmbeddingKey("a", 1, 2, "bc", "d", "e").digest
    assert EmbeddingKey("a", 1, 23, "c", "d", "e").digest != EmbeddingKey("a", 12, 3, "c", "d", "e").digest


def test_the_digest_stays_what_it_was_in_earlier_releases():
    """Otherwise every cache on every disk would be useless after an update."""
    key = EmbeddingKey("f" * 64, 0, 17, "-160.0:240.0", "e" * 64, "float16")
    assert key.digest == "0ff633c9b821876cc4d05468722d5196e9aaea2e264ff545f13801d9c98d41dc"


def test_the_digest_is_a_sha256_in_hexadecimal_and_the_key_cannot_change():
    key = EmbeddingKey("f", 0, 1, "w", "e", "float16")
    assert len(key.digest) == 64
    assert int(key.digest, 16) >= 0
    with pytest.raises(FrozenInstanceError):
        key.index = 2
