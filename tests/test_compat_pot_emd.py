"""compat.pot.emd and emd2 against the POT that is installed, and where POT fails."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from scipy import sparse

import imgsim_fast as isf
from imgsim_fast.compat import _pot_problem, pot
from imgsim_fast.errors import (
    InfeasibleError,
    InvalidInputError,
    InvalidTypeError,
    OutOfRangeError,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # POT looks for back ends that are not here
    import ot

RNG = np.random.default_rng(3)
HALF = np.array([0.5, 0.5])
SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])


def simplex(*shape):
    weights = RNG.random(shape) + 0.01
    return weights / weights.sum(0)


def distances(n, m):
    x, y = RNG.random((n, 2)), RNG.random((m, 2))
    return np.sqrt(((x[:, None] - y) ** 2).sum(-1))


def check_plan(plan, log, a, b, M, tolerance=1e-12):
    """Tell whether plan and potentials prove each other."""
    scale = np.abs(M[np.isfinite(M)]).max() + 1e-300
    assert (plan >= 0).all()
    np.testing.assert_allclose(plan.sum(1), a, rtol=0, atol=tolerance * a.sum())
    np.testing.assert_allclose(plan.sum(0), b, rtol=0, atol=tolerance * a.sum())
    used = np.where(plan > 0, M, 0.0)
    size = scale * a.sum()
    assert (plan * used).sum() == pytest.approx(log["cost"], abs=tolerance * size)
    if log["result_code"] == 1:
        assert a @ log["u"] + b @ log["v"] == pytest.approx(log["cost"], abs=1e-12 * size)
    assert (log["u"][:, None] + log["v"] - M).max() <= 1e-12 * scale


# ---- the same answers ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 16, 33])
@pytest.mark.parametrize("m", [1, 3, 8, 33])
@pytest.mark.parametrize("kind", ["points", "any", "negative"])
@pytest.mark.parametrize("zeros", [False, True])
def test_emd(n, m, kind, zeros):
    a, b = simplex(n), simplex(m)
    if zeros:
        a[: n // 2], b[m - m // 2 :] = 0, 0
        a, b = a / a.sum(), b / b.sum()
    M = {"points": distances(n, m), "any": RNG.random((n, m)), "negative": RNG.normal(size=(n, m))}
    M = M[kind]
    plan, log = pot.emd(a, b, M, log=True)
    theirs, other = ot.emd(a, b, M, log=True)
    assert log.keys() == other.keys()
    assert (log["result_code"], log["warning"]) == (other["result_code"], other["warning"])
    assert log["cost"] == pytest.approx(other["cost"], rel=1e-9, abs=1e-13)
    assert (plan.shape, plan.dtype) == (theirs.shape, theirs.dtype)
    check_plan(plan, log, a, b * (a.sum() / b.sum()), M)
    assert a @ log["u"] == pytest.approx(b @ log["v"], abs=1e-13)
    assert a @ other["u"] == pytest.approx(a @ log["u"], abs=1e-12)  # both have half of the cost
    np.testing.assert_array_equal(pot.emd(a, b, M), plan)
    assert pot.emd2(a, b, M) == log["cost"]
    assert pot.emd2(a, b, M) == pytest.approx(ot.emd2(a, b, M), rel=1e-9, abs=1e-13)


def test_center_dual():
    a, b, M = simplex(9), simplex(6), distances(9, 6)
    centred = pot.emd(a, b, M, log=True)[1]
    plain = pot.emd(a, b, M, log=True, center_dual=False)[1]
    assert plain["cost"] == centred["cost"]
    shifts = centred["u"] - plain["u"]
    assert abs(shifts[0]) > 1e-6  # else this example shows nothing
    np.testing.assert_allclose(shifts, shifts[0], rtol=1e-12)
    np.testing.assert_allclose(centred["v"] - plain["v"], -shifts[0], rtol=1e-12)
    for log in (plain, pot.emd2(a, b, M, log=True, center_dual=False)[1]):
        assert abs(a @ log["u"] - b @ log["v"]) > 1e-6
        assert a @ log["u"] + b @ log["v"] == pytest.approx(log["cost"], rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (5, 7), (1, 4)])
def test_empty_means_uniform(shape):
    M = RNG.random(shape)
    for a, b in (([], []), ([], simplex(shape[1])), (simplex(shape[0]), []), (np.array([]), [])):
        assert pot.emd2(a, b, M) == pytest.approx(ot.emd2(a, b, M), rel=1e-9)
    plan = pot.emd([], [], M)
    np.testing.assert_allclose(plan.sum(1), 1 / shape[0], rtol=1e-12)
    np.testing.assert_allclose(plan.sum(0), 1 / shape[1], rtol=1e-12)


def test_lists():
    assert pot.emd([0.5, 0.5], [0.5, 0.5], SWAP.tolist()).tolist() == [[0.5, 0], [0, 0.5]]
    assert pot.emd2([0.5, 0.5], [1, 0], SWAP.tolist()) == 0.5


@pytest.mark.parametrize("options", [{}, {"log": True}, {"return_matrix": True}])
def test_shape_of_results_of_emd2(options):
    one, other = pot.emd2(HALF, HALF, SWAP, **options), ot.emd2(HALF, HALF, SWAP, **options)
    many = pot.emd2(HALF, np.eye(2), SWAP, **options)
    theirs = ot.emd2(HALF, np.eye(2), SWAP, **options)
    assert type(one) is type(other)
    assert type(many) is type(theirs) is list
    assert len(many) == len(theirs) == 2
    if options:
        for mine, pots in ((one, other), *zip(many, theirs, strict=True)):
            assert type(mine) is type(pots)
            assert mine[1].keys() == pots[1].keys()
            assert mine[0] == mine[1]["cost"] == pots[0]
    else:
        assert isinstance(one, float)
        assert many == theirs
    if "return_matrix" in options:
        np.testing.assert_array_equal(one[1]["G"], other[1]["G"])


# ---- totals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [1.4e-6, -1.4e-6])
def test_small_differences_are_scaled(off):
    b = np.array([0.25, 0.75 + off])
    assert pot.emd2(HALF, b, SWAP) == pytest.approx(ot.emd2(HALF, b, SWAP), rel=1e-9)
    assert pot.emd(HALF, b, SWAP).sum() == pytest.approx(1, rel=1e-15)


@pytest.mark.parametrize("off", [1.6e-6, -1.6e-6, 0.1])
@pytest.mark.parametrize("name", ["emd", "emd2"])
def test_totals_must_agree(name, off):
    b = np.array([0.25, 0.75 + off])
    for module in (ot, pot):
        with pytest.raises(AssertionError, match="same sum"):
            getattr(module, name)(HALF, b, SWAP)
    ours, theirs = (getattr(m, name)(HALF, b, SWAP, check_marginals=False) for m in (pot, ot))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_totals_of_columns_must_agree():
    b = np.array([[0.5, 0.5], [0.5, 0.6]])
    with pytest.raises(AssertionError, match="same sum"):
        ot.emd2(HALF, b, SWAP)
    with pytest.raises(AssertionError, match=r"a and b\[:, 1\] must have the same sum"):
        pot.emd2(HALF, b, SWAP)
    want = ot.emd2(HALF, b, SWAP, check_marginals=False)
    assert pot.emd2(HALF, b, SWAP, check_marginals=False) == pytest.approx(want, rel=1e-9)


def test_rounding_of_large_totals_is_no_difference():
    """POT compares to 6 decimals also where rounding is larger than that."""
    a, b, M = simplex(50) * 1e12, simplex(50), RNG.random((50, 50))
    b *= a.sum() / b.sum()
    b[0] += 0.01
    assert abs(a.sum() - b.sum()) > 1e-4
    want = isf.emd(a, b, M, mass="normalize") * a.sum()
    assert pot.emd2(a, b, M) == pytest.approx(want, rel=1e-12)
    b[0] += 100
    with pytest.raises(AssertionError, match="same sum"):
        pot.emd2(a, b, M)


def test_totals_that_cannot_be_scaled():
    with pytest.raises(OutOfRangeError, match=r"b cannot be scaled from its total .* to that of a"):
        pot.emd2([5e-324, 0], [1e300, 1e300], SWAP, check_marginals=False)
    with pytest.raises(OutOfRangeError, match="totals of a and b are beyond"):
        pot.emd2([1e308, 1e308], [1e308, 1e308], SWAP)


# ---- columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 9), (8, 8)])
@pytest.mark.parametrize("columns", [1, 2, 12])
@pytest.mark.parametrize("metric", [False, True])
def test_columns(shape, columns, metric):
    n, m = shape
    M = distances(n, m)
    if metric and n == m:
        x = RNG.random((n, 2))
        M = np.sqrt(((x[:, None] - x) ** 2).sum(-1))
    a, b = simplex(n), simplex(m, columns)
    b[0, -1] = 0
    b /= b.sum(0)
    got = pot.emd2(a, b, M)
    assert got == pytest.approx(ot.emd2(a, b, M), rel=1e-9)
    assert got == pytest.approx([pot.emd2(a, b[:, k], M) for k in range(columns)], rel=1e-12)
    assert all(type(value) is float for value in got)
    assert pot.emd2(a, b, M, processes=2) == got  # POT warns
    for k, (cost, log) in enumerate(pot.emd2(a, b, M, return_matrix=True)):
        assert cost == pytest.approx(got[k], rel=1e-12)
        check_plan(log["G"], log, a, b[:, k], M)


def test_no_columns():
    assert pot.emd2(HALF, np.empty((2, 0)), SWAP) == []


def test_a_column_without_a_plan_is_named():
    M = np.array([[0.0, np.inf], [np.inf, 0.0]])
    b = np.array([[0.5, 1.0], [0.5, 0.0]])
    for options in ({}, {"log": True}):
        with pytest.raises(InfeasibleError, match=r"mass of a\[1\]"):
            pot.emd2(HALF, b, M, **options)
    assert pot.emd2(HALF, b[:, :1], M) == [0.0]


@pytest.mark.parametrize("threads", [1, 2, "max"])
def test_options_without_effect(threads):
    a, b, M = simplex(12), simplex(10, 3), distances(12, 10)
    start = (np.ones(12), np.ones(10))
    want = pot.emd(a, b[:, 0], M)
    got = pot.emd(a, b[:, 0], M, numThreads=threads, potentials_init=start)
    np.testing.assert_array_equal(got, want)
    one = pot.emd2(a, b, M, numThreads=threads, potentials_init=start)
    assert one == pot.emd2(a, b, M)


# ---- numItermax ------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 20, 20.5, np.int64(7)])
def test_a_stopped_simplex_says_so(limit):
    a, b, M = simplex(40), simplex(40), RNG.random((40, 40))
    best = pot.emd2(a, b, M)
    with pytest.warns(UserWarning, match="numItermax reached"):
        other = ot.emd(a, b, M, numItermax=1, log=True)[1]
    with pytest.warns(UserWarning, match="numItermax reached") as caught:
        plan, log = pot.emd(a, b, M, numItermax=limit, log=True)
    assert caught[0].filename == __file__
    assert (log["warning"], log["result_code"]) == (other["warning"], other["result_code"])
    assert log["cost"] > best
    check_plan(plan, log, a, b, M)
    for options in ({}, {"log": True}):
        with pytest.warns(UserWarning, match="numItermax reached") as caught:
            got = pot.emd2(a, b, M, numItermax=limit, **options)
        assert caught[0].filename == __file__
        assert np.ravel(got)[0] == log["cost"]
    with pytest.warns(UserWarning, match="numItermax reached"):
        columns = pot.emd2(a, np.array([b, b]).T, M, numItermax=limit)
    assert columns == [log["cost"]] * 2


def test_enough_pivots_are_no_limit():
    a, b, M = simplex(40), simplex(40), RNG.random((40, 40))
    _, log = pot.emd(a, b, M, numItermax=5000, log=True)
    assert log["result_code"] == 1
    assert log["warning"] is None
    assert log["cost"] == pot.emd2(a, b, M)


@pytest.mark.parametrize("limit", [100000, 100001, 1e6, np.inf])
def test_the_default_limit_is_none(limit, monkeypatch):
    """POT's default stops large problems. Here it must not reach the core."""
    given = []
    solve = _pot_problem._core.transport

    def spy(*args):
        given.append(args[5])
        return solve(*args)

    monkeypatch.setattr(_pot_problem._core, "transport", spy)
    pot.emd(HALF, HALF, SWAP, limit)
    pot.emd2(HALF, HALF, SWAP, 1, limit)
    pot.emd(HALF, HALF, SWAP)
    pot.emd(HALF, HALF, SWAP, 99999)
    assert given == [0, 0, 0, 99999]
    assert inspect.signature(ot.emd).parameters["numItermax"].default == 100000


