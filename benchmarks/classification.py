"""Classify MNIST digits by their nearest neighbours, by Wasserstein and by other distances.

python -m benchmarks.classification [--full]

The first 1,000 images of the sample are the known ones, the next 500 the queries; a second and a
third time with the queries moved. --full adds finer grids, which take some ten minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

import imgsim_fast as isf
from benchmarks.peers import SHARED_DATA
from imgsim_fast.evaluation import evaluate_ranking
from imgsim_fast.sklearn import WassersteinNeighbors

KNOWN, QUERIES, SIDE = 1000, 500, 28
AT = (1, 3, 5)
SHIFTS = (0, 1, 2)

Images = NDArray[np.uint8]
Rows = NDArray[Any]


@dataclass(frozen=True)
class Method:
    """One way to classify: what an image is described by, and which neighbours it has.

    Attributes
    ----------
    name : str
    describe : callable
        Images -> rows.
    options : dict, optional
        Of `WassersteinNeighbors`; None for the Euclidean distance of the rows.
    full : bool
        Only with --full.
    """

    name: str
    describe: Callable[[Images], Rows]
    options: dict[str, Any] | None = field(default_factory=dict)
    full: bool = False

    def model(self) -> WassersteinNeighbors | NearestNeighbors:
        """Estimator with one thread, not fitted."""
        if self.options is None:
            return NearestNeighbors(n_neighbors=max(AT), algorithm="brute")
        return WassersteinNeighbors(n_neighbors=max(AT), **self.options)


def grey(bins: int) -> Callable[[Images], Rows]:
    """Histograms of grey levels: article 1's description."""
    return lambda images: isf.histograms(images, bins=bins, range=(0, 255), threads=1)


def blocks(cells: int) -> Callable[[Images], Rows]:
    """Ink in each cell of a grid of cells x cells."""
    step = SIDE // cells

    def describe(images: Images) -> Rows:
        parts = images.reshape(-1, cells, step, cells, step)
        return parts.sum(axis=(2, 4), dtype=float).reshape(len(images), -1)

    return describe


def on_grid(cells: int) -> dict[str, Any]:
    """Options for mass on a grid, one unit between cells."""
    return {"metric": "emd", "positions": np.indices((cells, cells)).reshape(2, -1).T}


def ink(axis: int) -> Callable[[Images], Rows]:
    """Ink in each column (axis 1) or row (axis 2)."""
    return lambda images: images.sum(axis=axis, dtype=float)


METHODS = (
    Method("grey levels, 10 bins: W1", grey(10)),
    Method("grey levels, 256 bins: W1", grey(256)),
    Method("ink per column: W1", ink(1)),
    Method("ink per row: W1", ink(2)),
    Method("ink in 4 x 4 cells: EMD", blocks(4), on_grid(4)),
    Method("ink in 7 x 7 cells: EMD", blocks(7), on_grid(7)),
    Method("ink in 14 x 14 cells: EMD", blocks(14), on_grid(14), full=True),
    Method("ink in 28 x 28 cells: EMD", blocks(28), on_grid(28), full=True),
    Method("ink in 7 x 7 cells: Euclidean", blocks(7), None),
    Method("784 pixels: Euclidean", blocks(28), None),
)


def sample() -> tuple[Images, NDArray[Any]]:
    """Return the first images of the sample and their digits."""
    with np.load(SHARED_DATA / "mnist_test.npz") as data:
        count = KNOWN + QUERIES
        return data["images"][:count], data["labels"][:count]


def moved(images: Images, shift: int) -> Images:
    """Move images to the right and down, black coming in."""
    result = np.zeros_like(images)
    result[:, shift:, shift:] = images[:, : SIDE - shift, : SIDE - shift]
    return result


def results(methods: tuple[Method, ...] = METHODS) -> Iterator[tuple[str, list[float], float]]:
    """(name, accuracies, seconds per query) of each method.

    Accuracies: k = 1, 3, 5 and k = 1 for the queries moved by 1 and by 2 pixels.
    """
    images, labels = sample()
    for method in methods:
        accuracies: list[float] = []
        seconds = 0.0
        model = method.model().fit(method.describe(images[:KNOWN]))
        for shift in SHIFTS:
            queries = method.describe(moved(images[KNOWN:], shift))
            start = time.perf_counter()
            with threadpool_limits(1):  # scikit-learn's own distances take all CPUs
                indices = model.kneighbors(queries, return_distance=False)
            if shift == 0:
                seconds = (time.perf_counter() - start) / QUERIES
            scores = evaluate_ranking(indices, labels[:KNOWN], labels[KNOWN:], at=AT)
            accuracies += scores.accuracy.values() if shift == 0 else [scores.accuracy[1]]
        yield method.name, accuracies, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="finer grids as well")
    options = parser.parse_args()
    head = ("1-NN", "3-NN", "5-NN", "1-NN, +1 px", "1-NN, +2 px", "ms per query")
    print(f"| MNIST, {KNOWN:,} known, {QUERIES} queries | {' | '.join(head)} |")
    print(f"| --- |{' --- |' * len(head)}")
    methods = tuple(method for method in METHODS if options.full or not method.full)
    for name, accuracies, seconds in results(methods):
        numbers = " | ".join(f"{accuracy:.3f}" for accuracy in accuracies)
        print(f"| {name} | {numbers} | {float(f'{seconds * 1e3:.2g}'):g} |", flush=True)


if __name__ == "__main__":
    main()
