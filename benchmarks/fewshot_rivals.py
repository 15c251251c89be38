"""What ``fewshot.py`` compares with: a forest on the same embeddings, and a U-Net trained from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import process_time

import numpy as np
import torch
from fewshot_data import Mask, Slice
from monai.losses import DiceCELoss
from monai.networks.nets import UNet
from monai.transforms import Compose, RandAdjustContrastd, RandAffined, RandFlipd
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor
from torch.nn import functional

from napari_medfm.models.adaptable import Adaptable, Square

_TREES, _PIXELS = 200, 20_000
_FINER = 2  # cells of the forest's answer in a cell of the features
_SIDE = 192  # pixels that the U-Net sees, as many as the built-in model
_BATCH = 4


class Forest:
    """A random forest on the features of each cell, as FeatureForest and Convpaint train them.

    Features are enlarged twice by interpolation; classes weigh alike.
    """

    def __init__(self, model: Adaptable, slices: Sequence[Slice], seed: int) -> None:
        self._model = model
        rows, shares = [], []
        for each in slices:
            cells, square = self._cells(each)
            rows.append(cells)
            shares.append(square.shares(each.mask, _FINER * self._side).ravel() > 0.5)
        features, inside = np.concatenate(rows), np.concatenate(shares)
        chosen = np.random.default_rng(seed).permutation(len(features))[:_PIXELS]
        self._forest = RandomForestClassifier(_TREES, class_weight="balanced", min_samples_leaf=2, random_state=seed)
        self._forest.fit(features[chosen], inside[chosen])

    def segment(self, each: Slice) -> Mask:
        """Return the mask, (rows, columns)."""
        cells, square = self._cells(each)
        known = list(self._forest.classes_)
        probability = self._forest.predict_proba(cells)[:, known.index(True)] if True in known else np.zeros(len(cells))
        side = _FINER * self._side
        return square.spread(probability.reshape(side, side).astype(np.float32)) > 0.5

    def _cells(self, each: Slice) -> tuple[np.ndarray, Square]:
        look = self._model.look(self._model.encode(each.image))
        self._side = look.features.shape[-1]
        finer = functional.interpolate(look.features[None], scale_factor=_FINER, mode="bilinear", align_corners=False)
        return finer[0].flatten(1).T.cpu().numpy(), look.square


@dataclass
class Unet:
    """MONAI's small U-Net, trained from scratch on the same slices; goes on where it stopped."""

    slices: Sequence[Slice]
    mirrored: bool
    seed: int
    seconds: float = 0.0
    steps: int = 0
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        torch.manual_seed(self.seed)
        self._rng = np.random.default_rng(self.seed)
        self._net = UNet(2, 3, 1, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=1)
        self._optimiser = torch.optim.AdamW(self._net.parameters(), lr=1e-3)
        self._loss = DiceCELoss(sigmoid=True)
        turned = RandAffined(
            ["image", "label"],
            prob=1.0,
            rotate_range=0.2,
            scale_range=0.15,
            translate_range=12,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        )
        lit = RandAdjustContrastd(["image"], prob=0.5, gamma=(0.75, 1.35))
        flips = [RandFlipd(["image", "label"], 0.5, axis) for axis in (0, 1)] if self.mirrored else []
        self._change = Compose([turned, lit, *flips]).set_random_state(self.seed)
        self._examples = [{"image": _seen(each), "label": _drawn(each)} for each in self.slices]

    def train(self, seconds: float) -> None:
        """Train until that took so many seconds of the processor."""
        self._net.train()
        while self.seconds < seconds:
            start = process_time()
            chosen = self._rng.integers(len(self._examples), size=_BATCH)
            batch = [self._change(self._examples[index]) for index in chosen]
            images, labels = (torch.stack([torch.as_tensor(each[key]) for each in batch]) for key in ("image", "label"))
            self._optimiser.zero_grad()
            self._loss(self._net(images), labels).backward()
            self._optimiser.step()
            self.steps += 1
            self.seconds += process_time() - start

    @torch.inference_mode()
    def segment(self, each: Slice) -> Mask:
        """Return the mask, (rows, columns)."""
        logits = self._net.eval()(_seen(each)[None])[0, 0].numpy()
        return _square(each).spread(logits, -1.0) > 0


def _square(each: Slice) -> Square:
    shape = each.labels.shape
    return Square((0.0, 0.0), (float(max(shape)),) * 2, (shape[0], shape[1]))


def _seen(each: Slice) -> Tensor:
    """The image in a black square, (3, side, side), 0..1."""
    image = each.image if each.image.ndim == 3 else np.repeat(each.image[..., None], 3, axis=2)
    rows, columns = (max(1, round(size * _SIDE / max(image.shape[:2]))) for size in image.shape[:2])
    square = np.zeros((_SIDE, _SIDE, 3), dtype=np.float32)
    square[:rows, :columns] = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BOX)) / 255
    return torch.from_numpy(square).permute(2, 0, 1).contiguous()


def _drawn(each: Slice) -> Tensor:
    return torch.from_numpy((_square(each).shares(each.mask, _SIDE) > 0.5).astype(np.float32))[None]
