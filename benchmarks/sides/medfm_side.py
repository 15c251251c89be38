"""This package, asked by ``peers.py`` in a process of its own, as the other side is."""

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from lines import Lines, timed

from napari_medfm.inference import DiskStore, Predictor, embed_planes
from napari_medfm.models import ImageEmbedding, MaskPrediction, load_model
from napari_medfm.models.backends.sam import SamModel
from napari_medfm.models.sam_layouts import build
from napari_medfm.models.weights import load_state_dict
from napari_medfm.volume import Plane, Volume, Window, array_geometry, fingerprint

BUDGET_BYTES = 10**10
WINDOW = Window("as it is", 0.0, 255.0)


class MedfmSide:
    """See `sides`."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def prepare(self, weights: str, volume: str, folder: str, threads: int) -> dict[str, str]:
        torch.set_num_threads(threads)
        array = np.load(volume)
        self.weights = weights
        self.volume = Volume(array, array_geometry(array.shape))
        self.store = DiskStore(Path(folder) / "embeddings", BUDGET_BYTES)
        self.predictor = Predictor(load_model("sam", weights=weights, device="cpu"), self.store)
        return {name: version(name) for name in ("napari-medfm", "torch", "segment-anything")}

    def precompute(self) -> float:
        """Embed the volume, pausing after each slice; answer with the seconds after the last one."""
        began = time.perf_counter()
        self.voxels = fingerprint(self.volume)
        planes = self.volume.geometry.planes()
        for done in embed_planes(self.predictor, self.volume, self.voxels, WINDOW, planes):
            if done is not None:
                self.lines.pause(time.perf_counter() - began)
                began = time.perf_counter()
        return time.perf_counter() - began

    def load_first(self, index: int) -> float:
        """Find out what the volume is, open the store and take one slice."""

        def load() -> None:
            self.voxels = fingerprint(self.volume)
            self._load(index)

        return timed(load)[0]

    def load_again(self, index: int) -> float:
        return timed(lambda: self._load(index))[0]

    def prompt(self, kind: str, position: list[float], times: int) -> list[float]:
        return [timed(lambda: self._answer(kind, position))[0] for _ in range(times)]

    def save(self, kind: str, position: list[float], mask: str, features: str) -> None:
        np.save(mask, self._answer(kind, position).mask)
        np.save(features, self.embedding.arrays["features"].astype(np.float32))

    def be_exact(self, index: int) -> float:
        """From now on do without bfloat16 and without float16 on the disk; return the seconds to embed a slice so."""
        sam = build(load_state_dict(self.weights), Path(self.weights).name)
        self.predictor = Predictor(SamModel(sam, device="cpu", precision="float32", reduced=False))
        seconds, self.embedding = timed(
            lambda: self.predictor.embed(WINDOW.to_uint8(self.volume.plane(Plane(0, index))))
        )
        return seconds

    def _load(self, index: int) -> None:
        found = self.predictor.lookup(self.predictor.key(self.voxels, Plane(0, index), WINDOW))
        if found is None:
            msg = f"slice {index} is not in the store"
            raise LookupError(msg)
        self.embedding: ImageEmbedding = found

    def _answer(self, kind: str, position: list[float]) -> MaskPrediction:
        if kind == "box":
            return self.predictor.predict(self.embedding, box=position)
        return self.predictor.predict(self.embedding, points=[position])


if __name__ == "__main__":
    lines = Lines()
    lines.serve(MedfmSide(lines))
