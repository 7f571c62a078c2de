"""Exact transport against rational twins, permutations, HiGHS, SciPy, POT and its own proof."""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import ot
import pytest
import scipy.optimize
from scipy.spatial.distance import cdist

import imgsim_fast as isf
from imgsim_fast.errors import InfeasibleError, UnbalancedMassError
from tests import reference
from tests.reference_transport import (
    FLOAT_COSTS,
    WHOLE_COSTS,
    check,
    costs_of,
    exact,
    float_masses,
    near,
    twin,
    whole_masses,
)

SMALL = ((1, 1), (1, 5), (4, 1), (2, 2), (3, 2), (3, 3), (2, 7), (5, 4), (6, 6), (8, 5), (8, 8))
SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 513)
METRICS = ("euclidean", "cityblock", "chebyshev", "sqeuclidean")
inf = math.inf


# ---- the true value --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WHOLE_COSTS)
@pytest.mark.parametrize(("n", "m"), SMALL)
def test_whole_masses_and_costs_give_the_true_optimum(isa, n, m, kind):
    for seed in range(4):
        a, b = whole_masses(n, m, seed)
        cost = costs_of(kind, n, m, seed)
        want = float(twin(a, b, cost))
        for dtype in (np.float64, np.uint8, np.int32):
            got = isf.emd(a.astype(dtype), b.astype(np.float32), cost)
            assert type(got) is float
            assert got == want, (isa, seed)
        assert isf.emd(a.astype(float), b.astype(float), cost.astype(float)) == want
        plan = isf.transport(a, b, cost)
        assert plan.distance == plan.lower_bound == want
        assert plan.gap == 0
        assert plan.slack == 0
        check(plan, a, b, cost)


@pytest.mark.parametrize("kind", FLOAT_COSTS + WHOLE_COSTS)
@pytest.mark.parametrize(("n", "m"), SMALL)
def test_any_numbers_give_the_true_optimum_nearly(isa, n, m, kind):
    for seed in range(4):
        cost = costs_of(kind, n, m, seed)
        for a, b in (whole_masses(n, m, seed), float_masses(n, m, seed)):
            want = twin(a, b, cost)
            plan = isf.transport(a, b, cost)
            scale = float(np.abs(plan.flow_matrix() * cost).sum())
            # rounded once, up to the last bit where even 106 bits were not enough
            assert plan.distance == near(float(want), rel=2.3e-16, abs=1e-16 * scale)
            assert isf.emd(a, b, cost) == plan.distance
            check(plan, a, b, cost, largest_gap=inf)
            assert plan.distance - plan.lower_bound <= 1e-12 * scale
            # The proof, in rational numbers: the potentials bound the distance of any plan.
            u, v = (exact(side) for side in plan.potentials)
            dual = sum(x * y for x, y in zip(exact(a) + exact(b), u + v, strict=True))
            rows = [exact(row) for row in cost]
            assert all(u[i] + v[j] <= rows[i][j] for i in range(n) for j in range(m))
            assert dual <= want
            if plan.gap == 0:  # then it is the distance, rounded once
                assert plan.lower_bound == near(float(dual), rel=2.3e-16)
            else:
                assert Fraction(plan.lower_bound) <= want


@pytest.mark.parametrize(("n", "m"), SMALL)
def test_masses_that_rounding_keeps_from_equal_totals(n, m):
    for seed in range(6):
        rng = np.random.default_rng((n, m, seed))
        a, b = rng.random(n) + 1e-3, rng.random(m) + 1e-3
        a, b = a / a.sum(), b / b.sum() * (1 + 1e-7 * (seed % 3 - 1))
        cost = costs_of("float", n, m, seed)
        plan = isf.transport(a, b, cost)
        assert plan.distance == near(float(twin(a, b, cost)), rel=1e-14)
        assert plan.slack == near(a.sum() - b.sum(), abs=2e-16)
        assert plan.gap <= 1e-12


@pytest.mark.parametrize("n", range(1, 8))
def test_equal_masses_against_all_permutations(isa, n):
    for seed in range(5 if n < 7 else 1):
        for kind in ("whole", "whole, negative", "float", "float, wide"):
            cost = costs_of(kind, n, n, seed)
            want = float(reference.cheapest_matching(cost.tolist()))
            ones = np.ones(n)
            assert isf.emd(ones, ones, cost) == near(want, rel=1e-15, abs=1e-15)
            assert isf.emd(ones * 3, ones * 3, cost) == near(3 * want, rel=1e-15, abs=1e-14)
            if kind in WHOLE_COSTS:
                assert isf.emd(ones, ones, cost) == want


