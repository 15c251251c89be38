"""micro-sam's public functions, asked by ``peers.py``. Runs in micro-sam's own environment."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lines import Lines, timed
from micro_sam.prompt_based_segmentation import segment_from_box, segment_from_points
from micro_sam.util import get_sam_model, precompute_image_embeddings, set_precomputed


class MicroSamSide:
    """See `sides`."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def prepare(self, weights: str, volume: str, folder: str, threads: int) -> dict[str, str]:
        torch.set_num_threads(threads)
        self.volume = np.load(volume)
        self.store = Path(folder) / "embeddings.zarr"
        self.predictor = get_sam_model(model_type="vit_b", checkpoint_path=weights, device="cpu")
        return {name: version(name) for name in ("micro-sam", "torch", "zarr", "segment-anything-py")}

    def precompute(self) -> float:
        """Embed the volume, pausing after each slice; answer with the seconds after the last one."""
        began = time.perf_counter()

        def after_a_slice(_: int) -> None:
            nonlocal began
            self.lines.pause(time.perf_counter() - began)
            began = time.perf_counter()

        self._embeddings(verbose=True, pbar_init=lambda *_: None, pbar_update=after_a_slice)
        return time.perf_counter() - began

    def load_first(self, index: int) -> float:
        """Open what was computed before and take one slice: only that one is read."""

        def load() -> None:
            self.embeddings = self._embeddings(lazy_loading=True, verbose=False)
            set_precomputed(self.predictor, self.embeddings, i=index)

        return timed(load)[0]

    def load_again(self, index: int) -> float:
        return timed(lambda: set_precomputed(self.predictor, self.embeddings, i=index))[0]

    def load_all(self) -> float:
        """Open it as by default, and as the widget does: every slice is read."""
        return timed(lambda: self._embeddings(verbose=False))[0]

    def prompt(self, kind: str, position: list[float], times: int) -> list[float]:
        return [timed(lambda: self._answer(kind, position))[0] for _ in range(times)]

    def save(self, kind: str, position: list[float], mask: str, features: str) -> None:
        np.save(mask, self._answer(kind, position)[0])
        np.save(features, self.predictor.get_image_embedding()[0].numpy())

    def _embeddings(self, **options: Any) -> dict[str, Any]:
        return precompute_image_embeddings(self.predictor, self.volume, save_path=self.store, ndim=3, **options)

    def _answer(self, kind: str, position: list[float]) -> np.ndarray:
        if kind == "box":
            return segment_from_box(self.predictor, np.array(position))
        return segment_from_points(self.predictor, np.array([position]), np.array([1]))


if __name__ == "__main__":
    lines = Lines()
    lines.serve(MicroSamSide(lines))
