"""Costs that cannot be used, wherever they are in the matrix: A7 of the fault table."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.compat import pot, pyemd
from imgsim_fast.errors import InvalidInputError, OutOfRangeError
from tests.reference_transport import near

inf = math.inf
SIZES = [1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65]
BAD = [(math.nan, "NaN"), (-inf, "-inf")]


def problem(n):
    """Masses of which one on each side is 0, and places in its row, its column and both."""
    rng = np.random.default_rng(n)
    m = n + 2
    a, b = rng.integers(1, 9, n + 1).astype(float), rng.integers(1, 9, m).astype(float)
    i, j = int(rng.integers(n + 1)), int(rng.integers(m))
    a[i] = b[j] = 0
    places = [(i, int(rng.integers(m))), (int(rng.integers(n + 1)), j), (i, j)]
    return a, b, rng.random((n + 1, m)), places


def calls(a, b, cost):
    rows = np.array([b] * 3)
    options = {"cost": cost, "mass": "normalize"}
    return [
        lambda: isf.emd(a, b, **options),
        lambda: isf.emd(a, b, cost, mass="partial"),
        lambda: isf.emd(a, b, cost, mass=2.0),
        lambda: isf.emd(a.tolist(), b, threshold=9, **options),
        lambda: isf.transport(a, b, **options),
        lambda: isf.cdist([a], rows, "emd", **options),
        lambda: isf.cdist([a], rows, "emd", threshold=9, **options),
        lambda: isf.knn([a], rows, 2, "emd", **options),
    ]


def calls_of_squares(b, cost):
    rows = np.array([b] * len(b))
    return [
        lambda: isf.pdist(rows, "emd", cost=cost),
        lambda: isf.pdist(rows[:1], "emd", cost=cost),  # no pair at all
        lambda: isf.pdist(rows, "emd", cost=cost, mass="partial", threads=2),
        lambda: isf.cdist(rows, rows, "emd", cost=cost, threads=2),
    ]


@pytest.mark.parametrize("n", SIZES)
def test_bad_costs_where_there_is_no_mass(isa, n):
    a, b, good, places = problem(n)
    for i, j in places:
        for value, word in BAD:
            cost = good.copy()
            cost[i, j] = value
            for call in calls(a, b, cost):
                with pytest.raises(InvalidInputError, match=rf"^cost\[{i}, {j}\] is {word}: "):
                    call()
            square = np.random.default_rng(n).random((len(b), len(b)))
            square[j, -1] = value
            for call in calls_of_squares(b, square):
                with pytest.raises(InvalidInputError, match=rf"^cost\[{j}, {n + 1}\] is {word}: "):
                    call()


@pytest.mark.parametrize("n", SIZES)
def test_infinity_where_there_is_no_mass_forbids_nothing(isa, n):
    a, b, good, places = problem(n)
    want = isf.emd(a, b, good, mass="normalize")
    for place in places[::2]:  # the row without mass
        cost = good.copy()
        cost[place] = inf
        assert isf.emd(a, b, cost, mass="normalize") == want
        found = isf.transport(a, b, cost, mass="normalize")
        assert found.distance == near(want, rel=1e-14)
        rows = np.array([b] * 3)
        assert isf.cdist([a], rows, "emd", cost=cost, mass="normalize").tolist() == [[want] * 3]


def test_bad_costs_among_forbidden_arcs():
    """Infinities send the check another way."""
    cost = np.full((70, 70), inf)
    np.fill_diagonal(cost, 1.0)
    a = np.ones(70)
    a[3] = 0
    assert isf.emd(a, a, cost) == 69
    for value, word in BAD:
        cost[3, 68] = value
        with pytest.raises(InvalidInputError, match=rf"^cost\[3, 68\] is {word}"):
            isf.emd(a, a, cost)


def test_large_matrices():
    """Looked at in several pieces."""
    a, b = np.zeros(300), np.zeros(700)
    a[0] = b[0] = 1
    cost = np.ones((300, 700))
    assert isf.emd(a, b, cost) == 1
    for place in ((0, 699), (299, 0), (299, 699), (93, 400)):
        cost[place] = math.nan
        with pytest.raises(InvalidInputError, match=rf"^cost\[{place[0]}, {place[1]}\] is NaN"):
            isf.emd(a, b, cost)
        cost[place] = 1


def test_drop_ins():
    """Their originals ignore such costs or give numbers without meaning."""
    a, b = [0.0, 1.0], [0.0, 1.0]
    for i, j in ((0, 0), (0, 1), (1, 0)):
        cost = np.ones((2, 2))
        cost[i, j] = math.nan
        for call in (pot.emd, pot.emd2):
            with pytest.raises(InvalidInputError, match=rf"^M\[{i}, {j}\] is NaN"):
                call(a, b, cost)
        with pytest.raises(InvalidInputError, match=rf"^distance_matrix\[{i}, {j}\] is nan"):
            pyemd.emd(a, b, cost)


# ---- costs of very different size ----------------------------------------------------------------

SPREAD = [
    [[-275, -155, 277, -273], [-108, 245, -151, 173], [51, 138, 30, 59], [-192, 215, -27, 46]],
    [[-53, -88, 97, 23], [-51, 26, 6, -40], [98, -59, -40, 45], [88, 24, -80, 3]],
]


@pytest.mark.parametrize("exponents", SPREAD)
@pytest.mark.parametrize(("a", "b"), [([1, 1, 1, 1], [1, 1, 1, 1]), ([1, 5, 1, 2], [5, 1, 2, 1])])
def test_a_dear_plan_does_not_look_optimal(exponents, a, b):
    """Rounding errors of the dearest potentials hid plans that cost far less."""
    cost = 10.0 ** np.array(exponents)
    units = itertools.permutations([j for j, mass in enumerate(b) for _ in range(mass)])
    rows = [i for i, mass in enumerate(a) for _ in range(mass)]
    least = min(math.fsum(cost[i, j] for i, j in zip(rows, to, strict=True)) for to in set(units))
    for first, second, matrix in ((a, b, cost), (b, a, cost.T)):
        try:
            found = isf.emd(first, second, matrix)
        except OutOfRangeError:
            continue
        assert found == pytest.approx(least, rel=1e-9)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(
    ("n", "spread"), [(4, 30), (8, 30), (16, 20), (16, 40), (16, 100), (40, 60)]
)
def test_wide_costs_have_the_same_optimum_from_both_sides(isa, n, spread, equal):
    solved = 0
    for seed in range(60):
        rng = np.random.default_rng((seed, n, spread))
        cost = 10.0 ** np.round(rng.uniform(-spread, spread, (n, n)))
        a = np.ones(n, int) if equal else rng.integers(1, 9, n)
        b = rng.permutation(a)
        try:
            found = isf.emd(a, b, cost), isf.emd(b, a, cost.T.copy())
        except OutOfRangeError:
            continue
        assert found[0] == pytest.approx(found[1], rel=1e-9)
        solved += 1
    assert solved >= 40


# ---- whole numbers -------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "sign"), [(769, 1), (1024, -1), (500, -1)])
def test_patience_costs_whole_numbers_nothing(n, sign):
    """Machol and Wien 1976: so many pivots that the tolerance grew beyond 1, and stayed there."""
    i = np.arange(1, n + 1.0)
    a = np.ones(n)
    if n <= 768:
        a[0] = 2  # no assignment
    cost = sign * np.outer(i, i)
    order = i if sign < 0 else i[::-1]
    found = isf.transport(a, a, cost)
    assert found.distance == found.lower_bound == sign * float((a * i) @ order)