def test_a_limit_too_low_for_forbidden_arcs():
    n = 30
    M = np.where(RNG.random((n, n)) < 0.8, np.inf, RNG.random((n, n)))
    M[np.arange(n), np.arange(n)] = 9
    M[np.arange(n), np.roll(np.arange(n), 1)] = 9
    a = simplex(n)
    assert pot.emd2(a, a, M) < 9.0000001
    with pytest.raises(InfeasibleError, match="numItermax=1 was reached before"):
        pot.emd2(a, np.roll(a, 1), M, numItermax=1)


# ---- sparse costs ----------------------------------------------------------------------------

FORMATS = (
    sparse.coo_matrix, sparse.csr_matrix, sparse.coo_array, sparse.csr_array, sparse.csc_array
)  # fmt: skip
has_sparse = pytest.mark.skipif(
    "potentials_init" not in inspect.signature(ot.emd).parameters, reason="POT before 0.9.7"
)


def sparse_problem(n=20):
    """Costs of some arcs, 0 among them, and weights that they can carry."""
    open_arcs = RNG.random((n, n)) < 0.3
    plan = np.where(open_arcs, RNG.random((n, n)) + 0.01, 0)
    plan[np.arange(n), np.arange(n)] = 1
    plan /= plan.sum()
    rows, cols = np.nonzero(plan)
    costs = RNG.integers(0, 4, rows.size) / 4
    return plan.sum(1), plan.sum(0), sparse.coo_array((costs, (rows, cols)), shape=(n, n))


