"""compat.pot against the POT that is installed, traps included."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

from imgsim_fast.compat import pot
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # POT looks for back ends that are not here
    import ot

RNG = np.random.default_rng(0)


def simplex(n):
    weights = RNG.random(n) + 0.01
    return weights / weights.sum()


# ---- wasserstein_1d --------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 9, 64])
@pytest.mark.parametrize("m", [1, 3, 8, 65])
@pytest.mark.parametrize("p", [1, 2, 3, 1.5])
def test_wasserstein_1d(n, m, p):
    u, v, u_w, v_w = RNG.normal(size=n), RNG.normal(size=m), simplex(n), simplex(m)
    for args in ((u, v), (u, v, u_w), (u, v, None, v_w), (u, v, u_w, v_w)):
        want = ot.wasserstein_1d(*args, p=p)
        assert pot.wasserstein_1d(*args, p=p) == pytest.approx(want, rel=1e-11, abs=1e-13)


def test_wasserstein_1d_is_not_rooted():
    assert pot.wasserstein_1d([0.0], [3.0], p=2) == 9
    assert pot.wasserstein_1d([0.0], [3.0], p=3) == 27


@pytest.mark.parametrize("shape", [(4,), (2, 3), (1,)])
def test_problems_lie_along_the_later_axes(shape):
    u, v = RNG.normal(size=(9, *shape)), RNG.normal(size=(7, *shape))
    got = pot.wasserstein_1d(u, v, p=2)
    assert got.shape == shape
    for at in np.ndindex(shape):
        column = (slice(None), *at)
        assert got[at] == pot.wasserstein_1d(u[column], v[column], p=2)
        assert got[at] == pytest.approx(ot.wasserstein_1d(u[column], v[column], p=2), rel=1e-11)
    if len(shape) == 1:  # what POT itself can do
        u_w, v_w = np.abs(u) / np.abs(u).sum(0), np.abs(v) / np.abs(v).sum(0)
        np.testing.assert_allclose(got, ot.wasserstein_1d(u, v, p=2), rtol=1e-11)
        np.testing.assert_allclose(
            pot.wasserstein_1d(u, v, u_w, v_w), ot.wasserstein_1d(u, v, u_w, v_w), rtol=1e-10
        )
        shared = simplex(9)
        np.testing.assert_allclose(
            pot.wasserstein_1d(u, v, shared, v_w),
            ot.wasserstein_1d(u, v, np.repeat(shared[:, None], shape[0], 1), v_w),
            rtol=1e-10,
        )


def test_weights_are_not_normalised():
    u, v = np.array([0.0, 1.0]), np.array([2.0, 5.0])
    for u_w, v_w in (([1.0, 1], [1.0, 1]), ([2.0, 2], [1.0, 1]), ([0.5, 0.5], [2.0, 1])):
        want = ot.wasserstein_1d(u, v, np.array(u_w), np.array(v_w))
        assert pot.wasserstein_1d(u, v, u_w, v_w) == pytest.approx(want, rel=1e-12)
    assert pot.wasserstein_1d(u, v, [1.0, 1], [1.0, 1]) == 6


@pytest.mark.parametrize("p", [1, 2])
def test_plans_of_wasserstein_1d(p):
    u, v, u_w, v_w = RNG.normal(size=6), RNG.normal(size=9), simplex(6), simplex(9)
    cost, plans = pot.wasserstein_1d(u, v, u_w, v_w, p=p, return_plans=True)
    assert cost == pot.wasserstein_1d(u, v, u_w, v_w, p=p)
    (plan,) = plans
    dense = plan.toarray()
    assert dense.shape == (6, 9)
    np.testing.assert_allclose(dense.sum(1), u_w, rtol=1e-12)
    np.testing.assert_allclose(dense.sum(0), v_w, rtol=1e-12)
    assert (dense * np.abs(u[:, None] - v) ** p).sum() == pytest.approx(cost, rel=1e-12)
    np.testing.assert_allclose(dense, ot.emd_1d(u, v, u_w, v_w), atol=1e-14)
    _, ((data, rows, cols),) = pot.wasserstein_1d(u, v, u_w, v_w, return_plans="coo_tuple")
    again = np.zeros((6, 9))
    np.add.at(again, (rows, cols), data)
    np.testing.assert_array_equal(again, dense)
    _, many = pot.wasserstein_1d(np.ones((3, 5)), np.ones((4, 5)), return_plans=True)
    assert len(many) == 5


@pytest.mark.skipif(
    "return_plans" not in inspect.signature(ot.wasserstein_1d).parameters, reason="an older POT"
)
@pytest.mark.parametrize("kind", [True, "coo_tuple"])
def test_plans_look_like_those_of_pot(kind):
    u, v, u_w, v_w = RNG.normal(size=5), RNG.normal(size=5), simplex(5), simplex(5)
    cost, ours = pot.wasserstein_1d(u, v, u_w, v_w, return_plans=kind)
    # POT gives plans of batches only: of vectors it raises IndexError.
    want, theirs = ot.wasserstein_1d(
        u[:, None], v[:, None], u_w[:, None], v_w[:, None], return_plans=kind
    )
    np.testing.assert_allclose(cost, want[0], rtol=1e-11)
    assert isinstance(theirs, list) is isinstance(ours, list)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if kind is True:
            np.testing.assert_allclose(mine.toarray(), other.toarray(), atol=1e-13)
        else:
            for field in ("data", "rows", "cols"):
                assert hasattr(mine, field)
                assert hasattr(other, field)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: pot.wasserstein_1d([1.0], [2.0], p=0.5), InvalidInputError, r"p .*0\.5"),
        (lambda: pot.wasserstein_1d([], [2.0]), InvalidInputError, "u_values"),
        (lambda: pot.wasserstein_1d(1.0, [2.0]), InvalidInputError, "u_values"),
        (lambda: pot.wasserstein_1d([1.0], [np.nan]), InvalidInputError, "v_values .*NaN"),
        (lambda: pot.wasserstein_1d([1j], [1.0]), InvalidTypeError, "u_values .*complex"),
        (lambda: pot.wasserstein_1d(["a"], [1.0]), InvalidTypeError, "u_values .*<U"),
        (lambda: pot.wasserstein_1d([1.0], [1.0], [-1.0]), InvalidInputError, "u_weights.* -1"),
        (lambda: pot.wasserstein_1d([1.0], [1.0], [0.0]), InvalidInputError, "u_weights"),
        (lambda: pot.wasserstein_1d([1.0], [1.0], [1.0, 1]), InvalidInputError, "_weights .*got 2"),
        (lambda: pot.wasserstein_1d(np.ones((2, 3)), np.ones((2, 4))), InvalidInputError,
         r"\(2, 3\) and \(2, 4\)"),
        (lambda: pot.wasserstein_1d([1.0], [1.0], return_plans="csr"), InvalidInputError,
         "return_plans .*'csr'"),
    ],
)  # fmt: skip
def test_mistakes_in_wasserstein_1d(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


# ---- emd2_1d ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 9, 65])
@pytest.mark.parametrize("m", [1, 3, 64])
@pytest.mark.parametrize(
    ("metric", "p"), [("sqeuclidean", 1), ("cityblock", 1), ("euclidean", 1), ("minkowski", 1),
                      ("minkowski", 2), ("minkowski", 3)],
)  # fmt: skip
def test_emd2_1d(n, m, metric, p):
    x, y, a, b = RNG.normal(size=n), RNG.normal(size=m), simplex(n), simplex(m)
    for args in ((x, y), (x, y, a, b), (x[:, None], y[:, None], a, b), (x, y, a), (x, y, [], b)):
        want = ot.emd2_1d(*(np.asarray(arg) for arg in args), metric=metric, p=p)
        got = pot.emd2_1d(*args, metric=metric, p=p)
        assert got == pytest.approx(want, rel=1e-11, abs=1e-14)


def test_emd2_1d_is_squared_unless_told():
    assert pot.emd2_1d([0.0], [3.0]) == ot.emd2_1d(np.array([0.0]), np.array([3.0])) == 9
    assert pot.emd2_1d([0.0], [3.0], metric="cityblock") == 3


def test_totals():
    x, y = np.array([0.0, 1.0, 4.0]), np.array([2.0, 3.0])
    a, b = np.array([1.0, 2, 3]), np.array([2.0, 4])
    assert pot.emd2_1d(x, y, a, b) == pytest.approx(ot.emd2_1d(x, y, a, b), rel=1e-12)
    near = b * (1 + 1e-8)
    assert pot.emd2_1d(x, y, a, near) == pytest.approx(ot.emd2_1d(x, y, a, near), rel=1e-7)
    for call in (pot.emd2_1d, ot.emd2_1d):
        with pytest.raises(AssertionError):
            call(x, y, a, b * 1.01)
    with pytest.raises(AssertionError, match=r"6\.0.*6\.06"):
        pot.emd2_1d(x, y, a, b * 1.01)


@pytest.mark.parametrize("dense", [True, False])
def test_plan_of_emd2_1d(dense):
    x, y, a, b = RNG.normal(size=7), RNG.normal(size=5), simplex(7), simplex(5)
    cost, log = pot.emd2_1d(x, y, a, b, dense=dense, log=True)
    want, want_log = ot.emd2_1d(x, y, a, b, dense=dense, log=True)
    assert cost == pytest.approx(want, rel=1e-11)
    assert cost == pot.emd2_1d(x, y, a, b)
    ours, theirs = log["G"], want_log["G"]
    if not dense:
        ours, theirs = ours.toarray(), theirs.toarray()
    assert isinstance(ours, np.ndarray)
    np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda: pot.emd2_1d([1.0], [1.0], metric="cosine"),
            InvalidInputError,
            "metric .*'cosine'",
        ),
        (lambda: pot.emd2_1d([1.0], [1.0], metric="minkowski", p=0), InvalidInputError, "p .*0"),
        (lambda: pot.emd2_1d([], [1.0]), InvalidInputError, "x_a"),
        (lambda: pot.emd2_1d([np.nan], [1.0]), InvalidInputError, "x_a .*NaN"),
        (lambda: pot.emd2_1d([1.0], [1.0], [1.0, 2.0]), InvalidInputError, "a .*got 2"),
        (lambda: pot.emd2_1d([1.0], [1.0], [1.0], [-1.0]), InvalidInputError, r"b\[0\] is -1\.0"),
        (lambda: pot.emd2_1d([1.0], [1.0], [1.0], [np.nan]), InvalidInputError, r"b\[0\] is nan"),
        (lambda: pot.emd2_1d(np.ones((2, 2)), [1.0]), InvalidInputError, r"x_a .*\(2, 2\)"),
        (lambda: pot.emd2_1d([1.0], [None]), InvalidTypeError, "x_b .*object"),
    ],
)
def test_mistakes_in_emd2_1d(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_names_and_order_are_those_of_pot():
    for ours, theirs in ((pot.emd2_1d, ot.emd2_1d), (pot.wasserstein_1d, ot.wasserstein_1d)):
        names = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[: len(names)] == names


def test_unaligned_input():
    view = np.zeros(9 * 8 + 1, np.uint8)[1:].view(np.float64)
    view[:] = RNG.random(9)
    clean = view.copy()
    assert pot.emd2_1d(view, clean, view / view.sum(), clean / clean.sum()) == 0
    assert pot.wasserstein_1d(view, clean + 1) == pytest.approx(1, rel=1e-12)
