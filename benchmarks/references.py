"""How their authors ask the models of the zoo, written from the documented recipes, on code that is not ours.

Networks are those of ``segment_anything``, ``timm`` (TinyViT) and ``transformers`` (SAM 2). Tests and ``zoo_parity``
compare the product with them, on random weights in the published layout: the real files are not needed.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

NORMAL = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Question:
    """Prompts: clicks as (x, y) with labels, a box as left, top, right, bottom, and logits of a mask (1, h, w)."""

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    logits: np.ndarray | None = None

    @property
    def lone_click(self) -> bool:
        return self.labels == (1,) and self.box is None and self.logits is None


@dataclass(frozen=True)
class Recipe:
    """What one model's authors do around the network.

    Attributes
    ----------
    tensor : callable
        (image, side) to the encoder's input.
    place : callable
        ((x, y) positions (n, 2), image shape, side) to positions in the square.
    masks : callable
        (logits (1, c, h, w), image shape, side) to masks (1, c, rows, columns).
    three : callable
        A question to whether they make three masks.
    """

    tensor: Callable[[np.ndarray, int], Tensor]
    place: Callable[[np.ndarray, tuple[int, int], int], np.ndarray]
    masks: Callable[[Tensor, tuple[int, int], int], Tensor]
    three: Callable[[Question], bool] = lambda question: question.lone_click


@dataclass(frozen=True)
class Answer:
    """Masks, logits and qualities of the candidates, best first."""

    masks: np.ndarray
    logits: np.ndarray
    qualities: np.ndarray


def rgb(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def stretched(positions: np.ndarray, shape: tuple[int, int], side: int) -> np.ndarray:
    rows, columns = shape
    return positions / np.array([columns, rows]) * side


def enlarged(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits, shape, mode="bilinear", align_corners=False)


def empty_sam(side: int) -> Any:
    """Return the package's ``Sam`` without networks, for what it does around them."""
    from segment_anything.modeling import Sam

    encoder = nn.Identity()
    encoder.img_size = side
    return Sam(encoder, nn.Identity(), nn.Identity())


def _sam_tensor(image: np.ndarray, side: int) -> Tensor:
    from segment_anything.utils.transforms import ResizeLongestSide

    scaled = torch.as_tensor(ResizeLongestSide(side).apply_image(rgb(image)).copy())
    return empty_sam(side).preprocess(scaled.permute(2, 0, 1)[None])


def _sam_place(positions: np.ndarray, shape: tuple[int, int], side: int) -> np.ndarray:
    from segment_anything.utils.transforms import ResizeLongestSide

    return ResizeLongestSide(side).apply_coords(positions, shape)