@has_sparse
@pytest.mark.parametrize("form", FORMATS)
def test_sparse_costs(form):
    a, b, M = sparse_problem()
    assert (M.data == 0).any()  # stored, so allowed
    dense = np.full(M.shape, np.inf)
    dense[M.row, M.col] = M.data
    plan, log = pot.emd(a, b, form(M), log=True)
    theirs, other = ot.emd(a, b, form(M), log=True)
    assert isinstance(plan, type(theirs))
    assert plan.shape == theirs.shape
    assert log["cost"] == pytest.approx(other["cost"], rel=1e-9)
    check_plan(plan.toarray(), log, a, b, dense)
    assert pot.emd2(a, b, form(M)) == log["cost"]
    cost, found = pot.emd2(a, b, form(M), return_matrix=True)
    assert cost == log["cost"]
    np.testing.assert_array_equal(found["G"].toarray(), plan.toarray())
    np.testing.assert_array_equal(pot.emd(a, b, dense), plan.toarray())


@has_sparse
def test_entries_at_one_place_are_parallel_arcs():
    M = sparse.coo_matrix(([4.0, 1, 3, 1], ([0, 0, 1, 0], [0, 0, 1, 1])), shape=(2, 2))
    assert pot.emd2(HALF, HALF, M) == ot.emd2(HALF, HALF, M) == 2.0


