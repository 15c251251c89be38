"""The models this package brings, as data: where each comes from, whose it is, how it is asked, how that was verified.

Nobody's weights could be had where this was written. The publisher's own digest of Segment Anything is the beginning of
the md5 in each name; its SHA-256 were published by others who had the files. A file that differs is refused, and can be
brought by hand.
"""

from napari_medfm.models.base import ModelFacts, WeightsFile
from napari_medfm.models.registry import ModelEntry

_SAM_BYTES = 256 * 64 * 64 * 2
_SAM2_BYTES = (32 * 256 * 256 + 64 * 128 * 128 + 256 * 64 * 64) * 2
_UPSTREAM = "random weights at full size, against segment-anything 1.0"
_RECIPE = "random weights at full size, against the authors' recipe written anew on segment-anything 1.0"
_TINY = "random weights at full size, against TinyViT of timm with the decoder of segment-anything 1.0"
_TRANSFORMERS = "random weights at full size in the published layout, against Sam2Model of transformers"

RANDOM_WALKER = ModelEntry(
    name="random_walker",
    factory="napari_medfm.models.backends.random_walker:load",
    facts=ModelFacts(
        "Random walker",
        tier="classical",
        origin="no training",
        licence="BSD-3-Clause",
        verified="phantoms and real images with expert masks",
    ),
)

_SAM = "napari_medfm.models.backends.sam:load"


def _like_sam(name: str, facts: ModelFacts) -> ModelEntry:
    return ModelEntry(name, _SAM, facts, {"model": name})


def _original(name: str, title: str, file: WeightsFile) -> ModelEntry:
    licence = "Apache-2.0"
    return _like_sam(
        name,
        ModelFacts(
            title,
            "general natural",
            "from scratch",
            licence,
            weights="download",
            recipe="sam",
            file=file,
            embedding_bytes=_SAM_BYTES,
            verified=_UPSTREAM,
        ),
    )


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
        embedding_bytes=_SAM_BYTES,
        verified=_RECIPE,
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
        embedding_bytes=_SAM_BYTES,
        verified=_UPSTREAM,
    ),
)


def _micro_sam(name: str, title: str, file: WeightsFile) -> ModelEntry:
    facts = ModelFacts(
        f"micro-sam, {title} (ViT-B)",
        tier="modality",
        licence="see the model's card; code MIT",
        commercial_use=False,  # as long as one does not know better
        weights="download",
        recipe="sam",
        file=file,
        embedding_bytes=_SAM_BYTES,
        verified=_UPSTREAM,
    )
    return _like_sam(name, facts)


# Addresses and digests stand in the source of micro-sam 1.8.14.
_BIOIMAGE = "https://uk1s3.embassy.ebi.ac.uk/public-datasets/bioimage.io"

_MICRO_SAM = (
    _micro_sam(
        "micro-sam-lm",
        "light microscopy",
        WeightsFile(
            "vit_b_lm.pt",
            f"{_BIOIMAGE}/diplomatic-bug/1.2/files/vit_b.pt",
            "xxh128:fe9252a29f3f4ea53c15a06de471e186",
        ),
    ),
    _micro_sam(
        "micro-sam-em",
        "organelles in electron microscopy",
        WeightsFile(
            "vit_b_em_organelles.pt",
            f"{_BIOIMAGE}/noisy-ox/1.2/files/vit_b.pt",
            "xxh128:f3bf2ed83d691456bae2c3f9a05fb438",
        ),
    ),
    _micro_sam(
        "micro-sam-histopathology",
        "histopathology",
        WeightsFile(
            "vit_b_histopathology.pt",
            "https://owncloud.gwdg.de/index.php/s/sBB4H8CTmIoBZsQ/download",
            "xxh128:ffd1a2cd84570458b257bd95fdd8f974",
        ),
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
        embedding_bytes=_SAM_BYTES,
        verified=_RECIPE,
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
        embedding_bytes=_SAM_BYTES,
        verified=_TINY,
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
        embedding_bytes=_SAM_BYTES,
        verified=_TINY,
    ),
)

_MEMBERS = (SAM, SAM_L, SAM_H, MOBILE_SAM, MEDSAM, LITE_MEDSAM, MEDICOSAM, *_MICRO_SAM, SCRIBBLEPROMPT_SAM)

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
        embedding_bytes=_SAM2_BYTES,
        verified=_TRANSFORMERS,
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
        embedding_bytes=_SAM2_BYTES // 4,
        verified=_TRANSFORMERS,
    ),
)

SAM2_FAMILY = {entry.name: entry for entry in (*_SAM2_SIZES, MEDSAM2)}
"""State dicts of Segment Anything 2; only its image model is used."""

_VISTA3D_FILE = "https://developer.download.nvidia.com/assets/Clara/monai/tutorials/model_zoo/model_vista3d.pt"

VISTA_3D = ModelEntry(
    name="vista3d",
    factory="napari_medfm.models.backends.vista3d:load",
    facts=ModelFacts(
        "VISTA3D (volumes, CT)",
        tier="modality",
        origin="from scratch",
        licence="NVIDIA NCLS v1; code Apache-2.0",
        commercial_use=False,
        weights="download",
        recipe="vista3d",
        # Address and digest stand in the model zoo of MONAI.
        file=WeightsFile("model_vista3d.pt", _VISTA3D_FILE, "md5:6ce45a8edde4400c5d28d5e74d7b61d5"),
        note="CT in HU only. A click in any plane segments in 3-D; a new region takes a minute on a CPU.",
        embedding_bytes=48 * 64**3 * 2,
        verified="random weights at full size, against the network of MONAI 1.6.1 and the authors' transforms",
    ),
)

REGION_FAMILY = {VISTA_3D.name: VISTA_3D}
"""Models of volumes; each has a `napari_medfm.models.base.RegionRecipe` of its own."""

COMPACT = ModelEntry(
    name="compact",
    factory="napari_medfm.models.backends.compact:load",
    facts=ModelFacts(
        "Compact (built in)",
        origin="from scratch",
        licence="CC-BY-SA-4.0",
        weights="package",
        verified="the shipped weights, on six data sets left out of training",
    ),
)

FAMILIES = {COMPACT.name: COMPACT, **SAM_FAMILY, **SAM2_FAMILY, **REGION_FAMILY}
"""Models whose checkpoints anyone may add, see `napari_medfm.models.catalogue.add_model`."""
