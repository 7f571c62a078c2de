"""Images as mass on the pixel grid: rows A20 and A21 of the fault table."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _memory


def grid(height, width):
    return np.indices((height, width), dtype=np.float64).reshape(2, -1).T.copy()


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 97), (97, 1), (3, 5), (7, 7), (2, 31)])
@pytest.mark.parametrize("metric", ["cityblock", "euclidean", "sqeuclidean", "chebyshev"])
def test_grids_of_all_shapes_are_right(shape, metric):
    random = np.random.default_rng(shape)
    points = grid(*shape)
    a = random.integers(1, 256, len(points))
    b = random.permutation(a)
    plan = isf.transport(a, b, positions=points, metric=metric)
    assert plan.status == "optimal"
    assert plan.gap <= 1e-12
    if metric != "euclidean" or 1 in shape:
        assert plan.distance == int(plan.distance)  # whole masses, whole costs
    if 1 in shape and metric != "sqeuclidean":  # a line: the area between the running sums
        assert plan.distance == np.abs(np.cumsum(a - b)).sum()


def test_grids_of_different_sizes_meet():
    a, b = np.array([2, 0, 3, 1]), np.array([1, 2, 3])
    value = isf.emd(a, b, positions=(grid(2, 2), grid(1, 3)), metric="cityblock")
    cost = np.abs(grid(2, 2)[:, None] - grid(1, 3)[None]).sum(axis=2)
    assert value == isf.emd(a, b, cost)


def test_a_line_of_65535_pixels():
    random = np.random.default_rng(0)
    a = random.integers(0, 256, 65535)
    b = random.permutation(a)
    exact = int(np.abs(np.cumsum(a - b)).sum())
    assert isf.emd(a, b, positions=np.arange(65535.0)) == exact
    ends = np.zeros((2, 65535), np.int64)
    ends[0, 0] = ends[1, -1] = 255
    assert isf.emd(*ends, positions=grid(65535, 1), metric="cityblock") == 255 * 65534


@pytest.mark.skipif((_memory.available() or 1e18) < 8e9, reason="needs 4 GB")
def test_a_white_image_of_4096_x_4096_onto_one_pixel():
    """The total, 4.8e16, is beyond 2^53, and right to the last unit all the same."""
    pixels = 4096 * 4096
    white, single = np.full(pixels, 255, np.uint8), np.zeros(pixels, np.int64)
    single[5] = 255 * pixels
    rows, columns = np.arange(4096), np.arange(4096)
    exact = 255 * 4096 * (int((rows**2).sum()) + int(((columns - 5) ** 2).sum()))
    assert isf.emd(white, single, positions=grid(4096, 4096), metric="sqeuclidean") == exact
