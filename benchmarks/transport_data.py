"""Transport problems for the benchmarks: random points, and images of ../shared/data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ot.lp.emd_wrap import emd_c
from PIL import Image
from scipy.spatial.distance import cdist

from benchmarks.peers import SHARED_DATA

Floats = NDArray[np.float64]
HAS_DATA = (SHARED_DATA / "corel1k").is_dir()
_MOST_PIVOTS = 10**8


@dataclass(frozen=True, eq=False)
class Problem:
    """Masses as they come, and where they are.

    Attributes
    ----------
    a, b : ndarray
        Integer counts, or floats with total 1.
    x, y : ndarray of float64, shapes (n, dims) and (m, dims)
        The same object for both where the support is shared.
    metric : str
        SciPy's name.
    """

    a: NDArray[Any]
    b: NDArray[Any]
    x: Floats
    y: Floats
    metric: str = "euclidean"

    @cached_property
    def shares(self) -> tuple[Floats, Floats]:
        """Masses with total 1."""
        return self.a / self.a.sum(), self.b / self.b.sum()

    @cached_property
    def cost(self) -> Floats:
        """Ground distances."""
        return cdist(self.x, self.y, self.metric)

    def pot_core(self) -> Callable[[], Any]:
        """Call POT's C core on what ``ot.emd2`` would give it: without points that have no mass."""
        a, b = self.shares
        rows, cols = np.flatnonzero(a), np.flatnonzero(b)
        cost = np.ascontiguousarray(self.cost[np.ix_(rows, cols)])
        return partial(emd_c, a[rows].copy(), b[cols].copy(), cost, _MOST_PIVOTS, 0)


def pot_value(call: Callable[[], Any]) -> float:
    """Cost of what `Problem.pot_core` returns; it must say that it is optimal."""
    _, cost, _, _, code = call()
    assert code == 1, code
    return float(cost)


def instances(n: int) -> int:
    """Return how many problems with n points a figure is the median of."""
    return 11 if n <= 256 else 5


@cache
def random_points(n: int, count: int) -> list[Problem]:
    """Two sets of n points in the unit square with random weights."""
    rng = np.random.default_rng(n)
    return [_random(rng, n, rng.random(n), rng.random(n)) for _ in range(count)]


@cache
def uniform_points(n: int, count: int) -> list[Problem]:
    """Two sets of n points in the unit square, all of the same weight."""
    rng = np.random.default_rng(n)
    return [_random(rng, n, np.ones(n), np.ones(n)) for _ in range(count)]


def _random(rng: np.random.Generator, n: int, a: Floats, b: Floats) -> Problem:
    return Problem(a / a.sum(), b / b.sum(), rng.random((n, 2)), rng.random((n, 2)))


@cache
def tall_points(n: int, m: int, count: int) -> list[Problem]:
    """Many points of the same weight in the unit square, and few whose weights differ much."""
    rng = np.random.default_rng(n + m)
    few = [np.maximum(rng.dirichlet(np.full(m, 0.5)), 1e-9) for _ in range(count)]
    return [
        Problem(np.full(n, 1 / n), b / b.sum(), rng.random((n, 2)), rng.random((m, 2))) for b in few
    ]


def as_signatures(problem: Problem) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows (weight, coordinates ...) of float32, as ``cv2.EMD`` wants them."""
    return (
        np.column_stack([problem.a, problem.x]).astype(np.float32),
        np.column_stack([problem.b, problem.y]).astype(np.float32),
    )


@cache
def image_pairs(kind: str, side: int, metric: str, count: int) -> list[Problem]:
    """Pairs of images as mass on their common pixel grid; integer grey values.

    Parameters
    ----------
    kind : {"CIFAR", "MNIST"}
        Photographs, nearly all pixels of which have mass; or digits, most pixels of which have none
        (with an empty frame, 32 x 32).
    side : int
        Pixels of 32 x 32 images are added up to so many rows and columns.
    """
    rng = np.random.default_rng(side)
    images = _grey_images(kind)[rng.choice(10_000, 2 * count, replace=False)]
    step = 32 // side
    blocks = images.reshape(-1, side, step, side, step).sum((2, 4)).reshape(-1, side * side)
    grid = np.indices((side, side)).reshape(2, -1).T.astype(np.float64)
    return [Problem(blocks[k], blocks[k + count], grid, grid, metric) for k in range(count)]


@cache
def _grey_images(kind: str) -> NDArray[np.int64]:
    if kind == "MNIST":
        digits = np.load(SHARED_DATA / "mnist_test.npz")["images"]
        return np.pad(digits, ((0, 0), (2, 2), (2, 2))).astype(np.int64)
    colours = np.load(SHARED_DATA / "cifar10_test.npz")["images"]
    return np.rint(colours @ np.array([0.299, 0.587, 0.114])).astype(np.int64)


@cache
def _photographs(count: int) -> list[NDArray[np.uint8]]:
    """Corel photographs from all its classes."""
    files = [SHARED_DATA / "corel1k" / "images" / f"{k * 900 // count}.jpg" for k in range(count)]
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


@cache
def colour_rows(count: int) -> tuple[Floats, Floats]:
    """Histograms of 4 x 4 x 4 colours of photographs, total 1, and the bins' centres."""
    cells = np.array([16, 4, 1])
    rows = np.stack(
        [
            np.bincount((photo.reshape(-1, 3) // 64) @ cells, minlength=64)
            for photo in _photographs(count)
        ]
    )
    centres = np.indices((4, 4, 4)).reshape(3, -1).T * 64 + 31.5
    return rows / rows.sum(axis=1, keepdims=True), centres


@cache
def palettes(count: int, colours: int) -> list[tuple[Floats, Floats]]:
    """Most frequent colours of photographs: shares, and places in CIE Lab.

    A colour is the mean of all pixels that agree in the three highest bits of red, green and blue.
    """
    return [_palette(photo.reshape(-1, 3), colours) for photo in _photographs(count)]


def _palette(pixels: NDArray[np.uint8], colours: int) -> tuple[Floats, Floats]:
    cells = (pixels >> 5) @ np.array([64, 8, 1])
    counts = np.bincount(cells, minlength=512)
    chosen = np.argsort(-counts, kind="stable")[:colours]
    chosen = chosen[counts[chosen] > 0]
    means = np.stack([np.bincount(cells, channel, 512)[chosen] for channel in pixels.T], axis=1)
    means /= counts[chosen, None]
    lab = cv2.cvtColor(np.float32(means[None] / 255), cv2.COLOR_RGB2Lab)[0]
    return counts[chosen] / counts[chosen].sum(), np.ascontiguousarray(lab, np.float64)


def palette_pairs(count: int, colours: int) -> list[Problem]:
    """Pairs of palettes of different photographs, each with its own colours."""
    items = palettes(2 * count, colours)
    pairs = zip(items[:count], items[count:], strict=True)
    return [Problem(a, b, x, y) for (a, x), (b, y) in pairs]


def row_pairs(count: int) -> list[Problem]:
    """Pairs of `colour_rows`."""
    rows, centres = colour_rows(2 * count)
    return [Problem(rows[k], rows[k + count], centres, centres) for k in range(count)]
