"""How exact transport is, how far it scales, and what memory it takes: bars that are no times."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import imgsim_fast as isf
from benchmarks.bench_transport import SIZES, UNIFORM_SIZES
from benchmarks.case import Figure
from benchmarks.peers import SHARED_DATA
from benchmarks.transport_data import (
    HAS_DATA,
    Floats,
    Problem,
    image_pairs,
    instances,
    palette_pairs,
    pot_value,
    random_points,
    row_pairs,
    uniform_points,
)
from imgsim_fast.errors import ImgsimError
from tests.peak_memory import peak_memory


@cache
def _problems() -> list[Problem]:
    """Return all instances that are timed one by one, and others."""
    found = [problem for n in SIZES for problem in random_points(n, instances(n))]
    found += [problem for n in UNIFORM_SIZES for problem in uniform_points(n, instances(n))]
    if HAS_DATA:
        found += [
            problem
            for kind in ("CIFAR", "MNIST")
            for metric in ("cityblock", "euclidean", "sqeuclidean", "chebyshev")
            for side in (8, 16, 32)
            if side < 32 or metric in ("cityblock", "euclidean")
            for problem in image_pairs(kind, side, metric, instances(side * side))
        ]
        found += [problem for colours in (8, 16, 32) for problem in palette_pairs(20, colours)]
        found += row_pairs(100)
    return found


@cache
def _plans() -> list[isf.TransportResult]:
    return [isf.transport(*p.shares, positions=(p.x, p.y), metric=p.metric) for p in _problems()]


def _against_pot() -> float:
    """Largest relative difference, of the call with positions and of the call with costs."""
    worst = 0.0
    for problem, plan in zip(_problems(), _plans(), strict=True):
        true = pot_value(problem.pot_core())
        for value in (plan.distance, isf.emd(*problem.shares, problem.cost)):
            worst = max(worst, abs(value - true) / true)
    return worst


def _against_assignment() -> float:
    worst = 0.0
    for n in UNIFORM_SIZES:
        for problem in uniform_points(n, instances(n)):
            chosen = problem.cost[linear_sum_assignment(problem.cost)]
            true = math.fsum(chosen) / n
            worst = max(worst, abs(isf.emd(*problem.shares, problem.cost) - true) / true)
    return worst


def _integers() -> float:
    """Difference to the true optimum where masses and costs are integers: it must be none.

    The optimum is an integer: POT's answer is near enough to tell which.
    """
    worst = 0.0
    for problem in _integer_problems():
        ours = isf.emd(problem.a, problem.b, positions=problem.x, metric=problem.metric)
        true = round(pot_value(problem.pot_core()) * int(problem.a.sum()))
        worst = max(worst, abs(ours - true))
    return worst


def _integer_problems() -> Iterator[Problem]:
    for path in ("data32_1001.csv", "data32_1002.csv"):
        if not (SHARED_DATA / "dotmark" / path).exists():
            return
    a, b = (
        np.loadtxt(SHARED_DATA / "dotmark" / path, delimiter=",").astype(np.int64)
        for path in ("data32_1001.csv", "data32_1002.csv")
    )
    grid = np.indices((32, 32)).reshape(2, -1).T.astype(np.float64)
    for metric in ("cityblock", "sqeuclidean", "chebyshev"):
        yield Problem(a.ravel(), b.ravel(), grid, grid, metric)


def _gap() -> float:
    """Largest gap; every plan must say that it is optimal."""
    assert all(plan.status == "optimal" for plan in _plans())
    return max(float(plan.gap) for plan in _plans())


def _gap_in_rationals() -> float:
    """Gap by the dual's value in rational numbers, after lowering u until it is feasible there."""
    worst = 0.0
    for n in (16, 32):
        for problem in random_points(n, 5):
            a, b = problem.shares
            plan = isf.transport(a, b, problem.cost)
            v = [Fraction(value) for value in plan.potentials[1]]
            rows = [[Fraction(value) for value in row] for row in problem.cost]
            u = [
                min(Fraction(most), *(c - w for c, w in zip(row, v, strict=True)))
                for most, row in zip(plan.potentials[0], rows, strict=True)
            ]
            dual = _dot(a, u) + _dot(b, v)
            worst = max(worst, float(abs(Fraction(plan.distance) - dual) / dual))
    return worst


def _dot(masses: Floats, potentials: list[Fraction]) -> Fraction:
    pairs = zip(masses, potentials, strict=True)
    return sum((Fraction(mass) * potential for mass, potential in pairs), Fraction())


def _scaling() -> float:
    """Count answers that do not scale bit by bit; a clear error is none."""
    rng = np.random.default_rng(0)
    cost = np.rint(rng.random((12, 9)) * 2**20) / 2**20 + 1
    a, b = rng.random(12), rng.random(9)
    a, b = a / a.sum(), b / b.sum()
    value = isf.emd(a, b, cost)
    wrong = 0
    for k in range(-1000, 1001):
        for masses, costs in ((0, k), (k, 0)):
            factor = math.ldexp(1.0, masses)
            try:
                scaled = isf.emd(a * factor, b * factor, np.ldexp(cost, costs))
            except ImgsimError:
                continue
            wrong += scaled != math.ldexp(value, k)
    return wrong


_POINTS = """
import numpy as np
import imgsim_fast as isf

n = 4096
rng = np.random.default_rng(0)
a, b, x, y = rng.random(n), rng.random(n), rng.random((n, 2)), rng.random((n, 2))
a /= a.sum()
b /= b.sum()
isf.emd(a[:8], b[:8], positions=(x[:8], y[:8]), mass="normalize")
"""


@cache
def _peak_memory() -> float:
    """Megabytes beyond the inputs."""
    return peak_memory(_POINTS, "isf.emd(a, b, positions=(x, y))")


CASES = [
    Figure("transport, relative difference to POT core", _against_pot, 1e-12),
    Figure("transport, relative difference to linear_sum_assignment", _against_assignment, 1e-12),
    Figure("transport, relative gap as reported", _gap, 1e-12),
    Figure("transport, relative gap in rational numbers", _gap_in_rationals, 1e-12),
    Figure("transport, integer costs, DOTmark 32 x 32: difference to optimum", _integers, 0),
    Figure("transport, times 2**k, k = -1000 ... 1000: wrong answers", _scaling, 0),
]
if sys.platform == "linux":
    CASES.append(
        Figure(
            "transport, n = m = 4096 from positions, peak memory beyond inputs",
            _peak_memory,
            40,
            "MB",
        )
    )


@pytest.mark.parametrize("figure", [pytest.param(case, id=case.name) for case in CASES])
def test_figures(figure):
    figure.check()
