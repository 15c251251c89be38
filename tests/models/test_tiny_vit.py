"""TinyViT equals that of the ``timm`` package, but for what MobileSAM and LiteMedSAM changed, and has their names."""

import pytest
import torch
from references import TimmTinyVit, in_names_of_timm

from napari_medfm.errors import WeightsError
from napari_medfm.models.sam_layouts import LITE, MOBILE, assemble, build
from napari_medfm.models.tiny_vit import TinyVit, TinyVitShape

SMALL = TinyVitShape(widths=(16, 24, 32, 48), depths=(2, 1, 2, 1), heads=(1, 2, 2, 3), windows=(3, 3, 5, 4))


def randomised(module, seed=0):
    """Give everything values that matter, running means of batch norm and biases included."""
    torch.manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        positive = name.endswith(("running_var", "bn.weight", "norm.weight"))
        tensor.copy_(torch.rand_like(tensor) + 0.5 if positive else 0.2 * torch.randn_like(tensor))
    return module.eval()


@pytest.mark.parametrize("halves_first", [True, False], ids=["mobile", "lite"])
@torch.inference_mode()
def test_equals_the_parts_of_the_reference(halves_first):
    shape = TinyVitShape(halves_first, SMALL.widths, SMALL.depths, SMALL.heads, SMALL.windows)
    encoder = randomised(TinyVit(shape, 64))
    expected = TimmTinyVit(shape)
    expected.load_state_dict(in_names_of_timm(encoder.state_dict()), strict=True)
    image = torch.randn(2, 3, 64, 64)
    found, wanted = encoder(image), expected.eval()(image)
    assert encoder.patch_embed(image).shape[-1] == (16 if halves_first else 64)
    assert torch.allclose(found, wanted, atol=1e-4 * wanted.abs().max().item())


@pytest.mark.parametrize(
    ("layout", "side", "millions"), [(MOBILE, 1024, 6.066 - 0.322), (LITE, 256, 5.727)], ids=["mobile", "lite"]
)
def test_has_as_many_parameters_as_the_published_one_and_64_cells(layout, side, millions):
    with torch.device("meta"):
        encoder = TinyVit(layout, side)
        assert encoder(torch.zeros(1, 3, side, side)).shape == (1, 256, 64, 64)
    # MobileSAM's own count holds a classifier that nothing uses: 320 x 1000 weights and some.
    assert sum(parameter.numel() for parameter in encoder.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)


def test_names_are_those_of_the_published_files():
    with torch.device("meta"):
        names = set(assemble(MOBILE, 1024).state_dict())
    for name in (
        "image_encoder.patch_embed.seq.0.c.weight",
        "image_encoder.patch_embed.seq.2.bn.running_var",
        "image_encoder.layers.0.blocks.1.conv3.bn.bias",
        "image_encoder.layers.0.downsample.conv2.c.weight",
        "image_encoder.layers.2.blocks.5.attn.attention_biases",
        "image_encoder.layers.3.blocks.0.attn.qkv.bias",
        "image_encoder.layers.1.blocks.0.mlp.norm.weight",
        "image_encoder.layers.1.blocks.0.local_conv.c.weight",
        "image_encoder.neck.3.weight",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "mask_decoder.iou_token.weight",
    ):
        assert name in names


@pytest.mark.parametrize("layout", [MOBILE, LITE], ids=["mobile", "lite"])
def test_a_file_is_recognised_and_its_classifier_left_away(layout):
    side = 1024 if layout is MOBILE else 256
    sam = assemble(layout, side)
    state = sam.state_dict()
    if layout is MOBILE:
        state |= {"image_encoder.norm_head.weight": torch.ones(320), "image_encoder.head.weight": torch.ones(1000, 320)}
    built = build(state, "file.pt")
    assert (built.image_encoder.img_size, built.prompt_encoder.mask_input_size) == (side, (256, 256))
    assert not any(tensor.is_meta for tensor in (*built.parameters(), *built.buffers()))
    assert torch.equal(built.image_encoder.neck[0].weight, sam.image_encoder.neck[0].weight)
    del state["image_encoder.layers.3.blocks.1.mlp.fc2.bias"]
    with pytest.raises(WeightsError, match="lacks 1 of the model's weights"):
        build(state, "file.pt")
