"""The comparison with the authors' recipes finds what is wrong: another recipe, another weight."""

import json

import pytest
import report
import torch
import zoo_parity
from references import SamReference

from napari_medfm.models import sam_layouts
from napari_medfm.models.backends.sam import build_small_sam
from napari_medfm.models.recipes import RECIPES
from napari_medfm.models.zoo import SAM2_FAMILY, SAM_FAMILY

SMALL = sam_layouts.Vit(64, 2, 2, (1,), window=8)


@pytest.fixture
def small(monkeypatch):
    """Let a small network stand for the full-sized one; return a function that sets recipe and saved weights."""
    monkeypatch.setattr(sam_layouts, "VITS", (*sam_layouts.VITS, SMALL))

    def stand_in(recipe=None, change=lambda state: None):
        def build(name, own):
            sam = build_small_sam(1, 128)
            state = {key: tensor.clone() for key, tensor in sam.state_dict().items()}
            change(state)
            return SamReference(sam, recipe or own), state

        monkeypatch.setattr(zoo_parity, "build", build)

    return stand_in


@pytest.mark.parametrize("name", ["sam", "medsam", "scribbleprompt-sam"])
def test_the_product_equals_the_recipe(name, small, tmp_path):
    small()
    row = zoo_parity.compare(SAM_FAMILY[name], tmp_path)
    assert row["tensor"] < 1e-5
    assert row["embedding"] < 1e-4
    assert row["logits, of the largest"] < 1e-3
    assert row["qualities"] < 1e-4
    assert row["pixels"] < 1e-3
    assert row["answers that differ"] == len(zoo_parity.QUESTIONS) + 1
    assert 0.999 < row["cosine in bfloat16"] < 1
    assert list(tmp_path.iterdir()) == []


def test_another_recipe_is_found_out(small, tmp_path):
    small("medsam")
    assert zoo_parity.compare(SAM_FAMILY["sam"], tmp_path)["tensor"] > 0.1


def test_another_weight_of_the_encoder_or_the_decoder_is_found_out(small, tmp_path):
    small(change=lambda state: state["image_encoder.blocks.1.mlp.lin2.bias"].add_(0.1))
    row = zoo_parity.compare(SAM_FAMILY["sam"], tmp_path)
    assert row["tensor"] == 0
    assert row["embedding"] > 1e-3
    small(change=lambda state: state["mask_decoder.output_hypernetworks_mlps.0.layers.2.bias"].add_(0.1))
    row = zoo_parity.compare(SAM_FAMILY["sam"], tmp_path)
    assert row["embedding"] < 1e-4
    assert row["logits, of the largest"] > 1e-3


def test_a_run_reports_every_bar_and_a_row_for_each_model(small, tmp_path):
    small()
    threads = torch.get_num_threads()
    arguments = ["--quick", "--models", "sam", "medicosam", "--threads", "1", "--json", str(tmp_path / "result.json")]
    try:
        with pytest.raises(SystemExit) as leaving:
            report.main("zoo_parity", zoo_parity.measure, zoo_parity._options, arguments)
    finally:
        torch.set_num_threads(threads)
    assert leaving.value.code == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert [bar["name"] for bar in result["bars"]] == list(report.read_goals("zoo_parity"))
    assert [bar["holds"] for bar in result["bars"]] == [False] + [True] * 5  # two models are not the zoo
    assert result["details"].keys() >= {"sam", "medicosam"}


def test_the_goal_is_every_architecture_with_every_recipe():
    chosen = zoo_parity.distinct({**SAM_FAMILY, **SAM2_FAMILY})
    assert report.read_goals("zoo_parity")["models"].goal == len(chosen)
    assert {entry.facts.recipe for entry in chosen.values()} == set(RECIPES)
    assert {"sam", "sam-l", "sam-h", "mobile-sam", "sam2-large"} <= set(chosen)
    assert not {"medicosam", "micro-sam-lm"} & set(chosen)  # differ from sam in their weights only


def test_names_stand_for_networks_of_the_published_sizes():
    with torch.device("meta"):
        found = {name: zoo_parity.build(name, SAM_FAMILY[name].facts.recipe)[1] for name in ("medsam", "sam-h")}
    counts = {name: sum(tensor.numel() for tensor in state.values()) / 1e6 for name, state in found.items()}
    assert counts == pytest.approx({"medsam": 93.735, "sam-h": 641.091}, abs=0.01)
