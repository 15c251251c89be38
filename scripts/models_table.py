"""Write docs/models.md: every model of the registry with what is known of it, and those that are not offered.

    python scripts/models_table.py

A test compares the file with what this makes.
"""

import json
from pathlib import Path
from typing import Any

from napari_medfm.files import atomic_write_bytes
from napari_medfm.models import ModelEntry
from napari_medfm.models.others import OTHERS
from napari_medfm.models.recipes import RECIPES, REGION_RECIPES
from napari_medfm.models.zoo import COMPACT, RANDOM_WALKER, REGION_FAMILY, SAM2_FAMILY, SAM_FAMILY

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "models.md"
PARITY = ROOT / "benchmarks" / "results" / "zoo_parity.json"

HEAD = """# The models

Made by `python scripts/models_table.py` from the registry; figures of the last column by
`python benchmarks/zoo_parity.py`. No weights but the built-in model's could be had where this was written: each
architecture was built at full size with seeded random weights, saved in its published layout, loaded here by its name
and compared with a reference. What a real file answers, its authors' papers tell.

Digests of other publishers' files are pinned; a file that differs is refused. Bytes are those of one slice, or of one
region of a model of volumes ([volume_models.md](volume_models.md)), in the cache. For research use only, not for
diagnosis.

Slices whose pixels are not square, such as coronal ones through thick axial slices, keep their proportions where a
model keeps those of an image: `compact` and the models that scale the longest side are shown square pixels.
`random_walker` walks from pixel to pixel. Those that `stretch` are shown every slice as a square, whatever its shape
and that of its pixels, as their authors trained them.

"""

OTHERS_HEAD = """
## Not offered

Also told by `napari-medfm models others`.

"""


def table(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [titles, tuple("---" for _ in titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def model_row(entry: ModelEntry, details: dict[str, Any]) -> tuple[str, ...]:
    """Return what is known of a model, as cells."""
    facts = entry.facts
    licence = facts.licence or "unknown"
    asked = {**RECIPES, **REGION_RECIPES}[facts.recipe].preprocessing if facts.recipe else ""
    measured = details.get(entry.name)
    found = facts.verified
    if measured is not None:
        found += f": logits differ by {measured['logits, of the largest']:.0e} of the largest"
    return (
        f"`{entry.name}`",
        facts.title,
        f"{facts.tier}; {facts.origin}",
        licence if facts.commercial_use else f"{licence}; **no commercial use**",
        weights(entry),
        asked,
        f"{facts.embedding_bytes / 1e6:.2f} MB" if facts.embedding_bytes else "",
        found,
    )


def weights(entry: ModelEntry) -> str:
    """Return where the weights of a model come from, and what they must be."""
    file = entry.facts.file
    if file is None:
        return {"none": "none", "package": "in the package", "file": "your file"}[entry.facts.weights]
    size = f", {file.size / 1e6:.0f} MB" if file.size else ""
    kind, _, digest = file.digest.partition(":")
    return f"`{file.name}`{size}, {kind} {digest[:12]}…"


def page() -> str:
    """Return the whole page."""
    details = json.loads(PARITY.read_text())["details"] if PARITY.exists() else {}
    entries = (COMPACT, RANDOM_WALKER, *SAM_FAMILY.values(), *SAM2_FAMILY.values(), *REGION_FAMILY.values())
    titles = (
        "name",
        "model",
        "tier; origin",
        "licence of the weights",
        "weights",
        "how images are prepared",
        "a slice or region",
    )
    models = table((*titles, "how it was verified"), [model_row(entry, details) for entry in entries])
    others = table(("model", "why not", "how to use it"), [(one.title, one.reason, one.way) for one in OTHERS])
    return HEAD + models + OTHERS_HEAD + others


if __name__ == "__main__":
    TABLE.parent.mkdir(exist_ok=True)
    atomic_write_bytes(TABLE, page().encode())