def test_sparse_plans_keep_the_type():
    M = sparse.coo_matrix(SWAP + 1)
    short = HALF.astype(np.float32)
    assert pot.emd(short, short, M).dtype == np.float32
    assert pot.emd([], [], M).dtype == np.float64
    assert pot.emd2([], [], M.astype(np.float32)) == 1.0


def test_sparse_costs_that_are_refused():
    M = sparse.coo_matrix(([1.0, 1], ([0, 1], [1, 1])), shape=(2, 2))
    with pytest.raises(InfeasibleError, match=r"a\[[01]\] cannot all be placed"):
        pot.emd(HALF, HALF, M)
    with pytest.raises(InvalidInputError, match="M must be a matrix"):
        pot.emd([], [], sparse.coo_matrix((0, 3)))
    M = sparse.coo_matrix(([1.0, np.nan, 1, 1], ([0, 0, 1, 0], [0, 0, 1, 1])), shape=(2, 2))
    with pytest.raises(InvalidInputError, match=r"M\[0, 0\] is NaN"):
        pot.emd(HALF, HALF, M)
    with pytest.raises(InvalidTypeError, match="M must hold"):
        pot.emd(HALF, HALF, sparse.coo_matrix(SWAP * 1j))
    n = 10_000_000
    huge = sparse.coo_matrix(([1.0], ([0], [0])), shape=(n, n))
    with pytest.raises(MemoryError, match="costs of 10000000 x 10000000 points"):
        pot.emd([], [], huge)


