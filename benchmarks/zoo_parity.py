"""Every model of the zoo at its full size against its authors' recipe, with seeded random weights.

Each network is built by the package it comes from, or from the parts of ``timm``, and saved in the published layout
to a temporary file. The product loads that by the model's name. Compared are the tensor that the encoder sees, the
embedding, and the answers to clicks, boxes and refinements in float32; and the embedding in bfloat16. The real weights
are not needed. Nothing here is timed: other work may run beside it.
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import report
from references import (
    Answer,
    Question,
    Sam2Reference,
    SamReference,
    TimmTinyVit,
    in_names_of_timm,
    published_sam2,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_medfm.models import ImageEmbedding, MaskPrediction, ModelEntry
    from napari_medfm.prompts import PromptSet

QUICK = ("lite-medsam", "medsam2")
VITS = {"sam-l": "vit_l", "sam-h": "vit_h"}
TINY_VITS = ("mobile-sam", "lite-medsam")
SHAPE = (320, 512)
QUESTIONS = {
    "a click": Question(((200, 180),), (1,)),
    "clicks": Question(((200, 180), (300, 260)), (1, 0)),
    "a box": Question(box=(100, 120, 380, 300)),
    "a box and clicks": Question(((200, 180), (300, 260)), (1, 0), (100, 120, 380, 300)),
}
"""With even numbers: LiteMedSAM's script cuts positions in its square off to whole pixels."""


def picture(seed: int = 0) -> np.ndarray:
    """Return a grey image with discs and noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    image = np.full(SHAPE, 60.0)
    for _ in range(12):
        row, column, radius = random.uniform((0, 0, 10), (*SHAPE, 90))
        image[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = random.uniform(20, 240)
    return np.clip(image + random.normal(0, 12, SHAPE), 0, 255).astype(np.uint8)


def weigh(network: "nn.Module", seed: int = 0) -> "nn.Module":
    """Give values that matter to everything: also to positions, biases, and what batch norms remember."""
    import torch

    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | torch.nn.ConvTranspose2d | torch.nn.Embedding):
            module.reset_parameters()  # of transformers' own, answers hardly depend on prompts
    for name, tensor in network.state_dict().items():
        if "positional" in name or name.endswith("num_batches_tracked"):
            continue
        if "pos" in name or "attention_biases" in name or name == "no_memory_embedding":
            tensor.normal_(std=0.5)
        elif name.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("bn.bias", "running_mean")):
            tensor.normal_(std=0.2)
    return network.eval()


def build(name: str, recipe: str) -> tuple[SamReference, dict[str, Any]]:
    """Return a full-size network with random weights, asked by its authors' recipe, and its published state dict."""
    import torch

    torch.manual_seed(0)
    if name.startswith(("sam2-", "medsam2")):
        return build_sam2(name, recipe)
    if name in TINY_VITS:
        return build_tiny(name, recipe)
    from segment_anything import sam_model_registry

    sam = weigh(sam_model_registry[VITS.get(name, "vit_b")]())
    return SamReference(sam, recipe), sam.state_dict()


def build_sam2(name: str, recipe: str) -> tuple[SamReference, dict[str, Any]]:
    from napari_medfm.models.sam2_layout import SIZES, assemble

    size = "tiny" if name == "medsam2" else name.removeprefix("sam2-")
    sam = weigh(assemble(SIZES[size], 512 if name == "medsam2" else 1024))
    return Sam2Reference(sam, recipe), published_sam2(sam.state_dict())


def build_tiny(name: str, recipe: str) -> tuple[SamReference, dict[str, Any]]:
    """TinyViT of ``timm`` with the stock decoder; the published names are those that the product has for its own."""
    from napari_medfm.models.sam_layouts import LITE, MOBILE, assemble

    shape, side = (MOBILE, 1024) if name == "mobile-sam" else (LITE, 256)
    sam = weigh(assemble(shape, side))
    state = {key: tensor.clone() for key, tensor in sam.state_dict().items()}
    encoder = TimmTinyVit(shape, side)
    encoder.load_state_dict(in_names_of_timm(sam.image_encoder.state_dict()), strict=True)
    sam.image_encoder = encoder
    return SamReference(sam, recipe), state


def expect(reference: SamReference, tensor: "Tensor") -> tuple[dict[str, np.ndarray], dict[str, Answer]]:
    """Return the embedding of a tensor, and the answers on it; the last refines the first."""
    features = reference.features(tensor)
    answers = {name: reference.answer(features, SHAPE, question) for name, question in QUESTIONS.items()}
    previous = answers["a click"].logits[:1]
    refined = Question(((200, 180), (300, 260)), (1, 0), None, previous)
    answers["refined"] = reference.answer(features, SHAPE, refined)
    return {level: found[0].numpy() for level, found in features.items()}, answers


def prompts_of(question: Question) -> "PromptSet":
    from napari_medfm.prompts import Box, Point, PromptSet
    from napari_medfm.volume import Plane

    clicks = [
        Point(Plane(), (float(y), float(x)), label == 1)
        for (x, y), label in zip(question.points, question.labels, strict=True)
    ]
    if question.box is None:
        return PromptSet(tuple(clicks))
    left, top, right, bottom = map(float, question.box)
    return PromptSet((Box(Plane(), (top, left), (bottom, right)), *clicks))


