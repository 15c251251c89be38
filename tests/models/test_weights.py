"""Weights from files that nobody vouches for: read without running anything, refused with a reason."""

import hashlib
import io
import os
import pickle
import re
import struct
import warnings
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from napari_medfm.errors import WeightsError
from napari_medfm.models.weights import fit, load_state_dict, state_digest

# What torch says of files like these while it refuses them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning"),
    pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants:UserWarning"),
]
TENSORS = {
    "layer.weight": torch.arange(12.0).reshape(3, 4),
    "layer.bias": torch.tensor([1.0, -2.0, 0.5]),
    "count": torch.tensor([7]),
}


@pytest.fixture
def save(tmp_path):
    """Return a function that writes content in torch's format and returns the path."""

    def write(content, name="model.pth", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.fixture
def write(tmp_path):
    """Return a function that writes bytes and returns the path."""

    def bytes_of(content, name="model.pth"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return bytes_of


@pytest.fixture
def sound(save):
    """The bytes of a sound file in torch's format."""
    return save(TENSORS, "sound.pth").read_bytes()


def assert_tensors(found, expected=TENSORS):
    """Assert that two state dicts are equal, types and all."""
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def assert_refused(path, reason, **options):
    """Assert that a file is refused by name, with a reason and a next step, and without its folder."""
    with pytest.raises(WeightsError, match=reason) as caught:
        load_state_dict(path, **options)
    error = caught.value
    assert error.subject == path.name
    assert re.fullmatch(r"[A-Z].+\.", error.next_step)
    assert str(path.parent) not in str(error)
    return error


class TestReading:
    def test_reads_what_torch_wrote(self, save):
        assert_tensors(load_state_dict(save(TENSORS)))

    def test_reads_the_format_that_torch_wrote_before_2020(self, save):
        assert_tensors(load_state_dict(save(TENSORS, _use_new_zipfile_serialization=False)))

    def test_reads_safetensors(self, tmp_path):
        save_file(TENSORS, tmp_path / "model.safetensors")
        assert_tensors(load_state_dict(tmp_path / "model.safetensors"))

    def test_goes_by_the_content_when_the_name_says_something_else(self, tmp_path):
        save_file(TENSORS, tmp_path / "model.pth")
        assert_tensors(load_state_dict(tmp_path / "model.pth"))

    def test_takes_a_path_as_text(self, save):
        assert_tensors(load_state_dict(str(save(TENSORS))))

    def test_keeps_the_precision_of_the_file(self, save):
        half = {"a": torch.ones(3, dtype=torch.float16), "b": torch.ones(2, dtype=torch.bfloat16)}
        assert_tensors(load_state_dict(save(half)), half)

    def test_takes_parameters_as_tensors(self, save):
        assert_tensors(load_state_dict(save({"a": nn.Parameter(torch.ones(3))})), {"a": torch.ones(3)})

    @pytest.mark.parametrize(
        "wrapped",
        [
            {"model": TENSORS},
            {"model_state": TENSORS, "epoch": 3},
            {"state_dict": TENSORS, "optimizer": {"lr": 0.1}},
            {"state_dict": {"model": TENSORS}},
            {f"module.{key}": tensor for key, tensor in TENSORS.items()},
            {f"sam.{key}": tensor for key, tensor in TENSORS.items()},
            {"model_state": {f"module.sam.{key}": tensor for key, tensor in TENSORS.items()}},
        ],
        ids=["model", "model_state", "state_dict", "two deep", "module.", "sam.", "all at once"],
    )
    def test_takes_off_what_trainers_put_around_the_weights(self, save, wrapped):
        assert_tensors(load_state_dict(save(wrapped)))

    def test_keeps_a_prefix_that_only_some_weights_have(self, save):
        mixed = {"sam.a": torch.ones(1), "b": torch.ones(1)}
        assert_tensors(load_state_dict(save(mixed)), mixed)

    @pytest.mark.parametrize("spell", [str.lower, str.upper])
    def test_takes_a_file_of_the_digest_it_must_have(self, save, spell):
        path = save(TENSORS)
        assert_tensors(load_state_dict(path, sha256=spell(hashlib.sha256(path.read_bytes()).hexdigest())))


class TestRefusing:
    def test_a_missing_file(self, tmp_path):
        assert_refused(tmp_path / "gone.pth", "there is no such file")

    def test_a_folder(self, tmp_path):
        (tmp_path / "weights.pth").mkdir()
        assert_refused(tmp_path / "weights.pth", "is a folder")

    @pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 375042383\n", "Git LFS pointer"),
            (b"\n<!DOCTYPE html><html><body>Quota exceeded</body></html>", "is a web page"),
            (b"<HTML><head><title>404</title></head></HTML>", "is a web page"),
            (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
        ],
        ids=["empty", "lfs", "html", "old html", "xml"],
    )
    def test_what_a_failed_download_leaves(self, write, name, content, reason):
        assert_refused(write(content, name), reason)

    @pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95, 0.999])
    def test_a_truncated_file(self, write, sound, share):
        assert_refused(write(sound[: int(len(sound) * share)]), "damaged|truncated")

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_a_truncated_file_of_the_old_format(self, save, write, share):
        whole = save(TENSORS, _use_new_zipfile_serialization=False).read_bytes()
        assert_refused(write(whole[: int(len(whole) * share)]), "damaged")

    @pytest.mark.parametrize("length", [1, 7, 8, 9, 60, -1])
    def test_truncated_safetensors(self, tmp_path, length):
        path = tmp_path / "model.safetensors"
        save_file(TENSORS, path)
        path.write_bytes(path.read_bytes()[:length])
        assert_refused(path, "damaged|longer than the file")

    @pytest.mark.parametrize("length", [2**63, 2**64 - 1, 100_000_001, 5000])
    @pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
    def test_safetensors_that_claim_a_huge_header(self, write, name, length):
        assert_refused(write(struct.pack("<Q", length) + b"{" + b" " * 100, name), "header is longer")

    def test_safetensors_that_claim_more_values_than_there_are(self, write):
        header = b'{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}'
        assert_refused(write(struct.pack("<Q", len(header)) + header + b"\0" * 16, "model.safetensors"), "damaged")

    def test_a_pickle_that_is_named_safetensors(self, write, sound):
        assert_refused(write(sound, "model.safetensors"), "header is longer|damaged")

    def test_a_record_with_a_flipped_bit(self, write, sound):
        at = sound.index(struct.pack("<f", 11.0))
        flipped = bytearray(sound)
        flipped[at] ^= 1
        assert_refused(write(bytes(flipped)), "its record .+ is damaged")

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "packed"])
    def test_a_zip_archive_of_something_else(self, tmp_path, compression):
        path = tmp_path / "model.pth"
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("../../escaped.txt", "x" * 1000)
        assert_refused(path, "is a zip archive")
        assert not (tmp_path.parent.parent / "escaped.txt").exists()

    def test_a_packed_file_that_would_grow(self, tmp_path, sound):
        path = tmp_path / "bomb.pth"
        with zipfile.ZipFile(io.BytesIO(sound)) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for record in old.infolist():
                new.writestr(record.filename, old.read(record))
        assert_refused(path, "is a zip archive")

    def test_a_torchscript_program(self, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # making one is deprecated; people still have them
            torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "model.pt"))
        assert_refused(tmp_path / "model.pt", "is a TorchScript program")

    @pytest.mark.parametrize(
        "content",
        [torch.ones(2), [torch.ones(2)], {}, {"model": {}}, 3],
        ids=["tensor", "list", "nothing", "nothing wrapped", "number"],
    )
    def test_a_file_without_named_weights(self, save, content):
        assert_refused(save(content), "holds no named weights")

    @pytest.mark.parametrize("content", [{"a": 1}, {3: torch.ones(1)}, {"a": {"b": torch.ones(1)}}])
    def test_a_dict_that_holds_something_else(self, save, content):
        assert_refused(save(content), "is no tensor")

    def test_a_dict_that_holds_itself(self, save):
        endless = {}
        endless["model"] = endless
        assert_refused(save(endless), "is no tensor")

    @pytest.mark.parametrize(
        "tensor",
        [
            torch.eye(3).to_sparse(),
            torch.empty(3, device="meta"),
            torch.zeros(1).expand(10**9, 10**6),
            torch.ones(2, dtype=torch.complex64),
        ],
        ids=["sparse", "without values", "terabytes in a few bytes", "complex"],
    )
    def test_tensors_that_are_no_plain_arrays(self, save, tensor):
        assert_refused(save({"a": tensor}), "a is no plain array of numbers")

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
    def test_values_that_are_not_finite(self, save, value, dtype):
        spoilt = torch.ones(1000, dtype=dtype)
        spoilt[617] = value
        assert_refused(save({**TENSORS, "layer.scale": spoilt}), "layer.scale holds NaN or infinite values")

    def test_safetensors_with_values_that_are_not_finite(self, tmp_path):
        save_file({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "model.safetensors")
        assert_refused(tmp_path / "model.safetensors", "a holds NaN or infinite values")

    def test_a_file_of_another_digest(self, save):
        path = save(TENSORS)
        error = assert_refused(path, "has SHA-256 .+, not 0123456789ab", sha256="0123456789ab" + "c" * 52)
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:12] in error.reason

    def test_an_archive_that_claims_to_go_on_on_another_disk(self, write, sound):
        spoilt = bytearray(sound)
        spoilt[sound.rindex(b"PK\6\7") + 4] = 1
        assert_refused(write(bytes(spoilt)), "damaged")

    @pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.safetensors", "model"])
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(content=st.binary(min_size=1, max_size=300), start=st.sampled_from([b"", b"PK\3\4", b"\x80\2", b"\x80\4}"]))
    def test_random_bytes(self, write, name, content, start):
        assert_refused(write(start + content, name), ".")

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_damage_anywhere_is_refused_or_changes_nothing(self, write, sound, data):
        at = data.draw(st.integers(0, len(sound) - 1))
        spoilt = bytearray(sound)
        spoilt[at] ^= data.draw(st.integers(1, 255))
        try:
            found = load_state_dict(write(bytes(spoilt)))
        except WeightsError:
            return
        assert_tensors(found)


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path, how):
        self.path, self.how = str(path), how

    def __reduce__(self):
        return self.how, (self.path,)