# ---- types -----------------------------------------------------------------------------------


@pytest.mark.parametrize("a_type", [np.float32, np.float64, list, None])
@pytest.mark.parametrize("b_type", [np.float32, np.float64, list, None])
@pytest.mark.parametrize("m_type", [np.float32, np.float64, list])
def test_type_of_the_plan(a_type, b_type, m_type):
    def make(kind, values):
        if kind is None:
            return []
        return values.tolist() if kind is list else values.astype(kind)

    args = (make(a_type, HALF), make(b_type, HALF), make(m_type, SWAP))
    if m_type is list:  # POT can do lists of lists only where it finds no other array
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = ot.emd(*args[:2], np.array(args[2], dtype=ot.emd(*args).dtype)).dtype
    else:
        want = ot.emd(*args).dtype
    assert pot.emd(*args).dtype == want


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool])
def test_integers_give_float_plans(kind):
    """POT rounds the plan to zeros (#345)."""
    a, b = np.array([1, 0, 1], dtype=kind), np.array([1, 1, 1], dtype=kind)
    M = np.array([[0, 1, 2], [1, 0, 1], [2, 1, 0]])
    plan = pot.emd(a, b, M, check_marginals=False)
    assert plan.dtype == np.float64
    np.testing.assert_allclose(plan.sum(0), 2 / 3, rtol=1e-12)
    np.testing.assert_allclose(plan.sum(1), a, rtol=1e-12)
    assert pot.emd2(a, b, M, check_marginals=False) == pytest.approx(2 / 3, rel=1e-12)


# ---- where POT fails -------------------------------------------------------------------------


def test_strides():
    """POT refuses columns of matrices."""
    A, B, M = simplex(20, 3), simplex(12, 3), RNG.random((12, 20)).T
    want = pot.emd2(A[:, 1].copy(), B[:, 2].copy(), M.copy())
    assert pot.emd2(A[:, 1], B[:, 2], M) == want
    assert pot.emd2(A[::-1, 1], B[:, 2], M[::-1]) == pytest.approx(want, rel=1e-13)
    assert pot.emd2(A[:, 1], np.asfortranarray(B), M)[2] == want


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e6, 1e9, 1e15, 1e290])
def test_weights_of_any_size(scale):
    """POT compares sums with 1e-8 and gives 0.0 (#93, #126, #217)."""
    a, b, M = simplex(30), simplex(40), RNG.random((30, 40))
    b *= a.sum() / b.sum()
    plan, log = pot.emd(a * scale, b * scale, M, log=True)
    assert log["cost"] == pytest.approx(scale * ot.emd2(a, b, M), rel=1e-9)
    check_plan(plan, log, a * scale, b * scale, M)


