"""Random walks on a grid of pixels (Grady, IEEE TPAMI 2006), solved directly.

A walk steps to one of four neighbours, seldom across an edge of the image. The
probability that it first reaches a seed of the object solves a linear system
with the grid's Laplacian; ordered by its shorter side that matrix is so narrowly
banded that a Cholesky factorisation takes a few milliseconds, always the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

_BETA = 3.0  # how much an edge hinders; 2 to 8 make no difference that could be measured
_SMOOTHING = 0.5  # pixels
_PLAIN = 0.05  # of an image's contrast is no edge
_LEAST = 1e-5  # no edge stops a walk altogether
_SEED = 1e4  # holds a seed at its value against weights of at most 4


@dataclass(frozen=True, slots=True, eq=False)
class EdgeWeights:
    """How willingly a walk steps between neighbours, 0..1.

    Attributes
    ----------
    down : ndarray, (rows - 1, columns)
        Between a pixel and the one below.
    right : ndarray, (rows, columns - 1)
        Between a pixel and the one to its right.
    """

    down: Array
    right: Array

    @classmethod
    def of(cls, image: Array, contrast: float) -> "EdgeWeights":
        """Compare neighbours.

        Parameters
        ----------
        image : ndarray, (rows, columns, channels)
            Smoothed a little here, against noise.
        contrast : float
            Standard deviation of the whole image. Edges count relative to the mean
            edge; in a plain part of the image, where that is noise, also to this.
        """
        smooth = gaussian_filter(image, (_SMOOTHING, _SMOOTHING, 0), mode="nearest")
        down = (np.diff(smooth, axis=0) ** 2).sum(axis=-1)
        right = (np.diff(smooth, axis=1) ** 2).sum(axis=-1)
        mean = (down.sum() + right.sum()) / max(1, down.size + right.size)
        scale = mean + image.shape[2] * (_PLAIN * contrast) ** 2 + 1e-3
        return cls(np.exp(-_BETA / scale * down) + _LEAST, np.exp(-_BETA / scale * right) + _LEAST)

    @property
    def transposed(self) -> "EdgeWeights":
        """The same for the image with rows and columns exchanged."""
        return EdgeWeights(self.right.T, self.down.T)


def probabilities(
    weights: EdgeWeights, seeds: NDArray[np.int8], prior: Array | float = 0.0, trust: float = 0.0
) -> Array:
    """Return the probability of belonging to the object, (rows, columns).

    Parameters
    ----------
    weights : EdgeWeights
        Of the image.
    seeds : ndarray of int8, (rows, columns)
        1 object, -1 background, 0 unknown; at least one seed unless `trust` is positive.
    prior : ndarray, (rows, columns), optional
        What is believed of each pixel beforehand, 0..1 (Grady, CVPR 2005).
    trust : float, optional
        Weight of the prior: a walk ends in it with this weight against 1 per step.
    """
    pull = np.where(seeds != 0, _SEED, trust)
    source = np.where(seeds != 0, _SEED * (seeds > 0), trust * prior)
    if seeds.shape[1] > seeds.shape[0]:
        return np.clip(_solve(weights.transposed, pull.T, source.T).T, 0.0, 1.0)
    return np.clip(_solve(weights, pull, source), 0.0, 1.0)


def cuts(weights: EdgeWeights, probability: Array) -> tuple[Array, Array]:
    """Return what each level set of the probability cuts.

    A sweep cut as in local graph partitioning (Andersen, Chung and Lang, 2006): an
    outline that follows edges of the image cuts small weights only.

    Parameters
    ----------
    weights : EdgeWeights
        Of the image.
    probability : ndarray, (rows, columns)
        Orders the pixels.

    Returns
    -------
    weight, count : ndarray, (rows * columns,)
        Sum of the weights cut, and their number; entry k for the k + 1 most probable pixels.
    """
    size = probability.size
    order = np.argsort(-probability, axis=None, kind="stable")
    rank = np.argsort(order).reshape(probability.shape)
    one = np.concatenate((rank[1:].ravel(), rank[:, 1:].ravel()))
    other = np.concatenate((rank[:-1].ravel(), rank[:, :-1].ravel()))
    weight = np.concatenate((weights.down.ravel(), weights.right.ravel()))
    # An edge is cut from the level that takes in one of its ends to the level that takes in both.
    enters, leaves = np.minimum(one, other), np.maximum(one, other)
    total = np.cumsum(np.bincount(enters, weight, size) - np.bincount(leaves, weight, size))
    count = np.cumsum(np.bincount(enters, minlength=size) - np.bincount(leaves, minlength=size))
    return total, count.astype(np.float64)


def _solve(weights: EdgeWeights, pull: Array, source: Array) -> Array:
    """Solve (Laplacian + diag(pull)) x = source on a grid that is at least as high as wide."""
    rows, columns = pull.shape
    if pull.size == 1:  # no neighbours, no bands
        return source / pull
    diagonal = pull.copy()
    diagonal[1:] += weights.down
    diagonal[:-1] += weights.down
    diagonal[:, 1:] += weights.right
    diagonal[:, :-1] += weights.right
    bands = np.zeros((columns + 1, rows, columns))
    bands[0] = diagonal
    bands[1, :, :-1] -= weights.right
    bands[columns, :-1] -= weights.down  # the same band if there is one column only
    solved: Array = linalg.solveh_banded(
        bands.reshape(columns + 1, -1), source.ravel(), lower=True, overwrite_ab=True, check_finite=False
    )
    return solved.reshape(rows, columns)