class TestNothingIsRun:
    @pytest.mark.parametrize("how", [os.mkdir, os.makedirs], ids=["built in", "python"])
    @pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
    @pytest.mark.parametrize(
        "dump",
        [
            lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2)),
            lambda content, path: path.write_bytes(pickle.dumps(content, protocol=5)),
            lambda content, path: path.write_bytes(pickle.dumps(content, protocol=0)),
            torch.save,
            lambda content, path: torch.save(content, path, _use_new_zipfile_serialization=False),
        ],
        ids=["pickle 2", "pickle 5", "pickle 0", "torch", "torch of old"],
    )
    def test_a_malicious_pickle_is_refused(self, tmp_path, how, name, dump):
        canary = tmp_path / "canary"
        path = tmp_path / name
        dump({**TENSORS, "evil": Canary(canary, how)}, path)
        assert_refused(path, ".")
        assert not canary.exists()

    def test_the_canary_sings_when_it_is_unpickled(self, tmp_path):
        """So that its silence above means something."""
        pickle.loads(pickle.dumps(Canary(tmp_path / "canary", os.mkdir)))
        assert (tmp_path / "canary").is_dir()

    def test_a_whole_module_is_refused(self, save):
        assert_refused(save(nn.Linear(2, 2)), "something other than tensors, which could run code")


