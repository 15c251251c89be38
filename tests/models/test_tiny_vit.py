"""TinyViT equals that of the ``timm`` package, but for what MobileSAM and LiteMedSAM changed, and has their names."""

import pytest
import torch
from timm.models import tiny_vit as reference
from torch import nn

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


class Reference(nn.Module):
    """The parts of ``timm`` in the order of MobileSAM and LiteMedSAM, without the neck."""

    def __init__(self, shape):
        super().__init__()
        self.stages = nn.ModuleList()
        for stage, (width, depth) in enumerate(zip(shape.widths, shape.depths, strict=True)):
            if stage == 0:
                blocks = reference.ConvLayer(width, depth, nn.GELU)
            else:
                heads, window = shape.heads[stage], shape.windows[stage]
                blocks = nn.Sequential(*(reference.TinyVitBlock(width, heads, window) for _ in range(depth)))
            self.stages.append(blocks)
        self.merging = nn.ModuleList(
            reference.PatchMerging(inside, outside, nn.GELU)
            for inside, outside in zip(shape.widths, shape.widths[1:], strict=False)
        )
        self.merging[-1].conv2.conv.stride = (1, 1)  # the cells stay as they are

    def forward(self, x):
        for stage, blocks in enumerate(self.stages):
            # The reference has channels last in all stages but the first.
            x = blocks(x if stage == 0 else x.permute(0, 2, 3, 1))
            x = x if stage == 0 else x.permute(0, 3, 1, 2)
            if stage < len(self.merging):
                x = self.merging[stage](x)
        return x


def renamed(state, depths):
    """Return the weights under the reference's names."""
    found = {}
    for name, tensor in state.items():
        if name.startswith("layers."):
            _, stage, kind, rest = name.split(".", 3)
            rest = rest.replace(".c.", ".conv.")
            prefix = f"merging.{stage}." if kind == "downsample" else f"stages.{stage}." + ("blocks." * (stage == "0"))
            found[prefix + rest] = tensor
    return found


@pytest.mark.parametrize("halves_first", [True, False], ids=["mobile", "lite"])
@torch.inference_mode()
def test_equals_the_parts_of_the_reference(halves_first):
    shape = TinyVitShape(halves_first, SMALL.widths, SMALL.depths, SMALL.heads, SMALL.windows)
    encoder = randomised(TinyVit(shape, 64))
    expected = Reference(shape)
    expected.load_state_dict(renamed(encoder.state_dict(), shape.depths), strict=True)
    image = torch.randn(2, 3, 64, 64)
    x = encoder.patch_embed(image)
    assert x.shape[-1] == (16 if halves_first else 64)
    found = x
    for stage in encoder.layers:
        found = stage(found)
    wanted = expected.eval()(x)
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
