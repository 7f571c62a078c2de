"""Hostile numbers and mistakes in calls of exact transport: right answers or typed errors.

The letters are the rows of the fault table that a test covers.
"""

from __future__ import annotations

import array
import contextlib
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
from scipy.spatial.distance import cdist

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError
from tests import reference
from tests.reference_transport import check, costs_of, near, twin, whole_masses

nan, inf = math.nan, math.inf
GOOD = [1.0, 2.0, 3.0]
ONES = np.ones((3, 3))

# (bad masses, what the message says after the name of the argument): A1 to A4.
BAD_MASSES = {
    "NaN": ([1, nan, 3], r"\[{i}1\] is NaN"),
    "inf": ([inf, 2, 3], r"\[{i}0\] is inf"),
    "-inf": ([1, 2, -inf], r"\[{i}2\] is -inf"),
    "inf and NaN": ([inf, nan, 3], r"\[{i}0\] is inf"),
    "negative": ([1, -2, 7], r"\[{i}1\] is -2\.0"),
    "hardly negative": ([1, 2, -1e-300], r"\[{i}2\] is -1e-300"),
    "denormal negative": ([6, -5e-324, 0], r"\[{i}1\] is -5e-324"),
    "huge and NaN": ([1e308, 1e308, nan], r"\[{i}2\] is NaN"),
    "no mass": ([0, 0, 0], "{row} has no mass"),
    "no mass, signed zeros": ([0.0, -0.0, 0.0], "{row} has no mass"),
}  # fmt: skip
GROUNDS = {
    "bins": {},
    "matrix": {"cost": ONES},
    "positions": {"positions": ONES},
    "normalize": {"mass": "normalize"},
    "partial": {"cost": ONES, "mass": "partial"},
    "penalty": {"positions": (ONES, ONES), "mass": 2},
}


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("name", BAD_MASSES)
def test_bad_masses_are_named(isa, name, ground):
    row, says = BAD_MASSES[name]
    options = GROUNDS[ground]
    single = says.format(i="", row="")
    for kind in (np.array, list, tuple):
        for call in (isf.emd, isf.transport):
            with pytest.raises(InvalidInputError, match="^a" + single):
                call(kind(row), GOOD, **options)
            with pytest.raises(InvalidInputError, match="^b" + single):
                call(np.array(GOOD), kind(row), **options)
            with pytest.raises(InvalidInputError, match="^a" + single):  # both are bad
                call(row, row, **options)
    in_row_4 = says.format(i="4, ", row=r"\[4\]")
    rows = np.array([GOOD] * 9)
    rows[[4, 7]] = row
    for call, who in (
        (lambda: isf.cdist(rows, [GOOD], "emd", **options), "A"),
        (lambda: isf.cdist([GOOD], rows, "emd", **options), "B"),
        (lambda: isf.pdist(rows, "emd", **options), "A"),
        (lambda: isf.knn(GOOD, rows, 2, "emd", **options), "database"),
        (lambda: isf.knn(rows, [GOOD], 2, "emd", **options), "queries"),
    ):
        with pytest.raises(InvalidInputError, match="^" + who + in_row_4):
            call()


@pytest.mark.parametrize("name", BAD_MASSES)
def test_bad_signatures_are_named(name):
    row, says = BAD_MASSES[name]
    good = (GOOD, np.eye(3))
    bad = np.column_stack([np.array(row), np.eye(3)])
    for signature, place, i in (
        ((row, np.eye(3)), r"\[1\]\[0\]", ""),
        (bad, r"\[1\]\[:, 0\]", ""),
    ):
        message = place + says.format(i=i, row="")
        with pytest.raises(InvalidInputError, match="^A" + message):
            isf.cdist([good, signature], [good], "emd")
        with pytest.raises(InvalidInputError, match="^database" + message):
            isf.knn([good], [good, signature], 1, "emd")


