"""Which device a model runs on."""

import pytest
import torch

from napari_medfm.errors import ModelError
from napari_medfm.models import devices
from napari_medfm.models.devices import choose_device


def test_the_setting_decides_unless_the_caller_does(monkeypatch):
    monkeypatch.setenv("MEDFM_DEVICE", "cpu")
    assert choose_device() == torch.device("cpu")
    monkeypatch.setenv("MEDFM_DEVICE", "no such kind")
    assert choose_device("cpu") == torch.device("cpu")


def test_auto_is_the_best_there_is():
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == best


@pytest.mark.parametrize("wanted", ["gpu", "cuda:x", "CPU!"])
def test_a_kind_of_device_that_does_not_exist_is_refused(wanted):
    with pytest.raises(ModelError, match="MEDFM_DEVICE"):
        choose_device(wanted)


@pytest.mark.parametrize("wanted", ["cuda:99", "xpu"])
def test_a_device_that_is_not_there_falls_back_to_the_cpu_with_a_warning(wanted, caplog):
    assert choose_device(wanted) == torch.device("cpu")
    assert f"device {wanted} is not available: running on the CPU" in caplog.text


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx512_bf16 sse", True), ("fpu sse", False)])
def test_a_cpu_computes_in_bfloat16_if_its_flags_say_so(tmp_path, monkeypatch, flags, expected):
    told = tmp_path / "cpuinfo"
    told.write_text(f"flags : {flags}\n")
    monkeypatch.setattr(devices, "_PROCESSORS", told)
    assert devices.computes_bfloat16(torch.device("cpu")) == expected
    told.unlink()
    assert not devices.computes_bfloat16(torch.device("cpu"))


def test_memory_that_does_not_suffice_is_told_from_other_faults():
    with pytest.raises(RuntimeError) as none_left:
        torch.empty(2**60, dtype=torch.uint8)
    assert devices.is_out_of_memory(none_left.value)
    with pytest.raises(RuntimeError) as other:
        torch.zeros(2) @ torch.zeros(3)
    assert not devices.is_out_of_memory(other.value)