def answer(model: Any, embedding: "ImageEmbedding", expected: Mapping[str, Answer]) -> dict[str, "MaskPrediction"]:
    """Return the product's answers; what is refined is the authors' answer, so that each is compared by itself."""
    from napari_medfm.models import MaskPrediction

    found = {name: model.decode(embedding, prompts_of(question)) for name, question in QUESTIONS.items()}
    first = expected["a click"]
    previous = MaskPrediction(*(part[:1] for part in (first.masks, first.logits, first.qualities)))
    return found | {"refined": model.decode(embedding, prompts_of(QUESTIONS["clicks"]), previous)}


def smallest_cosine(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    """Return how alike two embeddings are where they are least so, over positions of all levels."""
    least = 1.0
    for level, exact in wanted.items():
        own = found[level].astype(np.float32)
        dots = [(a * b).sum(axis=0, dtype=np.float64) for a, b in ((own, exact), (own, own), (exact, exact))]
        least = min(least, float((dots[0] / np.sqrt(dots[1] * dots[2])).min()))
    return least


def largest(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> float:
    return max(float(np.abs(found[level] - wanted[level]).max()) for level in wanted)


def compare(entry: "ModelEntry", folder: Path) -> dict[str, float]:
    """Return how far a model is from its authors' recipe."""
    import torch

    from napari_medfm.models import load_model
    from napari_medfm.models.recipes import RECIPES

    reference, state = build(entry.name, entry.facts.recipe)
    file = folder / "weights.pt"
    torch.save(state, file)
    image = picture()
    tensor = reference.recipe.tensor(image, reference.side)
    seen = RECIPES[entry.facts.recipe].frame(SHAPE, reference.side).image(image)
    # What the network sees differs by rounding for one recipe; that is measured, and answers are compared beyond it.
    features, expected = expect(reference, seen)
    parameters = sum(parameter.numel() for parameter in reference.network.parameters())
    del reference, state
    gc.collect()
    loaded = load_model(entry.name, weights=file, device="cpu", precision="float32")
    file.unlink()
    kind, network = type(loaded), loaded._sam
    exact = kind(network, entry, device="cpu", precision="float32", reduced=False)
    embedding = exact.encode(image)
    answers = answer(exact, embedding, expected)
    reduced = kind(network, entry, device="cpu", precision="float32", reduced=True).encode(image).arrays
    pairs = [(answers[name], expected[name]) for name in expected]
    strongest = max(float(np.abs(theirs.logits).max()) for _, theirs in pairs)
    return {
        "parameters (million)": round(parameters / 1e6, 2),
        "tensor": float((seen - tensor).abs().max()),
        "embedding": largest(embedding.arrays, features),
        "logits, of the largest": max(
            float(np.abs(own.low_res - theirs.logits).max()) / strongest for own, theirs in pairs
        ),
        "largest logit": strongest,
        "answers that differ": len({theirs.logits[0].tobytes() for _, theirs in pairs}),
        "qualities": max(float(np.abs(own.qualities - theirs.qualities.clip(0, 1)).max()) for own, theirs in pairs),
        "pixels": float(np.mean([(own.masks != theirs.masks).mean() for own, theirs in pairs])),
        "inside": float(np.mean([theirs.masks.mean() for _, theirs in pairs])),
        "cosine in bfloat16": smallest_cosine(reduced, features),
    }


def distinct(zoo: Mapping[str, "ModelEntry"]) -> dict[str, "ModelEntry"]:
    """Return one model of each architecture and recipe: the others differ from it in their weights only."""
    found: dict[tuple[str, str], str] = {}
    for name, entry in zoo.items():
        plain = name not in VITS and name not in TINY_VITS and not entry.facts.recipe.endswith("sam2")
        found.setdefault((entry.facts.recipe, "vit_b" if plain else name), name)
    return {name: zoo[name] for name in found.values()}


def measure(run: report.Run) -> None:
    """Compare every model of the zoo at full size with its authors' recipe on random weights."""
    import torch

    from napari_medfm.models.zoo import SAM2_FAMILY, SAM_FAMILY

    torch.set_num_threads(run.options.threads)
    zoo = {**SAM_FAMILY, **SAM2_FAMILY}
    # The largest last, so that too little memory costs only them.
    names = run.options.models or (QUICK if run.quick else sorted(distinct(zoo), key=tuple(VITS).__contains__))
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows[name] = compare(zoo[name], Path(folder))
            gc.collect()
            run.detail(name, {key: float(f"{value:.6g}") for key, value in rows[name].items()})
    run.n = len(rows)
    run.bar("models", len(rows))
    for bar, key in (
        ("largest_tensor_difference", "tensor"),
        ("largest_embedding_difference", "embedding"),
        ("largest_logit_difference", "logits, of the largest"),
        ("largest_share_of_differing_pixels", "pixels"),
    ):
        run.bar(bar, max(row[key] for row in rows.values()))
    run.bar("smallest_cosine_reduced", min(row["cosine in bfloat16"] for row in rows.values()))
    run.detail("threads", torch.get_num_threads())
    if sys.platform == "linux":
        run.detail("peak memory (GB)", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both")


if __name__ == "__main__":
    report.main("zoo_parity", measure, _options)
