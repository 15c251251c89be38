"""Adapters as files."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from napari_medfm.adaptation import AdaptedModel, AdapterLibrary, read_adapter, read_facts, write_adapter
from napari_medfm.errors import AdapterError

from .discs import disc


def test_an_adapter_comes_back_as_it_was(tmp_path, adapter, compact):
    path = write_adapter(adapter, tmp_path / "disc.safetensors")
    again = read_adapter(path)
    assert again.digest == adapter.digest
    assert again.facts.created
    assert again.facts.readout == adapter.facts.readout
    embedding = compact.encode(disc(30)[0])
    first, second = (AdaptedModel(compact, each).find(embedding).mask for each in (adapter, again))
    assert (first == second).all()


def test_facts_are_read_without_tensors(tmp_path, adapter):
    facts, digest = read_facts(write_adapter(adapter, tmp_path / "disc.safetensors"))
    assert facts.support == adapter.facts.support
    assert digest == adapter.digest


def test_older_versions_are_kept(tmp_path, adapter):
    library = AdapterLibrary(tmp_path / "adapters")
    assert library.list() == ()
    paths = [library.save(adapter) for _ in range(2)]
    assert [path.name for path in paths] == ["0001.safetensors", "0002.safetensors"]
    assert [each.version for each in library.list("disc")] == [2, 1]
    assert library.list("liver") == ()
    paths[1].unlink()
    assert library.save(adapter).name == "0002.safetensors"


def test_two_programs_that_save_at_once_get_a_version_each(tmp_path, adapter):
    library = AdapterLibrary(tmp_path)
    library.save(adapter)
    with ThreadPoolExecutor(1) as other, FileLock(tmp_path / "disc" / "versions.lock"):
        saved = other.submit(library.save, adapter)
        write_adapter(adapter, tmp_path / "disc" / "0002.safetensors")
        assert not saved.done()
    assert saved.result().name == "0003.safetensors"


def test_a_library_is_private(tmp_path, adapter):
    path = AdapterLibrary(tmp_path / "adapters").save(adapter)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_damaged_file_is_not_listed_and_the_others_are(tmp_path, adapter):
    library = AdapterLibrary(tmp_path)
    first = library.save(adapter)
    second = library.save(adapter)
    second.write_bytes(second.read_bytes()[:200])
    assert [each.path for each in library.list()] == [first]


def rewritten(path, change):
    """Write the file's content again after a change, with the same header."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    change(header, tensors)
    save_file(tensors, path, header)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header, tensors: tensors["head.mean"].add_(1), "holds other numbers"),
        (lambda header, tensors: tensors["head.mean"].fill_(torch.nan), "holds NaN"),
        (lambda header, tensors: header.clear(), "is no adapter"),
        (lambda header, tensors: header.update({"napari-medfm adapter": '{"format": 99}'}), "another version"),
        (lambda header, tensors: header.update({"napari-medfm adapter": '{"format": 1, "x": 2}'}), "is no adapter"),
        (lambda header, tensors: header.update({"napari-medfm adapter": "x"}), "another version"),
    ],
)
def test_what_is_no_adapter_is_refused(tmp_path, adapter, change, reason):
    path = rewritten(write_adapter(adapter, tmp_path / "disc.safetensors"), change)
    with pytest.raises(AdapterError, match=f"^disc.safetensors: .*{reason}"):
        read_adapter(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "disc.safetensors"
    path.write_bytes(b"\x80\x04not tensors at all")
    with pytest.raises(AdapterError, match="cannot be read as safetensors"):
        read_adapter(path)