def of_type(kind):
    return np.ones(3).astype(kind)


def emd(*args, **options):
    return lambda: (isf.emd(*args, **options), isf.transport(*args, **options))


VALUE, TYPE = InvalidInputError, InvalidTypeError
MISTAKES = {
    # A5: nothing there
    "empty": (VALUE, r"a has no bins.*\(0,\)", emd([], [])),
    "b empty": (VALUE, r"b has no bins.*\(0,\)", emd(GOOD, [], np.ones((3, 0)))),
    "no rows": (VALUE, r"a has no bins", emd(np.ones((3, 0)), GOOD)),
    "no columns": (VALUE, r"a must be a vector.*\(0, 5\)", emd(np.ones((0, 5)), GOOD)),
    "scalar": (VALUE, "a must .*scalar 3", emd(3, 4)),
    "empty rows": (VALUE, r"A has no bins",
                   lambda: isf.cdist(np.ones((4, 0)), np.ones((4, 0)), "emd")),
    # A7: costs
    "cost NaN": (VALUE, r"cost\[1, 2\] is NaN", emd(GOOD, GOOD, [[1, 1, 1], [1, 1, nan], [1] * 3])),
    "cost all NaN": (VALUE, r"cost\[0, 0\] is NaN", emd(GOOD, GOOD, ONES * nan)),
    "cost -inf": (VALUE, r"cost\[2, 0\] is -inf",
                  emd(GOOD, GOOD, [[1, 1, 1], [1, inf, 1], [-inf, nan, 1]])),
    "cost all -inf": (VALUE, r"cost\[0, 0\] is -inf", emd(GOOD, GOOD, ONES * -inf)),
    "cost NaN, one row": (VALUE, r"cost\[0, 1\] is NaN", emd([2], [1, 1], [[0, nan]])),
    "cost NaN, cut": (VALUE, r"cost\[0, 1\] is NaN", emd([2], [1, 1], [[0, nan]], threshold=1)),
    # A12: shapes
    "lengths": (VALUE, r"a and b .*3 and 2", emd(GOOD, [3, 3])),
    "cost: rows": (VALUE, r"cost .*\(3, 3\).*\(2, 3\)", emd(GOOD, GOOD, np.ones((2, 3)))),
    "cost: turned": (VALUE, r"cost .*\(3, 2\).*\(2, 3\)", emd(GOOD, [3, 3], np.ones((2, 3)))),
    "cost: flat": (VALUE, r"cost .*\(3, 3\).*\(9,\)", emd(GOOD, GOOD, np.ones(9))),
    "cost: cube": (VALUE, r"cost .*\(3, 3\).*\(1, 3, 3\)", emd(GOOD, GOOD, ONES[None])),
    "cost: number": (VALUE, r"cost .*\(3, 3\).*\(\)", emd(GOOD, GOOD, 1.0)),
    "a: matrix": (VALUE, r"a must be a vector.*\(1, 3\)", emd([GOOD], GOOD)),
    "b: matrix": (VALUE, r"b must be a vector.*\(1, 3\)", emd(GOOD, ONES[:1], ONES)),
    "positions: number": (VALUE, r"positions .*\(3, dims\).*\(2,\)",
                          emd(GOOD, GOOD, positions=[0, 1])),
    "positions: no dims": (VALUE, r"positions .*\(3, 0\)",
                           emd(GOOD, GOOD, positions=np.ones((3, 0)))),
    "positions: cube": (VALUE, r"positions .*\(3, 1, 1\)",
                        emd(GOOD, GOOD, positions=np.ones((3, 1, 1)))),
    "positions: shared": (VALUE, r"a and b .*3 and 2.*positions=\(x, y\)",
                          emd(GOOD, [3, 3], positions=GOOD)),
    "positions: three": (VALUE, r"positions .*\(sources, targets\).*3",
                         emd(GOOD, GOOD, positions=(GOOD, GOOD, GOOD))),
    "positions: y": (VALUE, r"positions\[1\] .*\(3, dims\).*\(2, 3\)",
                     emd(GOOD, GOOD, positions=(ONES, ONES[:2]))),
    "positions: dims": (VALUE, r"dimensions.*\(3, 3\).*\(3, 1\)",
                        emd(GOOD, GOOD, positions=(ONES, GOOD))),
    "positions: NaN": (VALUE, r"positions\[1, 0\] is nan",
                       emd(GOOD, GOOD, positions=[0, nan, inf])),
    "positions: inf": (VALUE, r"positions\[1\]\[2, 1\] is -inf",
                       emd(GOOD, GOOD, positions=(np.ones((3, 2)), [[0, 1], [0, 1], [0, -inf]]))),
    "both": (VALUE, "cost and positions", emd(GOOD, GOOD, ONES, positions=GOOD)),
    # A13, A15: types
    "complex": (TYPE, "a .*complex", emd(of_type("c16"), GOOD)),
    "object": (TYPE, "b .*object", emd(GOOD, of_type(object))),
    "text": (TYPE, "a .*<U", emd(["1", "2", "3"], GOOD)),
    "bytes": (TYPE, "a .*S1", emd(of_type("S1"), GOOD)),
    "date": (TYPE, "a .*datetime64", emd(np.zeros(3, "M8[s]"), GOOD)),
    "long double": (TYPE, "a .*128", emd(of_type(np.longdouble), GOOD)),
    "record": (TYPE, "a .*f8", emd(np.ones(3, [("x", "f8")]), GOOD)),
    "None": (TYPE, "a .*object", emd(None, GOOD)),
    "ragged": (TYPE, "cost cannot", emd(GOOD, GOOD, [[1, 2], [1]])),
    "cost: complex": (TYPE, "cost .*complex", emd(GOOD, GOOD, ONES * 1j)),
    "cost: object": (TYPE, "cost .*object", emd(GOOD, GOOD, ONES.astype(object))),
    "positions: text": (TYPE, "positions .*<U", emd(GOOD, GOOD, positions=["0", "1", "2"])),
    "masked": (VALUE, "a is a masked", emd(np.ma.masked_equal(GOOD, 2.0), GOOD)),
    "masked cost": (VALUE, "cost is a masked",
                    emd(GOOD, GOOD, np.ma.masked_equal(np.eye(3), 0.0))),
    "masked positions": (VALUE, "positions is a masked",
                         emd(GOOD, GOOD, positions=np.ma.masked_equal(GOOD, 2.0))),
    # A17: integers that float64 cannot hold
    "2**53 + 1": (VALUE, r"a\[1\] is 9007199254740993", emd(np.array([0, 2**53 + 1, 1]), GOOD)),
    "2**63": (VALUE, r"b\[2\] is 9223372036854775808",
              emd(GOOD, np.array([0, 1, 2**63], np.uint64))),
    "2**64 - 1": (VALUE, r"A\[1, 0\] is 18446744073709551615",
                  lambda: isf.pdist(np.array([[0, 1], [2**64 - 1, 1]], np.uint64), "emd")),
    "cost: -2**63": (VALUE, r"cost\[0, 1\] is -9223372036854775808",
                     emd([1, 1], [1, 1], np.array([[0, -(2**63)], [1, 1]]))),
    "positions: 2**60": (VALUE, r"positions\[2\] is 1152921504606846976",
                         emd(GOOD, GOOD, positions=[0, 1, 2**60])),
    # the other arguments
    "metric": (VALUE, "metric .*'manhattan'", emd(GOOD, GOOD, metric="manhattan")),
    "metric, matrix": (VALUE, "metric .*'l2'", emd(GOOD, GOOD, ONES, metric="l2")),
    "metric 2": (VALUE, "metric .*2", emd(GOOD, GOOD, metric=2)),
    "ground": (VALUE, "ground .*'matrix'", lambda: isf.pdist([GOOD], "emd", ground="matrix")),
    "threshold 0": (VALUE, "threshold .*0", emd(GOOD, GOOD, threshold=0)),
    "threshold -1": (VALUE, "threshold .*-1", emd(GOOD, GOOD, threshold=-1)),
    "threshold NaN": (VALUE, "threshold .*nan", emd(GOOD, GOOD, threshold=nan)),
    "threshold text": (TYPE, "threshold .*'far'", emd(GOOD, GOOD, threshold="far")),
    "threshold True": (TYPE, "threshold .*True", emd(GOOD, GOOD, threshold=True)),
    "mass": (VALUE, "mass .*'balanced'", emd(GOOD, GOOD, mass="balanced")),
    "mass -1": (VALUE, "mass .*-1", emd(GOOD, GOOD, mass=-1)),
    "mass NaN": (VALUE, "mass .*nan", emd(GOOD, GOOD, mass=nan)),
    "mass inf": (VALUE, "mass .*inf", emd(GOOD, GOOD, mass=inf)),
    "mass None": (TYPE, "mass .*None", emd(GOOD, GOOD, mass=None)),
    "mass True": (TYPE, "mass .*True", emd(GOOD, GOOD, mass=True)),
    "max_pivots 0": (VALUE, "max_pivots .*0", lambda: isf.transport(GOOD, GOOD, max_pivots=0)),
    "max_pivots 1.5": (TYPE, r"max_pivots .*1\.5", lambda: isf.transport([1], [1], max_pivots=1.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


def test_errors_are_also_the_built_in_ones():
    with pytest.raises(ValueError, match="totals"):
        isf.emd([1], [2])
    with pytest.raises(ValueError, match="infinite costs"):
        isf.emd([1], [1], [[inf]])
    with pytest.raises(OverflowError, match="range"):
        isf.emd([1e300], [1e300], [[1e300]])


# ---- A13 to A15: any array that NumPy can see ------------------------------------------------

A = np.array([3, 0, 1, 2, 1])
B = np.array([1, 2, 0, 4, 0])
COST = np.array(
    [[0, 7, 2, 3, 1], [1, 1, 1, 1, 1], [5, 0, 2, 2, 9], [3, 4, 2, 1, 0], [6, 6, 1, 3, 2]]
)
DTYPES = (
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "u8",
    "i8",
    "f2",
    "f4",
    "f8",
    ">f8",
    ">i4",
    "<u2",
    ">f2",
)


def unaligned(values):
    values = np.asarray(values)
    memory = np.zeros(values.nbytes + 1, np.uint8)
    view = memory[1:].view(values.dtype).reshape(values.shape)
    view[...] = values
    return view


class Child(np.ndarray):
    """A subclass without anything of its own."""


def read_only(values):
    values = np.array(values)
    values.flags.writeable = False
    return values


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 3, -1)[..., ::3],
    "reversed": lambda x: np.array(x[..., ::-1])[..., ::-1],
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "unaligned": unaligned,
    "subclass": lambda x: np.array(x).view(Child),
    "unmasked": np.ma.masked_array,
    "list": lambda x: np.asarray(x).tolist(),
    "memoryview": lambda x: memoryview(np.array(x)),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype):
    want = float(twin(A, B, COST))
    assert want > 0
    assert isf.emd(A.astype(dtype), B.astype(dtype), COST.astype(dtype)) == want
    assert isf.emd(A.astype(dtype), B.astype(float), COST.astype(float)) == want
    plan = isf.transport(A, B.astype(dtype), COST)
    assert plan.distance == plan.lower_bound == want
    places = COST[:, :2]
    want = isf.emd(A * 1.0, B * 1.0, positions=places * 1.0)
    assert isf.emd(A, B, positions=places.astype(dtype)) == want
    rows = np.array([A, B]).astype(dtype)
    assert isf.pdist(rows, "emd", cost=COST.astype(dtype))[0] == float(twin(A, B, COST))


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    layout = LAYOUTS[name]
    want, places = float(twin(A, B, COST)), COST[:, :2] * 1.0
    far = isf.emd(A, B, positions=places)
    for dtype in (float, np.int32):
        given = [layout(x.astype(dtype)) for x in (A, B, COST)]
        copies = [np.array(x) for x in given]
        assert isf.emd(*given) == isf.transport(*given).distance == want
        assert isf.emd(A, B, positions=layout(places)) == far
        assert isf.emd(A, B, positions=(layout(places), places)) == near(far, rel=1e-15)
        rows = layout(np.array([A, B], dtype))
        assert isf.cdist(rows, rows, "emd", cost=given[2])[0, 1] == want
        for x, copy in zip(given, copies, strict=True):  # and nothing was written
            np.testing.assert_array_equal(np.array(x), copy)


def test_other_containers():
    want = float(twin(A, B, COST))
    assert isf.emd(array.array("d", A.tolist()), array.array("H", B.tolist()), COST) == want
    assert isf.emd(tuple(A), range(1, 6), COST, mass="normalize") == near(
        float(twin(A, range(1, 6), COST, "normalize")), rel=1e-15
    )
    ones = np.broadcast_to(np.float64(1), 5)
    assert isf.emd(ones, ones, np.broadcast_to(np.float64(3), (5, 5))) == 15
    assert isf.emd([True, False], np.array([False, True]), [[0, 1], [1, 0]]) == 1
    assert isf.emd([-0.0, 1.0], [1.0, -0.0], [[0, 1], [1, 0]]) == 1
    assert isf.emd(bytearray(b"\x01\x02"), np.frombuffer(b"\x02\x01", np.uint8)) == 1


# ---- A8 to A10, A17: extremes of the range ---------------------------------------------------


@pytest.mark.parametrize("exponent", [-300, -100, -46, -38, -37, 36, 38, 39, 46, 100, 300])
@pytest.mark.parametrize("n", [20, 64, 160])
def test_costs_beyond_the_range_of_float32(n, exponent):
    """The right optimum at the ends of the narrower types, too."""
    factor = 10.0**exponent
    a, b = whole_masses(n, n, 0)
    cost = costs_of("distances", n, n, 0)
    want = isf.emd(a, b, cost)
    assert isf.emd(a, b, cost * factor) == near(want * factor, rel=1e-14)
    x = np.random.default_rng(n).random((n, 2))
    want = isf.emd(a, b, positions=x)
    assert isf.emd(a, b, positions=x * factor) == near(want * factor, rel=1e-14)
    x[::2], x[1::4] = factor, -factor
    cost = cdist(x, x, "cityblock")
    plan = isf.transport(a, b, cost)
    check(plan, a, b, cost)
    assert isf.emd(a, b, positions=x, metric="cityblock") == near(plan.distance, rel=1e-14)


def test_integer_masses_near_2_to_the_63():
    big = 2**53
    many = np.full(300, big)
    assert isf.emd(many, [300.0 * big], np.ones((300, 1))) == 300 * big
    assert isf.emd([2.0**63, 2.0**63], [2.0**64], [[1], [3]]) == 2.0**65
    a, b = np.array([big, big - 1, 3]), np.array([big - 5, big + 0, 7])
    cost = np.array([[0, 3, 1], [2, 0, 5], [1, 1, 0]])
    plan = isf.transport(a, b, cost)
    assert plan.distance == plan.lower_bound == float(twin(a, b, cost))
    assert plan.flow[2].sum() == a.sum()


def one_finite_way(largest):
    """A problem whose optimum uses small costs only, the others being `largest`."""
    rng = np.random.default_rng(0)
    cost = rng.integers(0, 10, (20, 20)).astype(float)
    allowed = rng.random((20, 20)) < 0.5
    np.fill_diagonal(allowed, True)
    return rng.integers(1, 50, 20), np.where(allowed, cost, largest)


@pytest.mark.parametrize("largest", [1e6, 2.0**45, 2.0**49, 2.0**52, 1e20, 1e32, 1e200])
def test_large_costs_do_not_swallow_small_ones(largest):
    """Large finite costs in the place of forbidden arcs (PythonOT/POT#229)."""
    a, cost = one_finite_way(largest)
    _, forbidden = one_finite_way(inf)
    want = isf.emd(a, a, np.where(np.isfinite(forbidden), forbidden, 1e5))
    assert isf.emd(a, a, forbidden) == want
    plan = isf.transport(a, a, cost)
    assert plan.distance == want
    assert plan.gap < 1e-14
    assert isf.emd(a + 0.1, a + 0.1, cost) == near(isf.emd(a + 0.1, a + 0.1, forbidden), rel=1e-14)


def test_small_masses_at_large_costs():
    a = [1, 1e-17]
    plan = isf.transport(a, a, [[0, 0], [1e20, 1e20]])
    assert plan.lower_bound <= float(Fraction(1e-17) * 10**20)
    assert plan.distance == near(1000, rel=1e-14)


@pytest.mark.parametrize("small", [1e-17, 1e-30, 1e-300])
@pytest.mark.parametrize("mass", ["partial", "opencv", 1.0])
def test_a_side_that_is_tiny_beside_the_other(small, mass):
    cost = np.array([[1.0], [4.0]])
    a, b = [small, 2 * small], [1.0]
    want = float(twin(a, b, cost, mass))
    if mass == 1.0:
        assert isf.transport(a, b, cost, mass=mass).flow[2].tolist() == a
    assert isf.emd(a, b, cost, mass=mass) == near(want, rel=1e-14)
    assert isf.emd(b, a, cost.T, mass=mass) == near(want, rel=1e-14)


@pytest.mark.parametrize("small", [1e-3, 1e-17, 1e-30, 1e-300, 5e-324])
def test_a_tiny_side_is_scaled_up(small):
    assert isf.emd([small, small], [1.0], [[1.0], [2.0]], mass="normalize") == 1.5


@pytest.mark.parametrize("call", [isf.emd, isf.transport])
def test_a_penalty_beyond_the_range(call):
    with pytest.raises(OutOfRangeError):
        call([1e300], [1.0], [[1.0]], mass=1e300)


@pytest.mark.parametrize(
    ("a", "b", "positions", "options", "want"),
    [
        ([1, 0, 1], [0, 1, 1], [0, 1, 1e200], {"metric": "sqeuclidean"}, 1),
        ([1, 0, 0], [0, 1, 1], [[0, 0], [3, 4], [1e200, 1]], {"mass": "partial"}, 5),
        ([1, 0, 0], [0, 1, 1], [[0, 0], [3, 4], [1e250, 1]],
         {"mass": "partial", "metric": "sqeuclidean"}, 25),
    ],
)  # fmt: skip
def test_far_points_do_not_swallow_near_ones(a, b, positions, options, want):
    with contextlib.suppress(OutOfRangeError):
        assert isf.emd(a, b, positions=positions, **options) == want


def test_max_pivots_with_forbidden_arcs():
    a, cost = one_finite_way(inf)
    for limit in (1, 2, 3):
        plan = isf.transport(a, a, cost, max_pivots=limit)
        assert plan.status == "stopped"
        assert plan.lower_bound <= isf.emd(a, a, cost) <= plan.distance


def test_a_distance_of_0_is_proved():
    places = np.random.default_rng(0).random((20, 2))
    a = np.random.default_rng(1).random(20)
    plan = isf.transport(a, a, cdist(places, places))
    assert plan.distance == 0
    assert plan.gap <= 1e-12


def test_masses_near_the_end_of_the_range():
    cost = [[1e-5, 2], [3, 1e-5]]
    assert isf.emd([1e308, 1e308], [1e308, 1e308], cost) == near(2e303, rel=1e-15)
    with pytest.raises(OutOfRangeError):
        isf.emd([1e308, 1e308], [1e308, 1e308], [[1.0, 2], [3, 1.0]])


def test_totals_beyond_the_range():
    plan = isf.transport([1e308, 1e308], [1e308, 1e308], [[1e-5, 2], [3, 1e-5]])
    assert plan.slack == 0


@pytest.mark.parametrize("span", [1e6, 1e12, 1e18])
def test_masses_of_many_magnitudes(span):
    """A10: the certificate holds."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        a = span ** -rng.random(7)
        a[0] = 1.0
        b = a[rng.permutation(7)]
        cost = costs_of("distances", 7, 7, seed)
        plan = isf.transport(a, b, cost)
        want = twin(a, b, cost)
        assert plan.distance == near(float(want), rel=1e-14, abs=1e-15)
        assert plan.lower_bound <= want + Fraction(2) ** -56
        assert plan.distance - plan.lower_bound < 1e-14
        assert reference.are_potentials(*plan.potentials, cost)


def test_potentials_of_points_without_mass():
    """Whole costs where there is mass, any elsewhere."""
    for seed in range(20):
        cost = np.random.default_rng(seed).normal(size=(6, 5)) * 9
        cost[2:4, 1:3] = [[1, 2], [3, 1]]
        plan = isf.transport([0, 0, 3, 1, 0, 0], [0, 2, 2, 0, 0], cost)
        assert plan.distance == 5
        assert reference.are_potentials(*plan.potentials, cost), seed
        x = np.random.default_rng(seed).random((6, 2))
        x[2:4] = [[1, 1], [3, 1]]
        a, b = [0, 0, 3, 1, 0, 0], [0, 0, 1, 3, 0, 0]
        plan = isf.transport(a, b, positions=x, metric="cityblock")
        cost = np.array(reference.ground_distances(x, x, "cityblock"))
        assert plan.distance == 4
        assert reference.are_potentials(*plan.potentials, cost), seed


@pytest.mark.parametrize("span", [10, 30, 100, 300])
def test_costs_of_all_magnitudes(span):
    """The true optimum, or the typed error that says it is out of reach."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, m = rng.integers(2, 8, 2)
        a, b = whole_masses(n, m, seed)
        cost = 10 ** rng.uniform(-span, span, (n, m))
        with contextlib.suppress(OutOfRangeError):
            plan = isf.transport(a, b, cost)
            want = twin(a, b, cost)
            assert plan.distance == near(float(want), rel=3e-15)
            assert plan.lower_bound <= want * (1 + Fraction(2) ** -52)


def test_shares_of_many_magnitudes():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, m = rng.integers(2, 8, 2)
        a, b = 10 ** rng.uniform(-20, 0, n), 10 ** rng.uniform(-20, 0, m)
        cost = 10 ** rng.uniform(-20, 20, (n, m))
        plan = isf.transport(a, b, cost, mass="normalize")
        want = twin(a, b, cost, "normalize")
        assert plan.distance == near(float(want), rel=3e-15)
        assert plan.lower_bound <= want * (1 + Fraction(2) ** -52)


@pytest.mark.parametrize(
    ("a", "b", "cost", "mass"),
    [
        ([2.7983474731445312, 406950.5, 3119.359375], [0.8443954713415219, 0.05248252584152002],
         [[82.10811386004424, 1.3073527315441092e-16], [inf, 1.8233906015462737e-11],
          [1.269326844973114e18, inf]], 0.5),
        ([9.556621504310167e-14, 6.539125401218893e-11],
         [2.52281048811506e-18, 2.817993789504871e-10, 6.023423168785725e-17,
          2.7121585397337185e-14],
         [[1e20, 1e-20, 1e20, 0.0], [1.0, 1e-20, 1e-20, 1e-20]], "normalize"),
    ],
)  # fmt: skip
def test_wide_costs_come_to_an_end(a, b, cost, mass):
    want = float(twin(a, b, np.array(cost), mass))
    assert isf.transport(a, b, cost, mass=mass).status == "optimal"
    assert isf.emd(a, b, cost, mass=mass) == near(want, rel=3e-15)


# ---- A18, A19: degenerate problems -----------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 17, 64, 150])
def test_degenerate_problems(isa, n):
    a, b = whole_masses(n, n, 1)
    ones = np.ones(n)
    total = float(a.sum())
    for first, second in ((a, b), (ones, ones)):
        plan = isf.transport(first, second, np.full((n, n), 3))
        assert plan.distance == 3 * first.sum()
        assert plan.pivots == 0
        assert isf.emd(first, second, positions=np.full((n, 2), 0.1)) == 0
        assert isf.emd(first, second, np.zeros((n, n))) == 0
    assert isf.emd(a, a[::-1], positions=(np.zeros((n, 2)), np.full((n, 2), [3, 4]))) == 5 * total
    along = np.outer(np.arange(n), [3, 4])
    want = isf.wasserstein_1d(a, b) * 5 * total
    assert isf.emd(a, b, positions=along) == near(want, rel=1e-13)
    assert isf.emd(a, a, np.abs(np.subtract.outer(range(n), range(n)))) == 0
    one = np.zeros(n)
    one[n // 2] = total
    plan = isf.transport(one, a, np.arange(n * n).reshape(n, n))
    assert plan.distance == float(a @ (n // 2 * n + np.arange(n)))


def tied(n):
    i, j = np.indices((n, n))
    rng = np.random.default_rng(n)
    return {
        "products": (i + 1) * (j + 1),  # Machol and Wien 1976: hard for assignment
        "products, turned": (n - i) * (j + 1),
        "least index": np.minimum(i, j),
        "ring": (i - j) % n,
        "line": np.abs(i - j),
        "two values": rng.integers(0, 2, (n, n)),
        "one cheap cycle": np.where((j - i) % n <= 1, 0, 1),
        "powers": 2.0 ** ((i + j) % 30),
        "ranks": np.argsort(rng.random(n * n)).reshape(n, n),
    }


@pytest.mark.parametrize("name", tied(1))
def test_stalling(name):
    """Equal masses: every basis is degenerate, and a simplex without care cycles or stalls."""
    for n in (4, 33, 128):
        cost = tied(n)[name]
        rows, columns = scipy.optimize.linear_sum_assignment(cost)
        want = float(cost[rows, columns].sum())
        ones = np.ones(n)
        assert isf.emd(ones, ones, cost) == want
        plan = isf.transport(ones, ones, cost, max_pivots=10**9)  # by the simplex
        assert plan.distance == plan.lower_bound == want
        assert plan.pivots < 64 * n
        halves = np.full(n // 2, 2.0)
        plan = isf.transport(ones[: n // 2 * 2], halves, cost[: n // 2 * 2, : n // 2])
        check(plan, ones[: n // 2 * 2], halves, cost[: n // 2 * 2, : n // 2], largest_gap=0)


def test_an_instance_on_which_the_stepping_stone_method_cycles():
    """Gassner 1964."""
    cost = np.array([[3, 5, 5, 11], [9, 7, 9, 15], [7, 7, 11, 13], [13, 13, 13, 17]])
    want = float(reference.cheapest_matching(cost.tolist()))
    for masses in (np.ones(4), np.full(4, 3.0), np.full(4, 0.1)):
        plan = isf.transport(masses, masses, cost, max_pivots=10**6)
        assert plan.status == "optimal"
        assert plan.distance == near(want * masses[0], rel=1e-15)
        assert plan.pivots < 100
