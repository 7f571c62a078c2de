"""Exact transport where one side has very many points and the other few.

What the solver guesses from a sample of the rows must never show in the answer: certificates, sums
and scipy's assignment (every column as often as it has units) say so.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import imgsim_fast as isf
from tests.reference_transport import check, in_small_stack

SHAPES = [(2048, 2), (2100, 30), (5000, 3), (9000, 8), (20_000, 64), (70_000, 5)]


def instance(kind, n, m, seed=0):
    """Masses of both sides, and costs."""
    rng = np.random.default_rng(seed)
    cost = rng.random((n, m))
    a, b = np.ones(n), np.round(rng.dirichlet(np.full(m, 0.7)) * n)
    b[b.argmax()] += n - b.sum()
    if kind == "one column is best":
        cost[:, 0] = 0.0
    elif kind == "ties":
        cost = rng.integers(0, 4, (n, m)).astype(float)
    elif kind == "zeros and ones":
        cost = cost.round()
    elif kind == "sevenths":
        cost = np.floor(3 * cost + 1) / 7
    elif kind == "along a line":
        cost = np.outer(np.sort(rng.random(n)), 1.0 + np.arange(m))
    elif kind == "a cost that forbids":
        cost = np.floor(3 * cost)
        cost[rng.random((n, m)) < 0.01] = 1e9
    elif kind == "all equal":
        cost[:] = 0.5
    elif kind == "unequal masses":
        a = np.round(rng.lognormal(0, 3, n)) + 1
        b = np.round(b / b.sum() * a.sum())
        b[b.argmax()] += a.sum() - b.sum()
    elif kind == "masses with fractions":
        a = rng.random(n)
        b = rng.random(m) / m * n
        b *= a.sum() / b.sum()
    elif kind == "a column in no demand":
        b[b.argmax()] += b[0] + b[1 % m]
        b[0] = b[1 % m] = 0
        b[b.argmax()] += n - b.sum()
    elif kind == "costs of all sizes":
        cost = 10.0 ** rng.uniform(-8, 8, (n, m))
    elif kind == "negative costs":
        cost -= 0.5
    elif kind == "in order":
        cost.sort(axis=0)
    elif kind == "in periods":
        cost[:] = rng.random((8, m))[np.arange(n) % 8]
    return a, b, cost


KINDS = [
    "uniform",
    "one column is best",
    "ties",
    "zeros and ones",
    "sevenths",
    "along a line",
    "a cost that forbids",
    "all equal",
    "unequal masses",
    "masses with fractions",
    "a column in no demand",
    "costs of all sizes",
    "negative costs",
    "in order",
    "in periods",
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_tall_problems_are_certified(kind, shape):
    a, b, cost = instance(kind, *shape)
    if kind == "masses with fractions":
        plan = isf.transport(a, b, cost, mass="normalize")
        assert plan.status == "optimal"
        assert 0 <= plan.gap <= 1e-12
        assert isf.emd(a, b, cost, mass="normalize") == plan.distance
        return
    plan = isf.transport(a, b, cost)
    check(plan, a, b, cost, largest_gap=1e-12)
    assert isf.emd(a, b, cost) == plan.distance
    wide = isf.transport(b, a, np.ascontiguousarray(cost.T))
    assert wide.distance == pytest.approx(plan.distance, rel=1e-14, abs=1e-300)


@pytest.mark.parametrize("kind", ["uniform", "ties", "one column is best"])
def test_as_an_assignment(kind):
    a, b, cost = instance(kind, 2304, 6)
    columns = np.repeat(np.arange(b.size), b.astype(int))
    i, j = linear_sum_assignment(cost[:, columns])
    want = cost[i, columns[j]].sum()
    assert isf.emd(a, b, cost) == pytest.approx(want, rel=1e-13)


@pytest.mark.parametrize("shape", [(50_000, 8), (60_000, 40)], ids=str)
@pytest.mark.parametrize(
    "kind", ["ties", "zeros and ones", "sevenths", "along a line", "a cost that forbids"]
)
def test_a_good_start_leaves_few_pivots(kind, shape):
    """A pivot may take a pass over all rows: 10,000 took half a second, and 110,000,000 took 15."""
    a, b, cost = instance(kind, *shape, seed=1)
    assert isf.transport(a, b, cost).pivots < shape[0] / 4


def test_forbidden_arcs():
    a, b, cost = instance("uniform", 6000, 4)
    cost[np.arange(6000), np.arange(6000) % 4] = np.inf
    plan = isf.transport(a, b, cost)
    assert plan.status == "optimal"
    assert np.isfinite(plan.distance)
    assert plan.gap <= 1e-12
    cost[:, b.argmax()] = np.inf
    assert isf.transport(a, b, cost).status == "infeasible"


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "sqeuclidean"])
def test_points_whose_costs_are_not_kept(metric):
    """2,100,000 costs of eight columns in memory are more than the solver keeps."""
    rng = np.random.default_rng(3)
    n = 600_000
    x, y = rng.random((n, 2)), rng.random((3, 2))
    a, b = np.ones(n), np.array([n / 2, n / 3, n / 6])
    plan = isf.transport(a, b, positions=(x, y), metric=metric)
    assert plan.status == "optimal"
    assert plan.gap <= 1e-12
    difference = np.abs(x[:, None] - y)
    cost = {
        "euclidean": np.hypot(*np.moveaxis(difference, 2, 0)),
        "cityblock": difference.sum(2),
        "sqeuclidean": (difference**2).sum(2),
    }[metric]
    assert isf.emd(a, b, cost) == pytest.approx(plan.distance, rel=1e-13)


def test_two_columns_are_a_sort():
    """A19: a tree of 1,000,000 nodes, and a line of as many points, in 64 KB of stack."""
    rng = np.random.default_rng(0)
    n = 999_998
    cost = np.column_stack([np.ones(n), 1 + rng.random((n, 2)).sum(1)])
    gains = np.sort(cost[:, 1] - cost[:, 0])
    want = n + gains[: n // 2].sum()
    a, b = np.ones(n), np.full(2, n / 2)
    found = []

    def work():
        found.append(isf.transport(a, b, cost))
        found.append(isf.emd(a, a[::-1].copy(), positions=np.arange(n), mass="normalize"))
        found.append(isf.emd(np.r_[a, 0.0], np.r_[0.0, a], positions=np.arange(n + 1)))

    in_small_stack(work)
    plan, nothing, line = found
    assert plan.status == "optimal"
    assert plan.gap <= 1e-12
    assert plan.distance == pytest.approx(want, rel=1e-12)
    assert nothing == 0
    assert line == n