@pytest.mark.parametrize(("n", "m"), [(1, 9), (5, 5), (12, 30), (30, 30), (40, 60)])
@pytest.mark.parametrize("kind", ["whole", "float", "distances"])
def test_highs(n, m, kind):
    a, b = float_masses(n, m, 3)
    a, b = a / a.sum(), b / b.sum()
    cost = costs_of(kind, n, m, 3)
    rows = np.kron(np.eye(n), np.ones(m))
    columns = np.kron(np.ones(n), np.eye(m))
    found = scipy.optimize.linprog(
        cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a, b]), method="highs"
    )
    assert found.status == 0
    assert isf.emd(a, b, cost) == near(found.fun, rel=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_the_line_has_a_closed_form(isa, n):
    a, b = whole_masses(n, n, 5, top=50)
    total = a.sum()
    want = isf.wasserstein_1d(a, b) * float(total)
    for metric in METRICS[:3]:
        assert isf.emd(a, b, metric=metric) == near(want, rel=1e-14)
    places = np.cumsum(np.random.default_rng(n).random(n))
    want = isf.wasserstein_1d(a, b, places) * float(total)
    assert isf.emd(a, b, positions=places) == near(want, rel=1e-13)
    assert isf.emd(a, b, positions=(-places, -places[:, None])) == near(want, rel=1e-13)
    want = isf.wasserstein_1d(a, b, places, p=2) ** 2 * float(total)
    got = isf.emd(a, b, positions=places, metric="sqeuclidean")
    assert got == near(want, rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17, 64, 100, 200])
@pytest.mark.parametrize("kind", ["whole", "tied", "equal", "float", "float, both signs"])
def test_equal_masses_against_scipy(isa, n, kind):
    for seed in range(2):
        cost = costs_of(kind, n, n, seed)
        rows, columns = scipy.optimize.linear_sum_assignment(cost)
        want = math.fsum(cost[rows, columns])
        ones = np.full(n, 0.5)
        plan = isf.transport(ones, ones, cost)
        scale = 0.5 * math.fsum(np.abs(cost[rows, columns]))
        assert plan.distance == near(0.5 * want, rel=1e-14, abs=1e-14 * scale)
        check(plan, ones, ones, cost, largest_gap=inf)
        assert plan.distance - plan.lower_bound <= 1e-12 * scale
        limited = isf.transport(ones, ones, cost, max_pivots=10**6)  # by the simplex
        assert limited.distance == near(plan.distance, rel=1e-14, abs=1e-14 * scale)


# ---- sizes -----------------------------------------------------------------------------------


