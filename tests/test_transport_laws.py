"""Laws of transport for any problem that hypothesis thinks of, most of them bit for bit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, settings
from hypothesis import given as any_of
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast.errors import OutOfRangeError
from tests import reference

METRICS = ("euclidean", "cityblock", "chebyshev", "sqeuclidean")
SMALLEST = 2.0**-1022  # below, float64 loses digits
sizes = st.integers(1, 12) | st.sampled_from([15, 16, 17, 31, 33, 64, 65])
small_counts = st.integers(0, 3) | st.integers(0, 1000)
seeds = st.integers(0, 2**32 - 1)


def given(*strategies):
    return lambda test: settings(max_examples=150)(any_of(*strategies)(test))


@dataclass
class Problem:
    """Whole masses with one total, points on a small grid or anywhere, and costs."""

    a: np.ndarray
    b: np.ndarray
    x: np.ndarray
    y: np.ndarray
    cost: np.ndarray
    whole: bool

    @property
    def total(self):
        return float(self.a.sum())


def masses(draw, size):
    few = draw(st.lists(small_counts, min_size=1, max_size=8))
    return np.resize(np.array(few), size)


@st.composite
def problems(draw, square=False, signed=True):
    n = draw(sizes)
    m = n if square else draw(sizes)
    a, b = masses(draw, n), masses(draw, m)
    a[draw(st.integers(0, n - 1))] += max(b.sum() - a.sum(), 0) + 1
    b[draw(st.integers(0, m - 1))] += a.sum() - b.sum()
    rng = np.random.default_rng(draw(seeds))
    whole = draw(st.booleans())
    dims = draw(st.integers(1, 3))
    if whole:
        top = draw(st.sampled_from([2, 5, 100]))
        x, y = rng.integers(0, top, (n, dims)) * 1.0, rng.integers(0, top, (m, dims)) * 1.0
        cost = rng.integers(-top if signed else 0, top, (n, m)) * 1.0
    else:
        x, y = rng.random((n, dims)), rng.random((m, dims))
        cost = rng.normal(size=(n, m)) if signed else rng.random((n, m))
    return Problem(a, b, x, y, cost, whole)


def close(got, want, scale, whole, relative=1e-13):
    """Equal for whole numbers, else up to `relative` of what the amounts times costs add up to."""
    return got == want if whole else abs(got - want) <= relative * scale


def size_of(problem, cost=None):
    return problem.total * float(np.abs(problem.cost if cost is None else cost).max())


def outcome(call, *args, **options):
    try:
        return call(*args, **options)
    except OutOfRangeError:
        return OutOfRangeError


def scaled(value, k):
    """Value times 2**k, or the error that says why there is none."""
    try:
        exact = math.ldexp(value, k)
    except OverflowError:
        return OutOfRangeError
    return exact if value == 0 or abs(exact) >= SMALLEST else OutOfRangeError


# ---- a distance ------------------------------------------------------------------------------


@given(problems(square=True), st.sampled_from(METRICS))
def test_nothing_is_as_near_as_itself(problem, metric):
    a, x = problem.a, problem.x
    assert isf.emd(a, a, positions=x, metric=metric) == 0
    assert isf.emd(a, a, positions=(x, x), metric=metric) == 0
    assert isf.emd(a, a, metric=metric) == 0
    assert isf.emd(a * 0.1, a * 0.1, positions=x, metric=metric) == 0
    assert isf.emd(a, a * 3, positions=x, metric=metric, mass="normalize") == 0
    assert isf.emd(a, a * 3, positions=x, metric=metric, mass="partial") == 0
    cost = np.abs(problem.cost) + 0.5
    np.fill_diagonal(cost, 0)
    assert isf.emd(a, a, cost) == 0
    plan = isf.transport(a, a, cost)
    np.testing.assert_array_equal(plan.flow_matrix(), np.diag(a))


@given(problems(), st.sampled_from(METRICS), st.none() | st.sampled_from([0.3, 2.0]))
def test_symmetry(problem, metric, threshold):
    a, b, x, y = problem.a, problem.b, problem.x, problem.y
    options = {"metric": metric, "threshold": threshold}
    there = isf.transport(a, b, positions=(x, y), **options)
    back = isf.transport(b, a, positions=(y, x), **options)
    assert there.distance == back.distance
    assert there.distance == isf.emd(b, a, positions=(y, x), **options)
    if a.size == b.size:
        there, back = (isf.emd(*ab, positions=x, **options) for ab in ((a, b), (b, a)))
        assert there == back
    for rule in ("normalize", "partial", "opencv", 0.7):
        there = isf.emd(a, b[::-1] * 0.75, positions=(x, y[::-1]), mass=rule, **options)
        back = isf.emd(b[::-1] * 0.75, a, positions=(y[::-1], x), mass=rule, **options)
        assert there == back, rule


@given(problems())
def test_transposing_a_matrix(problem):
    there = isf.emd(problem.a, problem.b, problem.cost)
    back = isf.emd(problem.b, problem.a, problem.cost.T)
    assert close(there, back, size_of(problem), problem.whole, 1e-14)
    again = isf.emd(problem.b, problem.a, np.asfortranarray(problem.cost.T))
    assert again == back


@given(problems(square=True), st.sampled_from(METRICS[:3]), seeds)
def test_triangle_inequality(problem, metric, seed):
    a, b = problem.a, problem.b
    c = a[np.random.default_rng(seed).permutation(a.size)]
    x = problem.x
    ab, bc, ac = (isf.emd(*pair, positions=x, metric=metric) for pair in ((a, b), (b, c), (a, c)))
    assert ac <= (ab + bc) * (1 + 1e-12)
    assert ab <= (ac + bc) * (1 + 1e-12)
    assert bc <= (ab + ac) * (1 + 1e-12)


# ---- scales ----------------------------------------------------------------------------------


@given(problems(), st.integers(-1000, 1000))
def test_scaled_costs(problem, k):
    a, b, cost = problem.a, problem.b, np.ldexp(np.round(problem.cost * 2**20), -20)
    want = scaled(isf.emd(a, b, cost), k)
    got = outcome(isf.emd, a, b, np.ldexp(cost, k))
    assert got == want
    if got is not OutOfRangeError:
        plan, other = isf.transport(a, b, cost), isf.transport(a, b, np.ldexp(cost, k))
        assert other.distance == got
        np.testing.assert_array_equal(other.flow_matrix(), plan.flow_matrix())
        assert 0 <= got - other.lower_bound <= math.ldexp(1e-13 * size_of(problem), k)


@given(problems(), st.sampled_from(METRICS), st.integers(-480, 480))
def test_scaled_positions(problem, metric, k):
    a, b, x, y = problem.a, problem.b, problem.x, problem.y
    base = isf.emd(a, b, positions=(x, y), metric=metric, threshold=2.5)
    squares = 2 if metric == "sqeuclidean" else 1
    got = outcome(
        isf.emd, a, b, positions=(np.ldexp(x, k), np.ldexp(y, k)), metric=metric,
        threshold=math.ldexp(2.5, squares * k),
    )  # fmt: skip
    assert got == scaled(base, squares * k)


@given(problems(), st.integers(-1074, 1000))
def test_scaled_masses(problem, k):
    """Down to denormal masses."""
    a, b, cost = problem.a * 1.0, problem.b * 1.0, problem.cost
    want = scaled(isf.emd(a, b, cost), k)
    small_a, small_b = np.ldexp(a, k), np.ldexp(b, k)
    assert outcome(isf.emd, small_a, small_b, cost) == want
    if k < 960:
        assert isf.emd(small_a, small_b, cost, mass="normalize") == isf.emd(
            a, b, cost, mass="normalize"
        )
        # A typed error where the cost has no place in float64, though the cost per mass had.
        per_mass = outcome(isf.emd, small_a, small_b, cost, mass="partial")
        assert per_mass == isf.emd(a, b, cost, mass="partial") or want is per_mass


@given(problems(signed=False), st.integers(-1000, 60))
def test_one_side_scaled(problem, k):
    """The shapes of masses are compared, whatever the other side weighs."""
    a, b, cost = problem.a * 1.0, problem.b * 1.0, problem.cost
    want = isf.emd(a, b, cost, mass="normalize")
    got = isf.emd(np.ldexp(a, k), b, cost, mass="normalize")
    assert got == pytest.approx(want, rel=1e-13, abs=1e-15 * size_of(problem) / problem.total)


# ---- the same problem in another form --------------------------------------------------------


@given(problems(), seeds)
def test_order_of_the_bins(problem, seed):
    rng = np.random.default_rng(seed)
    p, q = rng.permutation(problem.a.size), rng.permutation(problem.b.size)
    want = isf.emd(problem.a, problem.b, problem.cost)
    got = isf.emd(problem.a[p], problem.b[q], problem.cost[np.ix_(p, q)])
    assert close(got, want, size_of(problem), problem.whole)
    want = isf.emd(problem.a, problem.b, positions=(problem.x, problem.y))
    got = isf.emd(problem.a[p], problem.b[q], positions=(problem.x[p], problem.y[q]))
    assert got == pytest.approx(want, rel=1e-13, abs=1e-15 * problem.total)


@given(problems(), st.integers(0, 30), st.integers(0, 30), seeds)
def test_bins_without_mass(problem, more_a, more_b, seed):
    rng = np.random.default_rng(seed)
    n, m = problem.a.size, problem.b.size
    rows = np.sort(rng.permutation(n + more_a)[:n])
    columns = np.sort(rng.permutation(m + more_b)[:m])
    a, b = np.zeros(n + more_a), np.zeros(m + more_b)
    a[rows], b[columns] = problem.a, problem.b
    cost = rng.normal(size=(a.size, b.size)) * 9
    if problem.whole:
        cost = np.round(cost)
    cost[np.ix_(rows, columns)] = problem.cost
    want = isf.emd(problem.a, problem.b, problem.cost)
    assert close(isf.emd(a, b, cost), want, size_of(problem), problem.whole)
    plan = isf.transport(a, b, cost)
    assert np.isin(plan.flow[0], rows).all()
    assert np.isin(plan.flow[1], columns).all()
    assert reference.are_potentials(*plan.potentials, cost)


@given(problems(), seeds)
def test_bins_cut_in_two(problem, seed):
    """Two bins at one place are as good as one."""
    part = np.random.default_rng(seed).integers(0, problem.a + 1)
    a = np.concatenate([problem.a - part, part])
    cost = np.vstack([problem.cost, problem.cost])
    want = isf.emd(problem.a, problem.b, problem.cost)
    assert close(isf.emd(a, problem.b, cost), want, size_of(problem), problem.whole)
    want = isf.emd(problem.a, problem.b, positions=(problem.x, problem.y))
    twice = np.vstack([problem.x, problem.x])
    got = isf.emd(a, problem.b, positions=(twice, problem.y))
    assert got == pytest.approx(want, rel=1e-13, abs=1e-15 * problem.total)


# ---- changes of the costs --------------------------------------------------------------------


@given(problems(), st.integers(-1000, 1000))
def test_a_constant_more_for_every_arc(problem, more):
    want = isf.emd(problem.a, problem.b, problem.cost) + more * problem.total
    got = isf.emd(problem.a, problem.b, problem.cost + more)
    assert close(got, want, size_of(problem) + problem.total * abs(more), problem.whole)


@given(problems(), seeds)
def test_a_constant_for_each_source_and_target(problem, seed):
    """Potentials change no plan: c_ij + s_i + t_j."""
    rng = np.random.default_rng(seed)
    s, t = (rng.integers(-9, 9, size) for size in problem.cost.shape)
    cost = problem.cost + s[:, None] + t
    want = isf.emd(problem.a, problem.b, problem.cost) + float(problem.a @ s + problem.b @ t)
    got = isf.emd(problem.a, problem.b, cost)
    assert close(got, want, size_of(problem) + 18 * problem.total, problem.whole)


@given(problems(), seeds)
def test_dearer_arcs_make_no_plan_cheaper(problem, seed):
    dearer = problem.cost + np.abs(np.random.default_rng(seed).integers(-9, 5, problem.cost.shape))
    low = isf.emd(problem.a, problem.b, problem.cost)
    high = isf.emd(problem.a, problem.b, dearer)
    assert low <= high + (0 if problem.whole else 1e-14 * size_of(problem, dearer))
    cut = isf.emd(problem.a, problem.b, problem.cost, threshold=0.5)
    assert cut <= low + (0 if problem.whole else 1e-14 * size_of(problem))


@given(problems(signed=False), st.sampled_from(METRICS))
def test_less_mass_to_move_costs_less(problem, metric):
    """The cheapest part of a plan is no dearer than all of it."""
    a, b = problem.a, problem.b
    assume(b[b > 0].size > 1)
    part = b.copy()
    part[np.argmax(b)] = 0
    options = {"positions": (problem.x, problem.y), "metric": metric}
    moved = float(part.sum())
    some = isf.emd(a, part, mass="partial", **options) * moved
    everything = isf.emd(a, b, **options)
    assert some <= everything * (1 + 1e-14)
    penalty = isf.emd(a, part, mass=1e3, **options)
    assert penalty == pytest.approx(some + 1e3 * (problem.total - moved), rel=1e-14)
