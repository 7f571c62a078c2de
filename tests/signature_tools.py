"""Signatures for the tests of compat.cv2, and what a plan between two must be."""

from __future__ import annotations

import numpy as np

L1, L2, C, USER = 1, 2, 3, -1
METRICS = [L1, L2, C]
NAMES = {L1: "cityblock", L2: "euclidean", C: "chebyshev"}


def single(rows):
    return np.array(rows, dtype=np.float32)


# A and B have equal totals, A and SMALL have not.
A = single([[2, 0], [2, 1]])
B = single([[2, 5], [2, 6]])
SMALL = single([[1, 5], [1, 6]])
COST = single([[1, 2], [3, 4]])


def distances(rows1, rows2, metric):
    gaps = np.abs(np.float64(rows1)[:, None, 1:] - np.float64(rows2)[None, :, 1:])
    if metric == L1:
        return gaps.sum(-1)
    return gaps.max(-1) if metric == C else np.sqrt((gaps**2).sum(-1))


def random_pair(seed, n, m, dims, *, equal):
    rng = np.random.default_rng(seed)
    pair = [single(rng.random((size, 1 + dims))) for size in (n, m)]
    if equal:
        for rows in pair:
            rows[:, 0] /= rows[:, 0].sum()
    return pair


def check_plan(rows1, rows2, flow, tolerance=1e-6):
    """The smaller total moves, and no row gives or gets more than it has."""
    first, second = np.float64(rows1)[:, 0], np.float64(rows2)[:, 0]
    flow = np.float64(flow)
    room = tolerance * max(first.sum(), second.sum())
    assert flow.min() >= 0
    assert (flow.sum(1) <= first + room).all()
    assert (flow.sum(0) <= second + room).all()
    assert abs(flow.sum() - min(first.sum(), second.sum())) <= room