def by_pot(a, b, cost):
    a, b = np.asarray(a, float), np.asarray(b, float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = ot.emd2(a / a.sum(), b / b.sum(), np.asarray(cost, float), numItermax=10**7)
    return float(value) * float(a.sum())


@pytest.mark.parametrize("n", SIZES)
def test_sizes(isa, n):
    for m in (n, n + 1, max(n // 2, 1)):
        for a, b in (whole_masses(n, m, 7, top=100), float_masses(n, m, 7)):
            cost = costs_of("distances", n, m, 7)
            plan = isf.transport(a, b, cost)
            check(plan, a, b, cost)
            assert isf.emd(a, b, cost) == plan.distance
            if isa == "baseline":
                assert plan.distance == near(by_pot(a, b, cost), rel=1e-9)
    a, b = whole_masses(n, n, 8, top=100)
    cost = costs_of("tied", n, n, 8)
    plan = isf.transport(a, b, cost)
    check(plan, a, b, cost, largest_gap=0)
    ones = np.ones(n)
    check(isf.transport(ones, ones, cost), ones, ones, cost, largest_gap=0)


@pytest.mark.parametrize(
    ("n", "m"), [(1, 3000), (3000, 1), (3, 1500), (1025, 4), (7, 700), (65, 2)]
)
def test_long_and_narrow(isa, n, m):
    a, b = whole_masses(n, m, 1)
    for kind in ("whole", "tied"):
        cost = costs_of(kind, n, m, 1)
        check(isf.transport(a, b, cost), a, b, cost, largest_gap=0)
    x, y = np.random.default_rng(0).random((n, 2)), np.random.default_rng(1).random((m, 2))
    check(isf.transport(a, b, positions=(x, y)), a, b, cdist(x, y))


def test_costs_that_are_computed_again_for_each_pricing():
    """More than 2**22 arcs from positions."""
    n = 2100
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 300, (n, 2)), rng.integers(0, 300, (n, 2))
    a, b = rng.integers(1, 1000, n), rng.integers(1, 1000, n)
    b[-1] += max(a.sum() - b.sum(), 0)
    a[-1] += max(b.sum() - a.sum(), 0)
    cost = cdist(x, y, "cityblock")
    plan = isf.transport(a, b, positions=(x, y), metric="cityblock")
    check(plan, a, b, cost, largest_gap=0)
    assert isf.emd(a, b, cost) == plan.distance
    want = isf.transport(a, b, cdist(x, y))
    assert isf.emd(a, b, positions=(x, y)) == near(want.distance, rel=1e-13)
    assert want.gap < 1e-12


# ---- ground distances ------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dims", [1, 2, 3, 5])
def test_metrics_against_matrices(isa, metric, dims):
    rng = np.random.default_rng(dims)
    for n, m in ((6, 5), (40, 40), (65, 33)):
        a, b = whole_masses(n, m, dims)
        for x, y in (
            (rng.normal(size=(n, dims)), rng.normal(size=(m, dims))),
            (rng.integers(-9, 9, (n, dims)), rng.integers(-9, 9, (m, dims))),
        ):
            for threshold in (None, 1.25, 3, 1e300):
                cost = np.array(reference.ground_distances(x, y, metric, threshold))
                want = isf.transport(a, b, cost)
                plan = isf.transport(a, b, positions=(x, y), metric=metric, threshold=threshold)
                assert plan.distance == near(want.distance, rel=1e-14, abs=1e-14)
                check(plan, a, b, cost)
                options = {"metric": metric, "threshold": threshold}
                assert isf.emd(a, b, positions=(x, y), **options) == plan.distance
                exact_costs = x.dtype.kind == "i" and (metric != "euclidean" or dims == 1)
                if exact_costs and threshold in (None, 3):
                    assert plan.distance == want.distance
                    assert plan.gap == 0
        cost = np.abs(rng.normal(size=(n, m)))
        assert isf.emd(a, b, cost, threshold=0.5) == near(
            isf.emd(a, b, np.minimum(cost, 0.5)), rel=1e-15
        )


@pytest.mark.parametrize("metric", METRICS)
def test_forms_of_positions(isa, metric):
    for n in (5, 30):
        a, b = whole_masses(n, n, 2)
        x = np.random.default_rng(n).integers(0, 9, (n, 2))
        cost = np.array(reference.ground_distances(x, x, metric))
        want = isf.emd(a, b, cost)
        for positions in (
            x,
            x.tolist(),
            x.astype(np.float32),
            (x, x),
            (x.tolist(), x.astype("i1")),
        ):
            got = isf.emd(a, b, positions=positions, metric=metric)
            assert got == near(want, rel=1e-14)
        check(isf.transport(a, b, positions=x, metric=metric), a, b, cost)
        line = x[:, 0]
        want = isf.emd(a, b, np.array(reference.ground_distances(x[:, :1], x[:, :1], metric)))
        for positions in (line, line[:, None], (line, line[:, None]), line.tolist()):
            assert isf.emd(a, b, positions=positions, metric=metric) == want
        bins = np.arange(n)
        want = isf.emd(a, b, positions=bins, metric=metric)
        assert isf.emd(a, b, metric=metric) == want


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n", [6, 13, 40, 200])
def test_points_that_coincide(isa, metric, n):
    """Equal points are one place inside, and appear with their own numbers in the plan."""
    rng = np.random.default_rng(n)
    places = rng.integers(0, 3, (n, 2)).astype(float)
    places[places == 0] *= rng.choice([-1, 1], (places == 0).sum())  # -0 is 0
    others = places[rng.permutation(n)][: n - 2]
    for x, y in ((places, others), (places, places), (others, np.zeros((1, 2)))):
        a, b = whole_masses(len(x), len(y), 0)
        cost = np.array(reference.ground_distances(x, y, metric))
        plan = isf.transport(a, b, positions=(x, y), metric=metric)
        check(plan, a, b, cost, largest_gap=0 if metric != "euclidean" else 1e-12)
        assert plan.distance == near(isf.emd(a, b, cost), rel=1e-14)


def test_mass_at_one_place_does_not_stay_where_the_distance_is_no_metric():
    """Squared distances: two short steps are cheaper than a long one."""
    a, b = [1, 1, 0], [0, 1, 1]
    assert isf.emd(a, b, metric="sqeuclidean") == 2
    assert isf.transport(a, b, metric="sqeuclidean").flow[1].tolist() == [1, 2]
    assert isf.emd(a, b, metric="euclidean") == 2
    cost = [[0, 1, 9], [1, 5, 1], [9, 1, 0]]  # staying costs 5
    assert isf.emd(a, b, cost) == 2
    assert isf.emd([0, 1, 0], [0, 1, 0], cost) == 5


# ---- totals that differ ----------------------------------------------------------------------


@pytest.mark.parametrize("mass", ["normalize", "partial", "opencv", 0, 0.75, 3, 1e6])
@pytest.mark.parametrize(("n", "m"), SMALL)
def test_unequal_totals_by_definition(isa, n, m, mass):
    for seed in range(2):
        a, b = whole_masses(n, m, seed)[0], whole_masses(m, n, seed + 50)[0]
        for kind in ("whole", "tied", "float", "float, both signs"):
            cost = costs_of(kind, n, m, seed)
            for masses in ((a, b), (a * 0.1, b * 0.3), (a / a.sum(), b / a.sum())):
                want = twin(*masses, cost, mass)
                plan = isf.transport(*masses, cost, mass=mass)
                got = isf.emd(*masses, cost, mass=mass)
                assert got == plan.distance
                scale = float(np.abs(plan.flow_matrix() * cost).sum() + abs(want) + 1e-300)
                if not isinstance(mass, str):
                    scale += mass * (masses[0].sum() + masses[1].sum()) / 10
                assert got == near(float(want), rel=1e-14, abs=1e-14 * scale)
                assert plan.lower_bound <= got
                assert Fraction(plan.lower_bound) <= want + Fraction(scale) / 10**15
                assert got - plan.lower_bound <= 1e-12 * scale
                u, v = plan.potentials
                assert reference.are_potentials(u, v, cost.astype(float))
                check_partial_plan(plan, *masses, mass)


def check_partial_plan(plan, a, b, mass):
    a, b = np.asarray(a, float), np.asarray(b, float)
    if mass == "normalize":
        a, b = a / a.sum(), b / b.sum()
    matrix = plan.flow_matrix()
    assert (plan.flow[2] > 0).all()
    moved = min(a.sum(), b.sum())
    assert matrix.sum() == near(moved, rel=1e-15)
    for given, got in ((a, matrix.sum(1)), (b, matrix.sum(0))):
        assert (got <= given + 4e-16 * moved).all()
        if given.sum() <= moved:
            np.testing.assert_allclose(got, given, rtol=1e-14)


def test_whole_numbers_stay_exact_where_totals_differ():
    cost = np.array([[3, 1], [0, 2], [7, 7]])
    a, b = [3, 2, 5], [4, 2]
    assert isf.emd(a, b, cost, mass="partial") == float(twin(a, b, cost, "partial"))
    assert isf.emd(a, b, cost, mass="opencv") == float(twin(a, b, cost, "opencv"))
    assert isf.emd(a, b, cost, mass=2) == float(twin(a, b, cost, 2))
    assert isf.emd(a, b, cost, mass="normalize") == float(twin(a, b, cost, "normalize"))
    assert isf.transport(a, b, cost, mass="partial").gap == 0


def test_the_mass_left_over_is_exact():
    a, b = np.array([0.1, 0.2, 0.3]), np.array([0.6])
    cost = np.zeros((3, 1))
    want = twin(a, b, cost, 1e6)
    assert 0 < want < 1e-9
    assert isf.emd(a, b, cost, mass=1e6) == near(float(want), rel=1e-14)
    assert isf.transport(a, b, cost, mass=1e6).lower_bound <= want


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("mass", ["normalize", "partial", "opencv", 2.5])
def test_unequal_totals_from_positions(isa, metric, mass):
    for n, m in ((5, 7), (8, 8), (60, 40)):
        rng = np.random.default_rng((n, m))
        a, b = rng.integers(1, 9, n), rng.integers(1, 9, m)
        x, y = rng.integers(0, 5, (n, 2)), rng.integers(0, 5, (m, 2))
        cost = np.array(reference.ground_distances(x, y, metric))
        want = isf.emd(a, b, cost, mass=mass)
        for first, second in (((a, b), (x, y)), ((b, a), (y, x))):
            got = isf.emd(*first, positions=second, metric=metric, mass=mass)
            assert got == near(want, rel=1e-14)
        if n < 9:
            assert want == near(float(twin(a, b, cost, mass)), rel=1e-14)


def test_unbalanced():
    for a, b in (([1, 2], [1.01, 2]), ([100, 1], [100]), ([1e-300], [2e-300])):
        cost = np.ones((len(a), len(b)))
        for call in (isf.emd, isf.transport):
            with pytest.raises(UnbalancedMassError, match=f"{float(sum(b))}"):
                call(a, b, cost)
    ulp = np.nextafter(1.0, 2)
    plan = isf.transport([ulp], [1.0], [[3.0]])
    assert plan.slack == ulp - 1
    assert plan.distance == near(3, rel=3e-16)
    assert isf.emd([1.0], [ulp], [[3.0]]) == near(3, rel=3e-16)


# ---- forbidden arcs --------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("kind", ["whole", "whole, negative", "float"])
def test_forbidden_arcs(isa, kind, share):
    outcomes = set()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n, m = (int(x) for x in rng.integers(1, 8, 2))
        a, b = whole_masses(n, m, seed)
        cost = costs_of(kind, n, m, seed).astype(float)
        cost[rng.random((n, m)) < share] = inf
        for mass in ("error", "partial"):
            want = twin(a, b, cost, mass)
            plan = isf.transport(a, b, cost, mass=mass)
            outcomes.add(plan.status)
            if want is None:
                assert plan.status == "infeasible"
                assert plan.distance == inf
                assert plan.flow[0].size == plan.flow_matrix().sum() == 0
                with pytest.raises(InfeasibleError, match=r"mass of a") as caught:
                    isf.emd(a, b, cost, mass=mass)
                check_blocked(str(caught.value), a)
                continue
            assert plan.distance == near(float(want), rel=1e-14)
            assert isf.emd(a, b, cost, mass=mass) == plan.distance
            assert np.isfinite(cost[plan.flow[:2]]).all()
            assert reference.are_potentials(*plan.potentials, cost)
            assert plan.lower_bound <= plan.distance
    assert outcomes == {"optimal", "infeasible"}


def check_blocked(message, a):
    if "a[" in message:
        assert a[int(message.split("a[")[1].split("]")[0])] > 0, message


def test_forbidden_arcs_on_a_larger_scale(isa):
    n = 150
    rng = np.random.default_rng(0)
    a = rng.integers(1, 30, n)
    b = a[rng.permutation(n)]
    for cost in (rng.integers(0, 50, (n, n)).astype(float), rng.random((n, n))):
        cost[rng.random((n, n)) < 0.7] = inf
        finite = np.where(np.isfinite(cost), cost, 1e6)
        plan = isf.transport(a, b, cost)
        assert plan.status == "optimal"
        assert np.isfinite(cost[plan.flow[:2]]).all()
        assert plan.distance == near(isf.emd(a, b, finite), rel=1e-12)
        assert plan.distance == near(by_pot(a, b, finite), rel=1e-9)
        assert reference.are_potentials(*plan.potentials, cost)
        assert plan.gap < 1e-11
        cost[17] = inf  # no target left for one source
        with pytest.raises(InfeasibleError, match=r"a\[17\]"):
            isf.emd(a, b, cost)
    with pytest.raises(InfeasibleError, match=r"a\[17\]"):  # a threshold allows no arc
        isf.emd(a, b, cost, threshold=9.0)


# ---- stopping early --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["whole", "float", "float, both signs"])
def test_max_pivots(kind):
    n, m = 40, 50
    a, b = whole_masses(n, m, 0)
    cost = costs_of(kind, n, m, 0)
    best = isf.transport(a, b, cost)
    assert best.pivots > 20
    distances = []
    for limit in (1, 2, 5, 10, best.pivots - 1):
        plan = isf.transport(a, b, cost, max_pivots=limit)
        assert plan.status == "stopped"
        assert plan.pivots == limit
        distances.append(plan.distance)
        assert plan.lower_bound <= best.distance <= plan.distance
        assert plan.gap == (plan.distance - plan.lower_bound) / abs(plan.distance)
        matrix = plan.flow_matrix()
        np.testing.assert_allclose(matrix.sum(1), a, rtol=1e-15)
        np.testing.assert_allclose(matrix.sum(0), b, rtol=1e-15)
        assert reference.are_potentials(*plan.potentials, cost.astype(float))
        assert (matrix * cost).sum() == near(plan.distance, rel=1e-13)
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > best.distance
    unlimited = isf.transport(a, b, cost, max_pivots=10**9)
    assert unlimited.status == "optimal"
    assert unlimited.distance == best.distance
