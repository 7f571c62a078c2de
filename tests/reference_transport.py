"""Problems of optimal transport for the tests, and what every plan promises."""

from __future__ import annotations

import math
import threading
from fractions import Fraction

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from tests import reference


def whole_masses(n, m, seed, top=9):
    """Two vectors of whole masses with one total, about a third of them 0."""
    rng = np.random.default_rng((seed, n, m))
    a = rng.integers(1, top, n) * (rng.random(n) < 0.7)
    a[rng.integers(n)] += 1
    shares = rng.random(m) * (rng.random(m) < 0.7)
    shares[rng.integers(m)] += 0.1
    return a, rng.multinomial(a.sum(), shares / shares.sum())


def float_masses(n, m, seed):
    """Masses of many binary digits whose totals are one number exactly."""
    a, b = whole_masses(n, m, seed, top=10**6)
    return a * 2.0**-17, b * 2.0**-17


def costs_of(kind, n, m, seed):
    rng = np.random.default_rng((seed, n, m, 1))
    return {
        "whole": lambda: rng.integers(0, 20, (n, m)),
        "tied": lambda: rng.integers(0, 3, (n, m)),
        "equal": lambda: np.full((n, m), 7),
        "whole, negative": lambda: rng.integers(-20, 5, (n, m)),
        "float": lambda: rng.random((n, m)),
        "float, both signs": lambda: rng.normal(size=(n, m)),
        "float, wide": lambda: 10 ** rng.uniform(-6, 6, (n, m)),
        "distances": lambda: cdist(rng.random((n, 3)), rng.random((m, 3))),
    }[kind]()


WHOLE_COSTS = ("whole", "tied", "equal", "whole, negative")
FLOAT_COSTS = ("float", "float, both signs", "float, wide", "distances")


def twin(a, b, cost, mass="error"):
    return reference.emd(np.asarray(a).tolist(), np.asarray(b).tolist(), cost.tolist(), mass)


def near(want, rel=0, abs=0):
    """What a number may be; unlike pytest.approx nothing near 0 is near 0 by itself."""
    return pytest.approx(want, rel=rel, abs=abs)


def exact(values):
    return [Fraction(x) for x in np.asarray(values).tolist()]


def check(plan, a, b, cost, largest_gap=1e-12):
    """Everything that a plan between equal totals promises; `cost` is an array."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    cost = np.asarray(cost, float)
    assert plan.status == "optimal"
    assert plan.shape == (a.size, b.size) == plan.flow_matrix().shape
    sources, targets, amounts = plan.flow
    assert sources.dtype == targets.dtype == np.int64
    assert (amounts > 0).all()
    order = sources * b.size + targets
    assert (order[1:] > order[:-1]).all()
    assert sources.size < a.size + b.size
    matrix = plan.flow_matrix()
    np.testing.assert_allclose(matrix.sum(1), a, rtol=1e-15, atol=2e-16 * a.sum())
    np.testing.assert_allclose(matrix.sum(0), b, rtol=1e-15, atol=2e-16 * a.sum())
    assert (matrix.sum(1)[a == 0] == 0).all()
    pieces = amounts * cost[sources, targets]
    scale = np.abs(pieces).sum()
    assert math.fsum(pieces) == near(plan.distance, rel=0, abs=3e-15 * scale)
    u, v = plan.potentials
    assert u.shape == a.shape
    assert v.shape == b.shape
    assert reference.are_potentials(u, v, cost)
    dual = math.fsum(np.concatenate([a * u, b * v]))
    size = math.fsum(np.abs(np.concatenate([a * u, b * v])))
    assert plan.lower_bound == near(dual, rel=0, abs=1e-15 * (size + scale))
    assert plan.lower_bound <= plan.distance
    assert 0 <= plan.gap <= largest_gap
    assert isinstance(plan.pivots, int)
    assert plan.slack == near(0, abs=1e-14 * a.sum())


def in_small_stack(work):
    """Call a function in a thread with 64 KB of stack: what recurses dies there."""
    before = threading.stack_size(64 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