def layer():
    """Return a small module with weights of its own."""
    return nn.Linear(4, 3)


GOOD = {"weight": torch.ones(3, 4), "bias": torch.zeros(3)}  # weights of `layer`


class TestFitting:
    @pytest.mark.parametrize(
        ("tensors", "reason"),
        [
            ({"weight": torch.ones(3, 4)}, r"lacks 1 of the model's weights \(bias\)"),
            ({**GOOD, "extra": torch.ones(1)}, r"has unknown 1 of the model's weights \(extra\)"),
            ({**GOOD, "bias": torch.zeros(4)}, r"bias has shape \(4,\), not \(3,\)"),
            ({**GOOD, "weight": torch.ones(4, 3)}, r"weight has shape \(4, 3\), not \(3, 4\)"),
            ({}, r"lacks 2 of the model's weights \(bias, weight\)"),
        ],
        ids=["missing", "unexpected", "length", "transposed", "empty"],
    )
    def test_weights_of_another_architecture_are_refused_and_change_nothing(self, tensors, reason):
        module = layer()
        before = state_digest(module.state_dict())
        with pytest.raises(WeightsError, match=rf"model\.pth: {reason}\. Choose the weights of this architecture"):
            fit(module, tensors, "model.pth")
        assert state_digest(module.state_dict()) == before

    def test_only_the_first_of_many_keys_are_named(self):
        many = {**GOOD, **{f"extra{number}": torch.ones(1) for number in range(9)}}
        with pytest.raises(WeightsError, match=r"unknown 9 .+\(extra0, extra1, extra2, \.\.\.\)"):
            fit(layer(), many, "model.pth")

    def test_weights_are_taken_as_float32_also_where_there_were_none(self):
        with torch.device("meta"):
            module = layer()
        fit(module, {key: tensor.half() for key, tensor in GOOD.items()}, "model.pth")
        assert_tensors(module.state_dict(), GOOD)


class TestDigest:
    def test_does_not_depend_on_the_file_or_the_order(self, save, tmp_path):
        save_file(TENSORS, tmp_path / "model.safetensors")
        backwards = dict(reversed(TENSORS.items()))
        digests = {
            state_digest(tensors)
            for tensors in (
                TENSORS,
                backwards,
                load_state_dict(save({"model": TENSORS})),
                load_state_dict(tmp_path / "model.safetensors"),
            )
        }
        assert len(digests) == 1

    @pytest.mark.parametrize(
        "other",
        [
            {**TENSORS, "count": torch.tensor([8])},
            {**TENSORS, "count": torch.tensor([7], dtype=torch.int32)},
            {**TENSORS, "count": torch.tensor([[7]])},
            {**TENSORS, "more": torch.tensor([0])},
            {"layer.weights": TENSORS["layer.weight"], **{k: v for k, v in TENSORS.items() if k != "layer.weight"}},
            {**TENSORS, "layer.weight": TENSORS["layer.weight"].reshape(4, 3)},
        ],
        ids=["value", "type", "dimension", "more", "name", "shape"],
    )
    def test_differs_for_whatever_differs(self, other):
        assert state_digest(other) != state_digest(TENSORS)

    def test_depends_on_the_seasoning(self):
        assert len({state_digest(TENSORS), state_digest(TENSORS, "a"), state_digest(TENSORS, "b")}) == 3

    def test_reads_values_and_not_how_they_lie_in_memory(self):
        square = torch.arange(6.0).reshape(2, 3)
        assert state_digest({"a": square.T}) == state_digest({"a": square.T.contiguous()})
