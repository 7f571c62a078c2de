"""compat.pyemd against a linear program, and against the pyemd that is installed, if one is."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from scipy.optimize import linprog

import imgsim_fast as isf
from imgsim_fast.compat import pyemd
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError

RNG = np.random.default_rng(5)
A, B = np.array([1.0, 0, 2]), np.array([0.0, 2, 0])
D = np.array([[0.0, 1, 2], [1, 0, 1], [2, 1, 0]])


@pytest.fixture(scope="module")
def real():
    """Return the original; skip without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT looks for back ends that are not here
        return pytest.importorskip("pyemd")


def tolerance(real):
    """Return how exact the original is: before 1.1 it rounds masses and distances."""
    third = real.emd(np.array([1.0, 0]), np.array([0.0, 1]), np.array([[0, 1 / 3], [1 / 3, 0]]))
    return 1e-9 if abs(third - 1 / 3) < 1e-12 else 1e-4


def metric(n):
    points = RNG.random((n, 2))
    return np.sqrt(((points[:, None] - points) ** 2).sum(-1))


def masses(n, zeros=True):
    values = RNG.random(n)
    if zeros and n > 2:
        values[RNG.integers(0, n, n // 3)] = 0
    return values


def reference(a, b, distances, penalty):
    """Linear program of what is left after same-bin mass is cancelled; its flow, all of it."""
    n = len(a)
    stays = np.minimum(a, b)
    a_left, b_left = a - stays, b - stays
    moved = min(a_left.sum(), b_left.sum())
    rows = np.kron(np.eye(n), np.ones(n))
    cols = np.kron(np.ones(n), np.eye(n))
    done = linprog(
        distances[:n, :n].ravel(), A_ub=np.vstack([rows, cols]), b_ub=np.r_[a_left, b_left],
        A_eq=np.ones((1, n * n)), b_eq=[moved], bounds=(0, None), method="highs",
    )  # fmt: skip
    assert done.status == 0
    return done.fun + abs(a.sum() - b.sum()) * penalty


def check_flow(flow, a, b, distances, penalty, value):
    """Tell whether a flow is possible and costs what is said."""
    assert isinstance(flow, list)
    assert all(type(row) is list and all(type(x) is float for x in row) for row in flow)
    flow = np.array(flow)
    n = len(a)
    assert flow.shape == (n, n)
    assert (flow >= 0).all()
    np.testing.assert_array_equal(np.diag(flow), np.minimum(a, b))
    assert flow.sum() == pytest.approx(min(a.sum(), b.sum()), rel=1e-12)
    assert (flow.sum(1) <= a * (1 + 1e-12)).all()
    assert (flow.sum(0) <= b * (1 + 1e-12)).all()
    moved = (flow * distances[:n, :n])[~np.eye(n, dtype=bool)].sum()
    assert moved + penalty * abs(a.sum() - b.sum()) == pytest.approx(value, rel=1e-11, abs=1e-13)


# ---- emd and emd_with_flow -------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17])
@pytest.mark.parametrize("kind", ["metric", "asymmetric", "diagonal", "negative", "larger"])
@pytest.mark.parametrize("penalty", [-1, 0, 0.3, -2.5])
@pytest.mark.parametrize("totals", ["equal", "first", "second"])
def test_against_a_linear_program(n, kind, penalty, totals):
    a, b = masses(n, zeros=False), masses(n)
    a *= {"equal": 1, "first": 1.7, "second": 0.4}[totals] * b.sum() / a.sum()
    distances = {
        "metric": metric(n),
        "asymmetric": RNG.random((n, n)),
        "diagonal": metric(n) + 3 * np.eye(n),
        "negative": RNG.normal(size=(n, n)),
        "larger": metric(n + 3),
    }[kind]
    each = distances[:n, :n].max() if penalty == -1 else penalty
    want = reference(a, b, distances, each)
    value, flow = pyemd.emd_with_flow(a, b, distances, penalty)
    assert value == pytest.approx(want, rel=1e-9, abs=1e-9)
    assert pyemd.emd(a, b, distances, penalty) == value
    check_flow(flow, a, b, distances, each, value)
    if penalty == -1:
        assert pyemd.emd(a, b, distances) == value


@pytest.mark.parametrize("n", [2, 3, 8, 17, 40])
@pytest.mark.parametrize("kind", ["metric", "asymmetric", "diagonal"])
@pytest.mark.parametrize("penalty", [-1.0, 0.0, 0.3, -2.5])
@pytest.mark.parametrize("factor", [1.0, 1.7, 0.4])
def test_against_pyemd(real, n, kind, penalty, factor):
    a, b = masses(n), masses(n)
    if not (a.any() and b.any()):
        a, b = np.arange(n) + 1.0, np.arange(n)[::-1] + 1.0
    a *= factor * b.sum() / a.sum()
    distances = {
        "metric": metric(n),
        "asymmetric": RNG.random((n, n)),
        "diagonal": metric(n) + 3 * np.eye(n),
    }[kind]
    rel = tolerance(real)
    want, flow = real.emd_with_flow(a, b, distances, penalty)
    got, mine = pyemd.emd_with_flow(a, b, distances, penalty)
    size = distances.max() * max(a.sum(), b.sum())
    assert got == pytest.approx(want, rel=rel, abs=rel * 1e-3 * size)
    assert real.emd(a, b, distances, penalty) == pytest.approx(
        pyemd.emd(a, b, distances, penalty), rel=rel, abs=rel * 1e-3 * size
    )
    assert type(mine) is type(flow) is list
    assert np.shape(mine) == np.shape(flow)
    each = distances.max() if penalty == -1 else penalty
    check_flow(mine, a, b, distances, each, got)


def test_examples_of_pyemd(real):
    first, second = np.array([0.0, 1.0]), np.array([5.0, 3.0])
    distances = np.array([[0.0, 0.5], [0.5, 0.0]])
    assert pyemd.emd_with_flow(first, second, distances) == (3.5, [[0.0, 0.0], [0.0, 1.0]])
    assert real.emd(first, second, distances) == pytest.approx(3.5, rel=tolerance(real))


def test_a_metric_gives_the_optimum():
    n = 20
    a, b = RNG.integers(0, 9, n), RNG.integers(1, 9, n)
    distances = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    assert pyemd.emd(a, b, distances) == isf.emd(a, b, distances, mass=float(n - 1))
    assert pyemd.emd(a, b, distances, 0) == isf.emd(a, b, distances, mass=0.0)


def test_no_metric_is_not_noticed():
    """Same-bin mass stays, also where a way around would be cheaper. That is pyemd's definition."""
    distances = [[0, 0, 9], [9, 0, 0], [9, 9, 0]]
    assert isf.emd([1, 1, 0], [0, 1, 1], distances) == 0
    assert pyemd.emd([1, 1, 0], [0, 1, 1], distances) == 9


def test_rounding_of_pyemd_is_not_ours():
    """wmayner/pyemd#32."""
    distances = [[2.236, 8795.2, 3.162], [8796.5, 0, 8792.1], [0, 8796.5, 5]]
    value, flow = pyemd.emd_with_flow([0.5, 0.5, 0], [0, 0.5, 0.5], distances)
    assert value == 0.5 * 3.162
    assert flow == [[0, 0, 0.5], [0, 0.5, 0], [0, 0, 0]]


def test_without_mass():
    zero = np.zeros(3)
    for a, b, want in ((zero, B, 4), (A, zero, 6), (zero, zero, 0), (A, A, 0)):
        value, flow = pyemd.emd_with_flow(a, b, D)
        assert value == pyemd.emd(a, b, D) == want
        assert flow == np.diag(np.minimum(a, b)).tolist()
    assert pyemd.emd(A, zero, D, 0.5) == 1.5


def test_without_mass_as_pyemd(real):
    zero = np.zeros(3)
    for a, b in ((zero, B), (A, zero), (zero, zero)):
        assert pyemd.emd(a, b, D) == pytest.approx(real.emd(a, b, D), rel=tolerance(real))


def test_types_and_strides():
    wide = np.array([A, B]).T
    want = pyemd.emd(A, B, D)
    assert want == 4
    assert pyemd.emd(wide[:, 0], wide[:, 1], D.T) == want
    assert pyemd.emd(A.astype(np.uint8), B.astype(np.float32), D.astype(int)) == want
    assert pyemd.emd(A.tolist(), B.tolist(), D.tolist(), np.float32(-1)) == want


@pytest.mark.parametrize("scale", [1e-300, 1e-20, 1e20, 1e290])
def test_scale(scale):
    want = pyemd.emd(A, B + 0.25, D)
    assert pyemd.emd(A * scale, (B + 0.25) * scale, D) == pytest.approx(want * scale, rel=1e-12)
    assert pyemd.emd(A, B + 0.25, D * scale) == pytest.approx(want * scale, rel=1e-12)


@pytest.mark.parametrize(
    ("args", "kind", "message"),
    [
        ((A, B[:2], D), InvalidInputError, "must have the same length, got 3 and 2"),
        ((A, B, D[:2, :2]), InvalidInputError, r"at least 3 rows and columns.*\(2, 2\)"),
        ((A, B, D[:, :2]), InvalidInputError, r"at least 3 rows and columns.*\(3, 2\)"),
        ((A, B, D[0]), InvalidInputError, "at least 3 rows and columns"),
        ((A, B, np.where(D == 2, np.nan, D)), InvalidInputError, r"matrix\[0, 2\] is nan"),
        ((A, B, np.where(D == 2, np.inf, D)), InvalidInputError, r"matrix\[0, 2\] is inf"),
        ((-A, B, D), InvalidInputError, r"first_histogram\[0\] is -1"),
        ((A, [1, np.nan, 0], D), InvalidInputError, r"second_histogram\[1\] is NaN"),
        ((A, [1, np.inf, 0], D), InvalidInputError, r"second_histogram\[1\] is inf"),
        (([], [], np.empty((0, 0))), InvalidInputError, "first_histogram has no bins"),
        (([A], B, D), InvalidInputError, "first_histogram must be a vector"),
        (("a", B, D), InvalidTypeError, "first_histogram must hold"),
        ((A, B, None), InvalidTypeError, "distance_matrix must hold"),
        ((A, B, D, np.nan), InvalidInputError, "penalty must be finite, got nan"),
        ((A, B, D, np.inf), InvalidInputError, "penalty must be finite, got inf"),
        ((A, B, D, "max"), InvalidTypeError, "penalty must be a number, got 'max'"),
        ((A, B, D, True), InvalidTypeError, "penalty must be a number, got True"),
        ((A, B, D, None), InvalidTypeError, "penalty must be a number, got None"),
        ((A, B * 1e300, D, 1e300), OutOfRangeError, "beyond the range"),
        (([1e300, 0], [0, 1e300], D * 1e300), OutOfRangeError, "beyond the range"),
        (([1e308, 1e308], [0, 1], D), OutOfRangeError, "beyond the range"),
    ],
)
def test_what_is_refused(args, kind, message):
    for call in (pyemd.emd, pyemd.emd_with_flow):
        with pytest.raises(kind, match=message):
            call(*args)


def test_pyemd_refuses_the_same_lengths(real):
    for args in ((A, B[:2].copy(), D), (A, B, D[:2, :2].copy())):
        for module in (real, pyemd):
            with pytest.raises(ValueError):
                module.emd(*args)


# ---- emd_samples -----------------------------------------------------------------------------

SAMPLES = ([1, 2, 3, 4], [2, 3, 4, 5]), (RNG.normal(size=200), RNG.normal(1, 2, size=150))


def squared(centers):
    return (centers[:, None] - centers) ** 2


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("penalty", [-1.0, 0.0, 2.5])
@pytest.mark.parametrize("distance", ["euclidean", squared, lambda x: squared(x).tolist()])
@pytest.mark.parametrize(
    "options",
    [{}, {"bins": 7}, {"bins": "fd"}, {"range": (2, 4)}, {"bins": [-9, 0, 2, 3, 9]}],
)
def test_samples_against_pyemd(real, samples, normalized, penalty, distance, options):
    options = {"normalized": normalized, "distance": distance, **options}
    want = real.emd_samples(*samples, penalty, **options)
    got = pyemd.emd_samples(*samples, penalty, **options)
    assert got == pytest.approx(want, rel=tolerance(real), abs=1e-12)


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("bins", [1, 5, 64])
def test_samples_are_histograms(samples, normalized, bins):
    both = np.concatenate(samples)
    edges = np.linspace(both.min(), both.max(), bins + 1)
    a, b = (np.histogram(x, bins=edges)[0].astype(float) for x in samples)
    if normalized:
        a, b = a / a.sum(), b / b.sum()
    centers = (edges[1:] + edges[:-1]) / 2
    want = pyemd.emd(a, b, np.abs(centers[:, None] - centers))
    got = pyemd.emd_samples(*samples, normalized=normalized, bins=bins)
    assert got == pytest.approx(want, rel=1e-12, abs=1e-12)
    assert type(got) is float


def test_samples_that_need_no_plan():
    assert pyemd.emd_samples([1, 2, 3, 4], [2, 3, 4, 5], bins=2) == 0.5
    assert pyemd.emd_samples([[1, 2], [3, 4]], [2, 3, 4, 5], bins=2) == 0.5
    assert pyemd.emd_samples([1, 1], [1]) == 0
    assert pyemd.emd_samples([True, False], [1.0], bins=2, range=(0, 1)) == 0.25
    assert pyemd.emd_samples([0], [9], normalized=False, bins=[1, 2, 3]) == 0
    # A million bins: in closed form.
    got = pyemd.emd_samples([0.0, 1.0], [1.0, 1.0], bins=1_000_000)
    assert got == pytest.approx(0.5 * (1 - 1e-6), rel=1e-9)


@pytest.mark.parametrize(
    ("args", "options", "kind", "message"),
    [
        (([], [1]), {}, InvalidInputError, "first_array must hold at least one"),
        (([1], []), {}, InvalidInputError, "second_array must hold at least one"),
        (([1, np.nan], [1]), {}, InvalidInputError, r"first_array\[1\] is nan"),
        (([1], [np.inf]), {}, InvalidInputError, r"second_array\[0\] is inf"),
        ((["a"], [1]), {}, InvalidTypeError, "first_array must hold"),
        (([1], [2]), {"range": (1, 1.5)}, InvalidInputError, "second_array has no sample within"),
        (([1], [2]), {"range": (3, 1)}, InvalidInputError, r"range=\(3, 1\)"),
        (([1], [2]), {"bins": 0}, InvalidInputError, "bins=0"),
        (([1], [2]), {"bins": "many"}, InvalidInputError, "bins='many'"),
        (([1], [2]), {"bins": 2.5}, InvalidTypeError, "bins=2.5"),
        (([1], [2]), {"distance": "cityblock"}, InvalidTypeError, "'euclidean' or a function"),
        (([1], [2]), {"distance": np.diff}, InvalidInputError, "must return a square matrix"),
        (([1], [2]), {"distance": lambda x: D[:, :2], "bins": 2}, InvalidInputError, r"\(3, 2\)"),
        (([1], [2]), {"distance": lambda x: D, "bins": 4}, InvalidInputError, "at least 4 bins"),
        (([1], [2]), {"extra_mass_penalty": "x"}, InvalidTypeError, "penalty must be a number"),
        (([1, 1], [2]), {"normalized": False, "bins": 10**6}, MemoryError, "of 1000000 bins"),
    ],
)
def test_samples_that_are_refused(args, options, kind, message):
    with pytest.raises(kind, match=message):
        pyemd.emd_samples(*args, **options)


def test_a_larger_matrix_of_a_function():
    got = pyemd.emd_samples([1, 2, 3, 4], [2, 3, 4, 5], bins=2, distance=lambda x: np.ones((3, 3)))
    assert got == 0.25


@pytest.mark.parametrize("name", ["emd", "emd_with_flow", "emd_samples"])
def test_signatures_are_those_of_pyemd(real, name):
    try:
        theirs = inspect.signature(getattr(real, name)).parameters
    except ValueError:  # a compiled function
        pytest.skip("pyemd does not tell")
    ours = inspect.signature(getattr(pyemd, name)).parameters
    assert list(ours) == [key for key in theirs if key != "backend"]
    assert all(ours[key].default == theirs[key].default for key in ours)