def _sam_masks(logits: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    from segment_anything.utils.transforms import ResizeLongestSide

    scaled = ResizeLongestSide.get_preprocess_shape(*shape, side)
    return empty_sam(side).postprocess_masks(logits, scaled, shape) > 0


def _unit(square: np.ndarray) -> np.ndarray:
    return (square - square.min()) / np.clip(square.max() - square.min(), 1e-8, None)


def _medsam_tensor(image: np.ndarray, side: int) -> Tensor:
    from skimage.transform import resize

    square = resize(rgb(image), (side, side), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    return torch.tensor(_unit(square)).float().permute(2, 0, 1)[None]


def _medsam_masks(logits: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    return enlarged(torch.sigmoid(logits), shape) > 0.5


def _scribbleprompt_tensor(image: np.ndarray, side: int) -> Tensor:
    unit = torch.tensor(image / 255.0, dtype=torch.float32)[None, None]
    square = functional.interpolate(unit, size=(side, side), mode="bilinear").repeat(1, 3, 1, 1)
    return empty_sam(side).preprocess(255 * square)


def _scribbleprompt_masks(logits: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    return empty_sam(side).postprocess_masks(logits, (side, side), shape) > 0


def _lite_shape(shape: tuple[int, int], side: int) -> tuple[int, int]:
    rows, columns = (int(size * side / max(shape) + 0.5) for size in shape)
    return rows, columns


def _areas(size: int, cells: int) -> np.ndarray:
    """Return the share of each of `size` pixels in each of `cells`, (cells, size): INTER_AREA of OpenCV."""
    edges = np.linspace(0, size, cells + 1)
    begin, end = edges[:-1, None], edges[1:, None]
    pixels = np.arange(size)
    return np.clip(np.minimum(end, pixels + 1) - np.maximum(begin, pixels), 0, 1) / (end - begin)


def _lite_tensor(image: np.ndarray, side: int) -> Tensor:
    rows, columns = _lite_shape(image.shape[:2], side)
    down, across = _areas(image.shape[0], rows), _areas(image.shape[1], columns)
    scaled = np.rint(np.einsum("ri,ijc,sj->rsc", down, rgb(image).astype(float), across, optimize=True)).astype(
        np.uint8
    )
    square = np.zeros((side, side, 3), np.float32)
    square[:rows, :columns] = _unit(scaled)
    return torch.tensor(square).permute(2, 0, 1)[None]


def _lite_place(positions: np.ndarray, shape: tuple[int, int], side: int) -> np.ndarray:
    return (positions * side / max(shape)).astype(int)


def _lite_masks(logits: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    rows, columns = _lite_shape(shape, side)
    return enlarged(logits[..., :rows, :columns], shape) > 0


def _sam2_tensor(image: np.ndarray, side: int) -> Tensor:
    from torchvision.transforms import Normalize, Resize, ToTensor

    return nn.Sequential(Resize((side, side)), Normalize(*NORMAL))(ToTensor()(rgb(image)))[None]


def _sam2_masks(logits: Tensor, shape: tuple[int, int], side: int) -> Tensor:
    return enlarged(logits, shape) > 0


def _medsam2_tensor(image: np.ndarray, side: int) -> Tensor:
    from torchvision.transforms import Normalize

    square = Image.fromarray(image).convert("RGB").resize((side, side))
    return Normalize(*NORMAL)(torch.tensor(np.array(square) / 255, dtype=torch.float32).permute(2, 0, 1))[None]


RECIPES = {
    "sam": Recipe(_sam_tensor, _sam_place, _sam_masks),
    "medsam": Recipe(_medsam_tensor, stretched, _medsam_masks, lambda question: False),
    "scribbleprompt-sam": Recipe(_scribbleprompt_tensor, stretched, _scribbleprompt_masks, lambda question: True),
    "lite-medsam": Recipe(_lite_tensor, _lite_place, _lite_masks, lambda question: False),
    "sam2": Recipe(_sam2_tensor, stretched, _sam2_masks),
    "medsam2": Recipe(_medsam2_tensor, stretched, _sam2_masks),
}
"""By the names the product has for them."""


class SamReference:
    """A ``Sam`` of the package, asked by a recipe."""

    def __init__(self, sam: Any, recipe: str) -> None:
        self.network, self.recipe, self.side = sam.eval(), RECIPES[recipe], sam.image_encoder.img_size

    @torch.inference_mode()
    def features(self, tensor: Tensor) -> dict[str, Tensor]:
        return {"features": self.network.image_encoder(tensor)}

    @torch.inference_mode()
    def answer(self, features: Mapping[str, Tensor], shape: tuple[int, int], question: Question) -> Answer:
        logits, qualities = self._decode(features, shape, question)
        order = torch.argsort(qualities[0], descending=True, stable=True)[: None if question.lone_click else 1]
        masks = self.recipe.masks(logits, shape, self.side)
        return Answer(*(found[0, order].numpy() for found in (masks, self._told(logits), qualities)))

    def _told(self, logits: Tensor) -> Tensor:
        return logits

    def _placed(self, positions: Any, shape: tuple[int, int]) -> Tensor:
        square = self.recipe.place(np.array(positions, dtype=float).reshape(-1, 2), shape, self.side)
        return torch.tensor(square, dtype=torch.float32)[None]

    def _decode(
        self, features: Mapping[str, Tensor], shape: tuple[int, int], question: Question
    ) -> tuple[Tensor, Tensor]:
        prompts = self.network.prompt_encoder
        sparse, dense = prompts(
            points=(self._placed(question.points, shape), torch.tensor([question.labels])) if question.labels else None,
            boxes=None if question.box is None else self._placed(question.box, shape).reshape(1, 4),
            masks=None if question.logits is None else torch.tensor(question.logits)[None],
        )
        return self.network.mask_decoder(
            image_embeddings=features["features"],
            image_pe=prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self.recipe.three(question),
        )


class Sam2Reference(SamReference):
    """A ``Sam2Model`` of ``transformers``, asked by a recipe.

    A box is two clicks of kinds 2 and 3, as its authors say it.
    """

    def __init__(self, sam: Any, recipe: str) -> None:
        self.network, self.recipe = sam.eval(), RECIPES[recipe]
        self.side = sam.config.prompt_encoder_config.image_size

    @torch.inference_mode()
    def features(self, tensor: Tensor) -> dict[str, Tensor]:
        levels = self.network.get_image_embeddings(tensor)
        return dict(zip(("stride_4", "stride_8", "stride_16"), levels, strict=True))

    def _told(self, logits: Tensor) -> Tensor:
        return logits.clamp(-32, 32)

    def _decode(
        self, features: Mapping[str, Tensor], shape: tuple[int, int], question: Question
    ) -> tuple[Tensor, Tensor]:
        corners = [] if question.box is None else [question.box[:2], question.box[2:]]
        kinds = [2, 3][: len(corners)] + list(question.labels)
        answer = self.network(
            image_embeddings=list(features.values()),
            input_points=self._placed([*corners, *question.points], shape)[None],
            input_labels=torch.tensor(kinds)[None, None],
            input_masks=None if question.logits is None else torch.tensor(question.logits)[None],
            multimask_output=self.recipe.three(question),
        )
        return answer.pred_masks[:, 0], answer.iou_scores[:, 0]


class TimmTinyVit(nn.Module):
    """The parts of ``timm`` in the order of MobileSAM and LiteMedSAM, and the neck of ``segment_anything``."""

    def __init__(self, shape: Any, img_size: int = 0) -> None:
        from segment_anything.modeling.common import LayerNorm2d
        from timm.models import tiny_vit

        super().__init__()
        self.img_size = img_size
        widths = shape.widths
        kernel = (3, 2, 1) if shape.halves_first else (1, 1, 0)
        self.stem = nn.Sequential(
            tiny_vit.ConvNorm(3, widths[0] // 2, *kernel),
            nn.GELU(),
            tiny_vit.ConvNorm(widths[0] // 2, widths[0], *kernel),
        )
        self.stages = nn.ModuleList([tiny_vit.ConvLayer(widths[0], shape.depths[0], nn.GELU)])
        for width, depth, heads, window in list(zip(widths, shape.depths, shape.heads, shape.windows, strict=True))[1:]:
            self.stages.append(nn.Sequential(*(tiny_vit.TinyVitBlock(width, heads, window) for _ in range(depth))))
        self.merging = nn.ModuleList(
            tiny_vit.PatchMerging(inside, outside, nn.GELU) for inside, outside in pairwise(widths)
        )
        self.merging[-1].conv2.conv.stride = (1, 1)  # the cells stay as they are
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], 256, 1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            LayerNorm2d(256),
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        for stage, blocks in enumerate(self.stages):
            # timm has channels last in all stages but the first.
            x = blocks(x if stage == 0 else x.permute(0, 2, 3, 1))
            x = x if stage == 0 else x.permute(0, 3, 1, 2)
            if stage < len(self.merging):
                x = self.merging[stage](x)
        return self.neck(x)


def in_names_of_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a TinyViT's weights, in the names of the published files, under those of `TimmTinyVit`."""
    found = {}
    for name, tensor in state.items():
        renamed = name.replace(".c.", ".conv.").replace("patch_embed.seq.", "stem.")
        if name.startswith("layers."):
            _, stage, kind, rest = renamed.split(".", 3)
            stages = f"stages.{stage}." + ("blocks." * (stage == "0"))
            renamed = (f"merging.{stage}." if kind == "downsample" else stages) + rest
        found[renamed] = tensor
    return found


_PERCEPTRON = {"proj_in": "layers.0", "layers.0": "layers.1", "proj_out": "layers.2"}
_DOWNSCALING = {"conv1": 0, "layer_norm1": 1, "conv2": 3, "layer_norm2": 4, "conv3": 6}
_UPSCALING = {"upscale_conv1": 0, "upscale_layer_norm": 1, "upscale_conv2": 3}


def published_sam2(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return a ``Sam2Model``'s weights as in the files of SAM 2.1, some of what belongs to videos included."""
    found = {}
    for key, tensor in state.items():
        if key == "prompt_encoder.point_embed.weight":
            found |= {f"sam_prompt_encoder.point_embeddings.{i}.weight": tensor[i : i + 1].clone() for i in range(4)}
        elif key != "shared_image_embedding.positional_embedding":
            found[_published_name(key)] = tensor.clone()
    video = {"maskmem_tpos_enc": (7, 1, 1, 64), "no_mem_pos_enc": (1, 1, 256), "no_obj_ptr": (1, 256)}
    video |= {"no_obj_embed_spatial": (1, 64), "mask_downsample.weight": (1, 1, 4, 4), "obj_ptr_tpos_proj.bias": (64,)}
    video |= {"obj_ptr_proj.layers.0.bias": (256,), "memory_encoder.out_proj.bias": (64,)}
    video |= {"memory_attention.layers.0.norm1.weight": (256,), "memory_attention.norm.bias": (256,)}
    return {"model": found | {key: torch.ones(shape) for key, shape in video.items()}}


def _published_name(key: str) -> str:
    if key == "no_memory_embedding":
        return "no_mem_embed"
    room, _, rest = key.partition(".")
    if room == "vision_encoder":
        return _published_trunk(rest)
    if room == "prompt_encoder":
        rest = rest.replace("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix")
        rest = re.sub(r"^mask_embed\.(\w+)", lambda found: f"mask_downscaling.{_DOWNSCALING[found[1]]}", rest)
        return f"sam_prompt_encoder.{rest}"
    rest = re.sub(r"^upscale_\w+", lambda found: f"output_upscaling.{_UPSCALING[found[0]]}", rest)
    if rest.startswith("transformer."):
        rest = rest.replace("layer_norm_final_attn", "norm_final_attn").replace(".layer_norm", ".norm")
        rest = rest.replace(".o_proj.", ".out_proj.").replace("proj_in", "layers.0").replace("proj_out", "layers.1")
    else:
        rest = re.sub(r"proj_in|proj_out|layers\.0", lambda found: _PERCEPTRON[found[0]], rest)
    return f"sam_mask_decoder.{rest}"


def _published_trunk(rest: str) -> str:
    if rest.startswith("neck."):
        return "image_encoder." + re.sub(r"(convs\.\d)", r"\1.conv", rest)
    rest = rest.replace("backbone.", "trunk.").replace("projection", "proj").replace("layer_norm", "norm")
    rest = rest.replace("mlp.proj_in", "mlp.layers.0").replace("mlp.proj_out", "mlp.layers.1")
    return f"image_encoder.{rest}"
