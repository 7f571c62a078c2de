"""Histograms like those of photographs, as many as are wanted.

Each is a mixture of three grey histograms of CIFAR-10 with weights drawn from a Dirichlet
distribution, moved by up to eight grey levels, of which 4,096 pixels are drawn. Row i of a seed is
the same however the rows are asked for, a million at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import SHARED_DATA

PIXELS = 4096
_BATCH = 1_000_000
_PIECE = 50_000


def cifar_histograms() -> NDArray[np.float64]:
    """Grey histograms of 256 bins of the 10,000 test images, shape (10000, 256)."""
    with np.load(SHARED_DATA / "cifar10_test.npz") as data:
        images = data["images"]
    grey = images.mean(axis=3).astype(np.uint8).reshape(len(images), -1)
    return np.stack([np.bincount(levels, minlength=256) for levels in grey]).astype(np.float64)


def rows(n: int, bins: int, seed: int = 0) -> Iterator[NDArray[np.uint32]]:
    """Make n histograms of `bins` bins, in arrays of at most a million."""
    # Moving by levels before bins are put together: tables for each of the moves.
    whole = cifar_histograms() / 1024
    moves = range(-8, 9)
    moved = np.stack(
        [np.roll(whole, move, axis=1).reshape(len(whole), bins, -1).sum(2) for move in moves]
    ).astype(np.float32)
    for start in range(0, n, _BATCH):
        rng = np.random.default_rng((seed, start // _BATCH))
        batch = np.empty((min(_BATCH, n - start), bins), np.uint32)
        for first in range(0, len(batch), _PIECE):
            piece = batch[first : first + _PIECE]
            size = len(piece)
            weights = rng.dirichlet(np.ones(3), size).astype(np.float32)
            move = rng.integers(0, len(moves), size)
            mean = np.zeros((size, bins), np.float32)
            for part in range(3):
                mean += weights[:, part : part + 1] * moved[move, rng.integers(0, len(whole), size)]
            # Close to counts of pixels drawn, and far quicker: rounding of a normal variable.
            noise = rng.standard_normal((size, bins), np.float32) * np.sqrt(PIXELS * mean)
            np.maximum(np.rint(PIXELS * mean + noise), 0, out=mean)
            mean[np.arange(size), rng.integers(0, bins, size)] += 1
            piece[:] = mean
        yield batch
