"""SAM 2's image model: known by its weights, in the published sizes, under the published names."""

import pytest
import torch
from references import published_sam2
from transformers import Sam2HieraDetConfig

from napari_medfm.models.backends.sam2 import build_small_sam2
from napari_medfm.models.sam2_layout import SIZES, assemble, build, in_names_of_transformers
from napari_medfm.models.zoo import SAM2_FAMILY

NETWORK = build_small_sam2(seed=1)


# Parameters of each image model in millions, from the authors' totals less 7.52 of memory and pointers.
@pytest.mark.parametrize(
    ("size", "millions"), [("tiny", 31.44), ("small", 38.54), ("base-plus", 73.33), ("large", 216.92)]
)
def test_each_size_is_recognised_by_its_weights_and_has_the_published_parameters(size, millions):
    with torch.device("meta"):
        network = assemble(SIZES[size], 1024)
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    shapes = {key: value.shape for key, value in network.state_dict().items()}
    built = build({key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}, 512, "model.pt")
    assert len(built.vision_encoder.backbone.blocks) == sum(SIZES[size].depths)
    assert built.prompt_encoder.mask_input_size == (128, 128)
    assert not any(tensor.is_meta for tensor in (*built.parameters(), *built.buffers()))


def test_tiny_is_what_transformers_has_as_its_default():
    with torch.device("meta"):
        found = assemble(SIZES["tiny"], 1024).config.vision_config.backbone_config
    for field in (
        "hidden_size",
        "num_attention_heads",
        "image_size",
        "blocks_per_stage",
        "embed_dim_per_stage",
        "num_attention_heads_per_stage",
        "window_size_per_stage",
        "global_attention_blocks",
        "window_positional_embedding_background_size",
    ):
        assert getattr(found, field) == getattr(Sam2HieraDetConfig(), field)


def test_names_are_those_of_the_published_files():
    names = published_sam2(NETWORK.state_dict())["model"].keys()
    for name in (
        "image_encoder.trunk.blocks.2.proj.weight",
        "image_encoder.trunk.blocks.0.mlp.layers.0.weight",
        "image_encoder.trunk.pos_embed_window",
        "image_encoder.trunk.patch_embed.proj.bias",
        "image_encoder.neck.convs.3.conv.weight",
        "no_mem_embed",
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "sam_prompt_encoder.point_embeddings.3.weight",
        "sam_prompt_encoder.mask_downscaling.6.bias",
        "sam_mask_decoder.transformer.layers.1.mlp.layers.1.weight",
        "sam_mask_decoder.transformer.layers.0.self_attn.out_proj.weight",
        "sam_mask_decoder.transformer.norm_final_attn.bias",
        "sam_mask_decoder.output_upscaling.3.weight",
        "sam_mask_decoder.output_hypernetworks_mlps.3.layers.2.weight",
        "sam_mask_decoder.iou_prediction_head.layers.1.weight",
        "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
        "sam_mask_decoder.obj_score_token.weight",
        "sam_mask_decoder.conv_s1.weight",
    ):
        assert name in names


def test_published_names_lead_back_to_those_of_transformers():
    state = NETWORK.state_dict()
    found = in_names_of_transformers(published_sam2(state)["model"])
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_can_be_downloaded_under_its_own_name(size):
    file = SAM2_FAMILY[f"sam2-{size}"].facts.file
    assert file.url.endswith(f"/092824/sam2.1_hiera_{size.replace('-', '_')}.pt")
    kind, digest = file.digest.split(":")
    assert (kind, len(bytes.fromhex(digest))) == ("sha256", 32)