@pytest.mark.parametrize("shape", [(5, 960), (960, 5), (1, 960), (37, 211)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_shapes(shape, dtype):
    """#190, #342."""
    n, m = shape
    a, b = RNG.random(n).astype(dtype), RNG.random(m).astype(dtype)
    a /= a.sum()
    b /= b.sum()
    M = RNG.random(shape)
    plan, log = pot.emd(a, b, M, log=True)
    assert plan.dtype == dtype
    a, b = a.astype(np.float64), b.astype(np.float64)
    b *= a.sum() / b.sum()
    check_plan(plan, log, a, b, M, 1e-12 if dtype is np.float64 else 1e-6)


def test_raw_float32_weights():
    """Totals of some hundreds in float32 differ by more than POT allows."""
    a, b = RNG.random(700).astype(np.float32), RNG.random(960).astype(np.float32)
    b *= a.sum() / b.sum()
    b[0] += np.float32(1e-4)
    M = RNG.random((700, 960))
    apart = abs(a.astype(float).sum() - b.astype(float).sum())
    assert 1.5e-6 < apart < 1e-6 * a.sum()
    want = isf.emd(a, b, M, mass="normalize") * a.astype(float).sum()
    assert pot.emd2(a, b, M) == pytest.approx(want, rel=1e-9)
    with pytest.raises(AssertionError, match="same sum"):
        pot.emd2(a.astype(float), b.astype(float), M)


@pytest.mark.parametrize(
    ("large", "weights"),
    [
        *((large, "equal") for large in (1e9, 1e12, 1e15, 1e32, 1e200)),
        *((large, "any") for large in (1e9, 1e12, 1e15, 1e32, 1e200)),
    ],
)
def test_large_costs_for_forbidden_arcs(large, weights):
    """#229: they swamp the other costs."""
    rng, n = np.random.default_rng(0), 25
    forbidden = rng.random((n, n)) < 0.5
    M = np.where(forbidden, 100.0, rng.random((n, n)))
    k = np.arange(n)
    M[k, k], M[k, np.roll(k, 1)] = 0.9, 0.8
    forbidden[k, k] = forbidden[k, np.roll(k, 1)] = False
    a = np.full(n, 1 / n) if weights == "equal" else rng.random(n) + 0.1
    a /= a.sum()
    best = ot.emd2(a, a, M)
    assert pot.emd2(a, a, np.where(forbidden, np.inf, M)) == pytest.approx(best, rel=1e-9)
    M[forbidden] = large
    plan = pot.emd(a, a, M)
    assert plan[forbidden].max() == 0
    assert pot.emd2(a, a, M) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("name", ["emd", "emd2"])
def test_costs_that_are_no_numbers(name):
    """#469: a segmentation fault in POT."""
    call = getattr(pot, name)
    for bad, text in ((np.nan, "NaN"), (-np.inf, "-inf")):
        M = SWAP.copy()
        M[1, 0] = bad
        with pytest.raises(InvalidInputError, match=rf"M\[1, 0\] is {text}"):
            call(HALF, HALF, M)
        with pytest.raises(InvalidInputError, match=rf"M\[1, 0\] is {text}"):
            call([1.0, 0.0], HALF, M)  # a row without weight has potentials, too
        with pytest.raises(InvalidInputError, match=rf"M\[0, 0\] is {text}"):
            call(HALF, HALF, np.full((2, 2), bad))
    with pytest.raises(InfeasibleError, match=r"a\[[01]\] cannot all be placed"):
        call(HALF, HALF, np.full((2, 2), np.inf))
    M = np.array([[np.inf, 1], [3, np.inf]])
    assert pot.emd2(HALF, HALF, M) == 2


def test_a_large_problem():
    n = 1500
    a, b, M = simplex(n), simplex(n), distances(n, n)
    plan, log = pot.emd(a, b, M, log=True)
    check_plan(plan, log, a, b * (a.sum() / b.sum()), M)


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "options", "kind", "message"),
    [
        ((HALF, [1, 0, 0], SWAP), {}, InvalidInputError, "b must have 2 weights, one for each col"),
        (([1.0], HALF, SWAP), {}, InvalidInputError, "a must have 2 weights, one for each row"),
        (([1.5, -0.5], HALF, SWAP), {}, InvalidInputError, r"a\[1\] is -0.5"),
        ((HALF, [np.nan, 1], SWAP), {}, InvalidInputError, r"b\[0\] is NaN"),
        (([0, 0], [0, 0], SWAP), {}, InvalidInputError, "a has no mass"),
        ((None, HALF, SWAP), {}, InvalidTypeError, "a must hold"),
        ((HALF[:, None], HALF, SWAP), {}, InvalidInputError, "a must be a vector"),
        ((HALF, HALF, [1.0, 2]), {}, InvalidInputError, r"M must be a matrix .* \(2,\)"),
        (([], [], np.empty((0, 2))), {}, InvalidInputError, r"M must be a matrix .* \(0, 2\)"),
        ((HALF, HALF, "costs"), {}, InvalidTypeError, "M must hold"),
        ((HALF, HALF, SWAP * 1j), {}, InvalidTypeError, "M must hold"),
        ((HALF, HALF, SWAP), {"numItermax": -1}, InvalidInputError, "not be negative, got -1"),
        ((HALF, HALF, SWAP), {"numItermax": np.nan}, InvalidInputError, "got nan"),
        ((HALF, HALF, SWAP), {"numItermax": "9"}, InvalidTypeError, "numItermax must be a number"),
        ((HALF, HALF, SWAP), {"numItermax": True}, InvalidTypeError, "numItermax must be a number"),
        ((HALF, HALF, SWAP), {"numThreads": "all"}, InvalidInputError, "must be 'max' or"),
        ((HALF, HALF, SWAP), {"numThreads": 0}, InvalidInputError, "numThreads must be at least 1"),
        ((HALF, HALF, SWAP), {"numThreads": 1.5}, InvalidTypeError, "numThreads must be an integ"),
        (([1e300, 0], [0, 1e300], SWAP * 1e300), {}, OutOfRangeError, "beyond the range"),
    ],
)
def test_what_is_refused(args, options, kind, message):
    for call in (pot.emd, pot.emd2):
        with pytest.raises(kind, match=message):
            call(*args, **options)


