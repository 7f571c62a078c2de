"""Arrays of other makes, and costs that only look like a metric: A11 and A15 of the fault table."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference
from tests.reference_transport import twin

A = np.array([3.0, 0, 1, 2, 1])
B = np.array([1.0, 2, 0, 4, 0])
COST = np.arange(25.0).reshape(5, 5) % 7
WANT = float(twin(A, B, COST))


class ByMethod:
    """Like a tensor of torch on the CPU: no ndarray, but it can become one."""

    def __init__(self, values):
        self.values = np.array(values)

    def __array__(self, dtype=None, copy=None):
        return self.values if dtype is None else self.values.astype(dtype)


class ByInterface:
    def __init__(self, values):
        self.values = np.array(values)
        self.__array_interface__ = self.values.__array_interface__


class ByDLPack:
    """NumPy does not look for this unless told to."""

    def __init__(self, values):
        self.values = np.array(values)

    def __dlpack__(self, **options):
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


def calls(a, b, cost):
    rows = [np.asarray(x).ravel() for x in (A, B)]
    return [
        lambda: isf.emd(a, b, COST),
        lambda: isf.emd(A, B, cost),
        lambda: isf.transport(a, b, cost).distance,
        lambda: isf.cdist(rows, rows, "emd", cost=cost)[0, 1],
    ]


@pytest.mark.parametrize("kind", [ByMethod, ByInterface])
def test_arrays_of_other_makes(kind):
    for call in calls(kind(A), kind(B), kind(COST)):
        assert call() == WANT
    rows = kind([A, B])
    assert isf.cdist(rows, rows, "emd", cost=kind(COST))[0, 1] == WANT


def test_arrays_that_numpy_cannot_see():
    for call in calls(ByDLPack(A), ByDLPack(B), ByDLPack(COST)):
        with pytest.raises(InvalidTypeError, match=r"^(a|cost) must hold .* object"):
            call()
    assert isf.emd(np.from_dlpack(ByDLPack(A)), B, np.from_dlpack(ByDLPack(COST))) == WANT


def test_np_matrix():
    with pytest.warns(PendingDeprecationWarning):
        a, cost, rows = np.matrix(A), np.matrix(COST), np.matrix([A, B])
    assert isf.emd(A, B, cost) == isf.transport(A, B, cost).distance == WANT
    assert isf.cdist(rows, rows, "emd", cost=cost)[0, 1] == WANT
    with pytest.raises(
        InvalidInputError, match=r"^a must be a vector of masses, got shape \(1, 5\)"
    ):
        isf.emd(a, B, cost)


@pytest.mark.parametrize("n", [3, 8, 17, 33])
def test_costs_that_are_no_metric_keep_nothing_in_place(isa, n):
    """A batch looks for metrics, where common mass stays: anything less is solved in full."""
    rng = np.random.default_rng(n)
    metric = np.array(reference.ground_distances(*[rng.integers(0, 9, (n, 2))] * 2, "cityblock"))
    rows = rng.integers(1, 9, (n, n))
    rows[:, 0] += rows.sum(1).max() - rows.sum(1)
    detour, diagonal, negative, forbidden = (metric.astype(float) for _ in range(4))
    detour[0, 1] = detour[1, 0] = metric.max() * 3 + 1
    diagonal[1, 1] = 5
    negative[0, 1] = -4
    forbidden[0, 1] = np.inf
    lopsided = np.triu(metric + 1.0, 1)
    assert _core.is_metric(metric.astype(float))
    for cost in (detour, diagonal, negative, forbidden, lopsided):
        # The triangle inequality asks for no symmetry.
        assert cost is lopsided or not _core.is_metric(cost)
        want = [[isf.emd(a, b, cost) for b in rows] for a in rows]
        assert isf.cdist(rows, rows, "emd", cost=cost).tolist() == want
    for a, b in ((rows[0], rows[1]), (rows[1], rows[2])):
        if n == 3:
            for cost in (detour, diagonal, negative, lopsided):
                assert isf.emd(a, b, cost) == float(twin(a, b, cost))
