import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from suites.store import assert_equal, embedding

from napari_medfm.inference.edition import Edition, pack, unpack
from napari_medfm.models import ImageEmbedding

NAME = "0" * 64
dtypes = st.sampled_from(["f2", "f4", "f8", "i2", "u1", "i8", "?"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
embeddings = st.builds(
    ImageEmbedding,
    st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda name: name != "__metadata__"), arrays, max_size=3),
    st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    st.text(),
)


@given(embeddings)
def test_unpacking_gives_back_what_was_packed(whole):
    assert_equal(unpack(NAME, pack(NAME, whole)), whole)


def test_the_shape_of_pixels_is_kept():
    tall = ImageEmbedding({"a": np.ones(3, np.float32)}, (7, 9), "d", aspect=2.5)
    assert unpack("name", pack("name", tall)).aspect == 2.5


def test_an_embedding_under_another_name_is_refused():
    with pytest.raises(ValueError, match="another key"):
        unpack("1" * 64, pack(NAME, embedding(1)))


@given(st.binary(max_size=200))
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError, match="not an embedding"):
        unpack(NAME, content)


@given(st.data())
def test_a_changed_header_is_refused_or_harmless(data):
    content = bytearray(pack(NAME, embedding(1, 8)))
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    try:
        found = unpack(NAME, bytes(content))
    except ValueError:
        return
    assert isinstance(found, ImageEmbedding)


def test_the_bytes_are_counted_as_entries_come_and_go(tmp_path):
    edition = Edition(tmp_path / "v1-0")
    sizes = {}
    for number in range(3):
        name = f"{number:064x}"
        edition.write(name, embedding(number, 1000 * (number + 1)), budget=10**6, reserve=0)
        sizes[name] = (tmp_path / "v1-0" / f"{name}.safetensors").stat().st_size
    edition.write(f"{0:064x}", embedding(0, 5000), budget=10**6, reserve=0)
    sizes[f"{0:064x}"] = (tmp_path / "v1-0" / f"{0:064x}.safetensors").stat().st_size
    assert edition.totals() == (3, sum(sizes.values()))
    edition.remove(f"{1:064x}")
    del sizes[f"{1:064x}"]
    assert edition.totals() == (2, sum(sizes.values()))
    assert sorted(edition.names()) == sorted(sizes)
    edition.close()


def test_miscounted_bytes_are_counted_again_when_tidying(tmp_path):
    edition = Edition(tmp_path / "v1-0")
    edition.write(NAME, embedding(1), budget=10**6, reserve=0)
    right = edition.totals()
    edition._index.execute("UPDATE totals SET entries = 77, bytes = -5")
    edition.tidy()
    assert edition.totals() == right
    edition.close()


def test_an_entry_that_another_process_is_just_replacing_is_not_lost(tmp_path, monkeypatch):
    """Between looking up the row and reading the file, both may change."""
    reader, writer = Edition(tmp_path / "v1-0"), Edition(tmp_path / "v1-0")
    writer.write(NAME, embedding(1), budget=10**6, reserve=0)
    look_up = reader._row

    def replaced_meanwhile(name):
        row = look_up(name)
        monkeypatch.setattr(reader, "_row", look_up)
        writer.write(NAME, embedding(2), budget=10**6, reserve=0)
        return row

    monkeypatch.setattr(reader, "_row", replaced_meanwhile)
    assert_equal(reader.read(NAME), embedding(2))
    assert np.array_equal(writer.read(NAME).arrays["features"], embedding(2).arrays["features"], equal_nan=True)
    for edition in (reader, writer):
        edition.close()
