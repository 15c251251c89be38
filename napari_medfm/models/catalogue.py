"""The models this package brings, and the registry everything uses unless given another."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from napari_medfm.errors import UnknownModelError
from napari_medfm.models.base import ModelFacts, PromptableModel, WeightsFile
from napari_medfm.models.own import describe_checkpoint, own_entries, read_own, write_own
from napari_medfm.models.registry import ModelEntry, ModelRegistry
from napari_medfm.settings import load_settings

ENTRY_POINT_GROUP = "napari_medfm.models"
"""Entry-point group in which other packages offer a `ModelEntry`."""

RANDOM_WALKER = ModelEntry(
    name="random_walker",
    factory="napari_medfm.models.backends.random_walker:load",
    facts=ModelFacts("Random walker", tier="classical", origin="no training", licence="BSD-3-Clause"),
)

_SAM = "napari_medfm.models.backends.sam:load"


def _like_sam(name: str, facts: ModelFacts) -> ModelEntry:
    return ModelEntry(name, _SAM, facts, {"model": name})


def _original(name: str, title: str, file: WeightsFile) -> ModelEntry:
    licence = "Apache-2.0"
    facts = ModelFacts(title, "general natural", "from scratch", licence, weights="download", recipe="sam", file=file)
    return _like_sam(name, facts)


# The publisher's own digest is the beginning of the md5 in each name; the SHA-256 were published by others who had the
# files. None of them was downloaded where this was written: a file that differs is refused, and can be brought by hand.
_META = "https://dl.fbaipublicfiles.com/segment_anything"

SAM = _original(
    "sam",
    "Segment Anything (ViT-B)",
    WeightsFile(
        "sam_vit_b_01ec64.pth",
        f"{_META}/sam_vit_b_01ec64.pth",
        "sha256:ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        375_042_383,
    ),
)

SAM_L = _original(
    "sam-l",
    "Segment Anything (ViT-L)",
    WeightsFile(
        "sam_vit_l_0b3195.pth",
        f"{_META}/sam_vit_l_0b3195.pth",
        "sha256:3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
)

SAM_H = _original(
    "sam-h",
    "Segment Anything (ViT-H)",
    WeightsFile(
        "sam_vit_h_4b8939.pth",
        f"{_META}/sam_vit_h_4b8939.pth",
        "sha256:a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        2_564_550_879,
    ),
)

MEDSAM = _like_sam(
    "medsam",
    ModelFacts(
        "MedSAM (ViT-B)",
        licence="Apache-2.0",
        weights="download",
        recipe="medsam",
        file=WeightsFile(
            "medsam_vit_b.pth",
            "https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
            "md5:3bb6db55bd0c9ca30b61248bca72f8d6",
        ),
        note="Trained with boxes only: draw a box first, clicks correct little.",
    ),
)

MEDICOSAM = _like_sam(
    "medicosam",
    ModelFacts(
        "MedicoSAM (ViT-B)",
        licence="MIT",
        weights="download",
        recipe="sam",
        file=WeightsFile(
            "medicosam_vit_b.pt",
            "https://owncloud.gwdg.de/index.php/s/f5Ol4FrjPQWfjUF/download",
            "xxh128:40169f1e3c03a4b67bff58249c176d92",
        ),
    ),
)

MICRO_SAM = _like_sam(
    "micro-sam",
    ModelFacts(
        "micro-sam (light and electron microscopy, histopathology)",
        tier="modality",
        licence="see the model's card",
        commercial_use=False,  # as long as one does not know better
        weights="file",
        recipe="sam",
    ),
)

SCRIBBLEPROMPT_SAM = _like_sam(
    "scribbleprompt-sam",
    ModelFacts(
        "ScribblePrompt-SAM (ViT-B)",
        licence="not stated; code Apache-2.0",
        commercial_use=False,
        weights="file",
        recipe="scribbleprompt-sam",
        note="Sees grey images; a stroke counts pixel by pixel.",
    ),
)

MOBILE_SAM = _like_sam(
    "mobile-sam",
    ModelFacts(
        "MobileSAM",
        tier="general natural",
        licence="Apache-2.0",
        weights="download",
        recipe="sam",
        file=WeightsFile(
            "mobile_sam.pt",
            "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights/mobile_sam.pt",
            "md5:f3c0d8cda613564d499310dab6c812cd",
        ),
    ),
)

LITE_MEDSAM = _like_sam(
    "lite-medsam",
    ModelFacts(
        "LiteMedSAM",
        licence="Apache-2.0",
        weights="file",
        recipe="lite-medsam",
        note="Trained with boxes only: draw a box first, clicks correct little.",
    ),
)

_MEMBERS = (SAM, SAM_L, SAM_H, MOBILE_SAM, MEDSAM, LITE_MEDSAM, MEDICOSAM, MICRO_SAM, SCRIBBLEPROMPT_SAM)

SAM_FAMILY = {entry.name: entry for entry in _MEMBERS}
"""State dicts of one layout; each has a `napari_medfm.models.recipes.Recipe` of its own."""

_IMAGES_ONLY = "Answers slice by slice, without its memory for videos; needs the extra 'sam2'."
_SAM2_FILES = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"


def _like_sam2(name: str, facts: ModelFacts) -> ModelEntry:
    return ModelEntry(name, "napari_medfm.models.backends.sam2:load", facts, {"model": name})


def _sam2(size: str, title: str, sha256: str, nbytes: int = 0) -> ModelEntry:
    name = f"sam2.1_hiera_{size.replace('-', '_')}.pt"
    facts = ModelFacts(
        f"SAM 2.1 ({title})",
        "general natural",
        "from scratch",
        "Apache-2.0",
        weights="download",
        recipe="sam2",
        note=_IMAGES_ONLY,
        file=WeightsFile(name, f"{_SAM2_FILES}/{name}", f"sha256:{sha256}", nbytes),
    )
    return _like_sam2(f"sam2-{size}", facts)


_SAM2_SIZES = (
    _sam2("tiny", "Hiera-T", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69", 156_008_466),
    _sam2("small", "Hiera-S", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    _sam2("base-plus", "Hiera-B+", "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    _sam2("large", "Hiera-L", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
)

MEDSAM2 = _like_sam2(
    "medsam2",
    ModelFacts(
        "MedSAM2 (Hiera-T at 512 pixels)",
        licence="see the model's card; code Apache-2.0",
        commercial_use=False,  # as long as one does not know better
        weights="file",
        recipe="medsam2",
        note=_IMAGES_ONLY,
    ),
)

SAM2_FAMILY = {entry.name: entry for entry in (*_SAM2_SIZES, MEDSAM2)}
"""State dicts of Segment Anything 2; only its image model is used."""

COMPACT = ModelEntry(
    name="compact",
    factory="napari_medfm.models.backends.compact:load",
    facts=ModelFacts("Compact (built in)", origin="from scratch", licence="CC-BY-SA-4.0", weights="package"),
)

FAMILIES = {COMPACT.name: COMPACT, **SAM_FAMILY, **SAM2_FAMILY}
"""Models whose checkpoints anyone may add, see `add_model`."""


def _discover() -> Iterator[EntryPoint | ModelEntry]:
    yield from entry_points(group=ENTRY_POINT_GROUP)
    yield from own_entries(_own_list(), FAMILIES)


def _own_list() -> Path:
    return load_settings().data_dir / "models.json"


DEFAULT_REGISTRY = ModelRegistry((COMPACT, RANDOM_WALKER, *SAM_FAMILY.values(), *SAM2_FAMILY.values()), _discover)
"""The registry of this process."""


def register_model(
    name: str, factory: str, facts: ModelFacts | None = None, *, registry: ModelRegistry = DEFAULT_REGISTRY
) -> Callable[[], None]:
    """Register a model and return a function that takes it out again; nothing is imported.

    Parameters
    ----------
    name : str
        Lower-case letters, digits, ``_``, ``.`` and ``-``.
    factory : str
        ``"package.module:factory"``; `load_model` calls it with the options it was given.
    facts : ModelFacts, optional
        What is known before loading; by default only the title, which is the name.
    registry : ModelRegistry
        The package's own by default.

    Raises
    ------
    ModelError
        The name is taken, or name or factory is malformed.
    """
    return registry.register(ModelEntry(name, factory, facts or ModelFacts(title=name)))


def add_model(name: str, like: str, weights: Path, title: str = "") -> ModelEntry:
    """Add a checkpoint of a known family for good, such as a fine-tuned MedSAM; it is loaded once to see that it fits.

    Parameters
    ----------
    name : str
        For the registry.
    like : str
        One of `FAMILIES`: whose architecture and preprocessing it has.
    weights : Path
        Its file, which stays where it is. Its digest is remembered: another file in its place will be refused.
    title : str
        Shown to people; by default the name.

    Raises
    ------
    ModelError
        The name is taken or malformed, the family unknown, or the list of added models damaged; `WeightsError` if
        the file does not fit.
    WriteError
        The list of added models cannot be written.
    """
    if like not in FAMILIES:
        raise UnknownModelError(repr(like), "is no family of models", f"Choose one of: {', '.join(FAMILIES)}.")
    known = read_own(_own_list())
    model = describe_checkpoint(name, like, weights, title)
    entry = model.entry(FAMILIES[like])
    entry.load()
    take_out = DEFAULT_REGISTRY.register(entry)
    try:
        write_own(_own_list(), (*known, model))
    except BaseException:
        take_out()
        raise
    return entry


def load_model(name: str, *, registry: ModelRegistry = DEFAULT_REGISTRY, **options: Any) -> PromptableModel:
    """Load a model by name.

    Parameters
    ----------
    name : str
        One of `available_models`.
    registry : ModelRegistry
        The package's own by default.
    **options
        Passed to the model's factory, such as ``weights=path``.

    Raises
    ------
    UnknownModelError
        No model of that name.
    ModelError
        The model cannot be imported or made; `WeightsError` if its weights were refused.
    """
    return registry.entry(name).load(**options)


def available_models(*, registry: ModelRegistry = DEFAULT_REGISTRY) -> tuple[ModelEntry, ...]:
    """Return every registered model with its facts; no model is imported."""
    return registry.entries()