def test_what_emd_and_emd2_refuse_each():
    with pytest.raises(InvalidInputError, match="b must be a vector"):
        pot.emd(HALF, np.eye(2), SWAP)
    with pytest.raises(InvalidInputError, match="processes must be at least 1"):
        pot.emd2(HALF, HALF, SWAP, processes=0)
    with pytest.raises(InvalidInputError, match="b must have 2 weights, one for each column"):
        pot.emd2(HALF, np.eye(3), SWAP)
    with pytest.raises(InvalidInputError, match=r"b\[:, 1\]\[0\] is -1"):
        pot.emd2(HALF, [[0.5, -1], [0.5, 2]], SWAP)
    with pytest.raises(InvalidInputError, match=r"b\[:, 0\] has no mass"):
        pot.emd2(HALF, [[0, 0.5], [0, 0.5]], SWAP)
    with pytest.raises(InvalidInputError, match="b must be a vector"):
        pot.emd2(HALF, np.ones((2, 2, 2)), SWAP)


@pytest.mark.parametrize("name", ["emd", "emd2"])
def test_signatures_are_those_of_pot(name):
    ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (pot, ot))
    known = [key for key in ours if key in theirs]
    assert list(theirs) == known
    assert {k: ours[k].default for k in known} == {k: theirs[k].default for k in known}
