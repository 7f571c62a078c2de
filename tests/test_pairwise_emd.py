"""cdist, pdist and knn with metric="emd" against loops over emd; threads and instruction sets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import squareform

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import (
    InfeasibleError,
    InvalidInputError,
    InvalidTypeError,
    OutOfRangeError,
    UnbalancedMassError,
)
from tests import reference
from tests.reference_transport import twin

THREADS = (1, 2, 3, 7)
inf = math.inf


def rows_of(count, bins, seed=0, total=60):
    rng = np.random.default_rng((seed, count, bins))
    shares = rng.random((count, bins)) * (rng.random((count, bins)) < 0.7) + 1e-9
    return rng.multinomial(total, shares / shares.sum(1, keepdims=True))


def places_of(bins, dims=2, seed=0):
    return np.random.default_rng((seed, bins, dims, 1)).random((bins, dims))


def signatures_of(count, seed=0, dims=2, total=60):
    """(masses, points) of different lengths, with one total."""
    rng = np.random.default_rng((seed, count, 2))
    found = []
    for length in rng.integers(1, 30, count):
        found.append((rows_of(1, length, seed, total)[0], rng.integers(0, 9, (length, dims))))
    return found


def as_arrays(signatures):
    return [np.column_stack([masses, points]) for masses, points in signatures]


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-12)


# ---- equal to loops --------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [1, 3, 8, 17, 33, 65])
def test_rows_with_a_shared_cost(isa, bins):
    A, B = rows_of(5, bins), rows_of(7, bins, 1)
    rng = np.random.default_rng(bins)
    metric = reference.ground_distances(places_of(bins), places_of(bins))
    for cost in (rng.integers(0, 9, (bins, bins)), rng.normal(size=(bins, bins)), metric):
        want = [[isf.emd(a, b, cost) for b in B] for a in A]
        got = isf.cdist(A, B, "emd", cost=cost)
        assert got.dtype == np.float64
        assert got.shape == (5, 7)
        close(got, want)
        if np.asarray(cost).dtype.kind == "i":
            np.testing.assert_array_equal(got, want)
        close(isf.pdist(A, "emd", cost=cost), [isf.emd(A[i], A[j], cost) for i, j in pairs(5)])
        found = isf.knn(B, A, 3, "emd", cost=cost)
        by_hand = isf.cdist(B, A, "emd", cost=cost)
        for q in range(7):
            distances, indices = reference.nearest(by_hand[q].tolist(), 3)
            assert found.distances[q].tolist() == distances
            assert found.indices[q].tolist() == indices


def pairs(n):
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


def test_rows_against_rational_numbers():
    A, B = rows_of(4, 6, total=20), rows_of(3, 6, 5, total=20)
    cost = np.random.default_rng(0).integers(-5, 20, (6, 6))
    got = isf.cdist(A, B, "emd", cost=cost)
    np.testing.assert_array_equal(got, [[float(twin(a, b, cost)) for b in B] for a in A])


@pytest.mark.parametrize("ground", ["euclidean", "cityblock", "chebyshev", "sqeuclidean"])
@pytest.mark.parametrize("threshold", [None, 0.4])
def test_rows_with_shared_positions(isa, ground, threshold):
    for bins, dims in ((1, 2), (9, 1), (20, 2), (33, 3)):
        A, B, places = rows_of(6, bins), rows_of(4, bins, 1), places_of(bins, dims)
        options = {"positions": places, "threshold": threshold}
        want = [[isf.emd(a, b, metric=ground, **options) for b in B] for a in A]
        close(isf.cdist(A, B, "emd", ground=ground, **options), want)
        few = isf.cdist(A[:1], B[:2], "emd", ground=ground, **options)  # no matrix is made
        close(few, [want[0][:2]])
        near = isf.knn(A[0], B, 2, "emd", ground=ground, **options)
        close(near.distances, sorted(want[0])[:2])
        whole = np.round(places * 20)
        if ground != "euclidean" and threshold is None:
            want = [[isf.emd(a, b, positions=whole, metric=ground) for b in B] for a in A]
            got = isf.cdist(A, B, "emd", ground=ground, positions=whole)
            np.testing.assert_array_equal(got, want)


def test_bins_one_unit_apart():
    A, B = rows_of(6, 12), rows_of(5, 12, 1)
    want = isf.cdist(A, B) * 60
    np.testing.assert_allclose(isf.cdist(A, B, "emd"), want, rtol=1e-14)
    np.testing.assert_allclose(isf.pdist(A, "emd"), isf.pdist(A) * 60, rtol=1e-14)


def test_rectangular_costs():
    A, B = rows_of(6, 5), rows_of(4, 9, 1)
    cost = np.random.default_rng(0).integers(0, 30, (5, 9))
    want = [[isf.emd(a, b, cost) for b in B] for a in A]
    np.testing.assert_array_equal(isf.cdist(A, B, "emd", cost=cost), want)
    found = isf.knn(A, B, 2, "emd", cost=cost)
    np.testing.assert_array_equal(found.distances, np.sort(want, 1)[:, :2])
    x, y = places_of(5), places_of(9, seed=3)
    want = [[isf.emd(a, b, positions=(x, y)) for b in B] for a in A]
    close(isf.cdist(A, B, "emd", positions=(x, y)), want)
    with pytest.raises(InvalidInputError, match=r"cost .*\(5, 9\).*\(9, 5\)"):
        isf.cdist(A, B, "emd", cost=cost.T)
    with pytest.raises(InvalidInputError, match=r"cost .*\(5, 5\).*\(5, 9\)"):
        isf.pdist(A, "emd", cost=cost)


@pytest.mark.parametrize("ground", ["euclidean", "cityblock", "sqeuclidean"])
def test_signatures(isa, ground):
    A, B = signatures_of(6), signatures_of(8, 1)
    want = [[isf.emd(a[0], b[0], positions=(a[1], b[1]), metric=ground) for b in B] for a in A]
    for first, second in (
        (A, B), (as_arrays(A), as_arrays(B)), (A, as_arrays(B)), (tuple(A), B),
        ([x.astype(np.float32) for x in as_arrays(A)], as_arrays(B)),
    ):  # fmt: skip
        got = isf.cdist(first, second, "emd", ground=ground)
        np.testing.assert_array_equal(got, want)
    condensed = isf.pdist(A, "emd", ground=ground)
    for k, (i, j) in enumerate(pairs(6)):
        a, b = A[i], A[j]
        assert condensed[k] == isf.emd(a[0], b[0], positions=(a[1], b[1]), metric=ground)
    square = isf.cdist(A, A, "emd", ground=ground)
    np.testing.assert_array_equal(squareform(condensed), square)
    found = isf.knn(A, B, 3, "emd", ground=ground)
    for q in range(6):
        assert found.indices[q].tolist() == reference.nearest(want[q], 3)[1]
    one = isf.knn(as_arrays(A)[:1], as_arrays(B), 3, "emd", ground=ground)
    assert one.distances.shape == (1, 3)
    np.testing.assert_array_equal(one.distances, found.distances[:1])


def test_unequal_totals():
    A, B = rows_of(5, 7, total=30), rows_of(4, 7, 1, total=50)
    cost = np.random.default_rng(0).integers(0, 9, (7, 7))
    for mass in ("normalize", "partial", "opencv", 2.5):
        got = isf.cdist(A, B, "emd", cost=cost, mass=mass)
        np.testing.assert_array_equal(got, [[isf.emd(a, b, cost, mass=mass) for b in B] for a in A])
        np.testing.assert_allclose(
            got, [[float(twin(a, b, cost, mass)) for b in B] for a in A], rtol=1e-14
        )
        np.testing.assert_array_equal(
            isf.knn(A[0], B, 9, "emd", cost=cost, mass=mass).distances, np.sort(got[0])
        )


def test_asymmetric_costs_go_from_the_lower_row_to_the_higher():
    cost = [[0, 5, 5], [1, 0, 5], [1, 1, 0]]
    rows = np.eye(3)
    assert isf.pdist(rows, "emd", cost=cost).tolist() == [5, 5, 5]
    assert isf.pdist(rows[::-1].copy(), "emd", cost=cost).tolist() == [1, 1, 1]
    assert isf.cdist(rows, rows, "emd", cost=cost).tolist() == cost


# ---- forms of the result ---------------------------------------------------------------------


def test_out():
    A, B = rows_of(5, 7), rows_of(4, 7, 1)
    want = isf.cdist(A, B, "emd")
    out = np.full((5, 4), -1.0)
    assert isf.cdist(A, B, "emd", out=out) is out
    np.testing.assert_array_equal(out, want)
    for bad, kind in (
        (np.empty((4, 5)), InvalidInputError),
        (np.empty((5, 4), order="F"), InvalidInputError),
        (np.empty((5, 4), np.float32), InvalidTypeError),
        ([[0.0] * 4] * 5, InvalidTypeError),
    ):
        with pytest.raises(kind, match="out"):
            isf.cdist(A, B, "emd", out=bad)


def test_few_rows():
    one = rows_of(1, 5)
    assert isf.cdist(one, one, "emd").tolist() == [[0.0]]
    assert isf.pdist(one, "emd").shape == (0,)
    assert isf.pdist(np.vstack([one, one]), "emd").tolist() == [0.0]
    nothing = np.empty((0, 5))
    assert isf.cdist(nothing, one, "emd").shape == (0, 1)
    assert isf.cdist(one, nothing, "emd").shape == (1, 0)
    assert isf.pdist(nothing, "emd").shape == (0,)
    assert isf.knn(nothing, one, 2, "emd").indices.shape == (0, 1)
    found = isf.knn(one, nothing, 2, "emd")
    assert found.distances.shape == found.indices.shape == (1, 0)
    assert isf.pdist(signatures_of(1), "emd").shape == (0,)


def test_ties_go_to_the_lower_index():
    rows = np.array([[4, 0, 0], [0, 4, 0], [2, 0, 2], [0, 4, 0], [4, 0, 0], [0, 0, 4]])
    for threads in THREADS:
        found = isf.knn([4, 0, 0], rows, 6, "emd", threads=threads)
        assert found.indices.tolist() == [0, 4, 1, 2, 3, 5]
        assert found.distances.tolist() == [0, 0, 4, 4, 4, 8]
        same = np.repeat(rows[:1], 500, 0)
        assert (
            isf.knn(rows[1:3], same, 7, "emd", threads=threads).indices.tolist()
            == [list(range(7))] * 2
        )


def test_more_neighbours_than_rows():
    rows = rows_of(4, 6)
    found = isf.knn(rows[0], rows, 10, "emd")
    assert found.indices.shape == found.distances.shape == (4,)
    assert found.indices[0] == 0
    assert isf.knn(rows, rows, 10**9, "emd").indices.shape == (4, 4)
    distances, indices = isf.knn(rows, rows, 2, "emd")
    assert distances.shape == indices.shape == (4, 2)
    assert indices.dtype == np.int64
    for bad, kind in ((0, InvalidInputError), (-1, InvalidInputError), (1.5, InvalidTypeError)):
        with pytest.raises(kind, match="k must"):
            isf.knn(rows, rows, bad, "emd")


# ---- the same bits ---------------------------------------------------------------------------


def all_results(threads):
    A, B = rows_of(40, 20), rows_of(50, 20, 1)
    floats = np.random.default_rng(0).random((30, 33))
    options = {"threads": threads}
    yield isf.cdist(A, B, "emd", **options)
    yield isf.cdist(A, B, "emd", cost=np.random.default_rng(1).random((20, 20)), **options)
    for ground in ("euclidean", "cityblock", "chebyshev", "sqeuclidean"):
        more = {"ground": ground, "mass": "normalize", **options}
        yield isf.pdist(floats, "emd", positions=places_of(33, 3), **more)
        yield isf.cdist(signatures_of(30), signatures_of(20, 1), "emd", **more)
        yield isf.cdist(floats[:2], floats[2:3], "emd", positions=places_of(33), **more)
    for mass in ("normalize", "partial", "opencv", 0.5):
        yield from isf.knn(floats[:4], floats, 5, "emd", mass=mass, **options)
    cost = np.where(np.random.default_rng(2).random((20, 20)) < 0.3, inf, 1.5)
    np.fill_diagonal(cost, 0)
    yield isf.pdist(A, "emd", cost=np.minimum(cost, 7), threshold=3.0, **options)
    ones = np.ones((12, 64))
    yield isf.cdist(ones, ones, "emd", cost=np.random.default_rng(3).random((64, 64)), **options)


def test_every_instruction_set_and_thread_count_gives_the_same_bits():
    found = {}
    before = _core.active_isa()
    try:
        for isa in _core.available_isas():
            _core.set_isa(isa)
            for threads in THREADS:
                parts = [np.ascontiguousarray(part).tobytes() for part in all_results(threads)]
                found[isa, threads] = parts
    finally:
        _core.set_isa(before)
    want = found["baseline", 1]
    assert len(want) > 15
    for key, parts in found.items():
        assert parts == want, key


# ---- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", THREADS)
def test_the_first_bad_pair_is_named(threads):
    A, B = rows_of(60, 8), rows_of(50, 8, 1)
    A[[17, 40], 0] += 3
    B[31, 0] += 3
    for _ in range(3):
        with pytest.raises(UnbalancedMassError, match=r"A\[0\] and B\[31\].*60.*63"):
            isf.cdist(A, B, "emd", threads=threads)
        with pytest.raises(UnbalancedMassError, match=r"A\[17\] and B\[0\]"):
            isf.cdist(A, B[:31], "emd", threads=threads)
        with pytest.raises(UnbalancedMassError, match=r"A\[0\] and A\[17\]"):
            isf.pdist(A, "emd", threads=threads)
        with pytest.raises(UnbalancedMassError, match=r"queries\[17\] and database\[0\]"):
            isf.knn(A, B[:31], 3, "emd", threads=threads)
    cost = np.ones((8, 8))
    cost[3, 1:] = inf
    masses = np.zeros((60, 8))
    masses[:, 0] = 6
    masses[23] = [1, 0, 0, 4, 1, 0, 0, 0]
    masses[24] = [0, 0, 0, 5, 1, 0, 0, 0]
    demands = np.tile([0, 3, 3, 0, 0, 0, 0, 0], (40, 1))
    with pytest.raises(InfeasibleError, match=r"mass of A\[23\]\[3\]"):
        isf.cdist(masses, demands, "emd", cost=cost, threads=threads)
    signatures = [([6.0], place) for place in np.zeros((30, 1, 1))]
    signatures[12] = ([6.0], [[1.7e308]])
    with pytest.raises(OutOfRangeError, match=r"A\[0\] and A\[12\]"):
        isf.pdist(signatures, "emd", threads=threads)


SIGNATURES = signatures_of(3)
MISTAKES = {
    "metric": (InvalidInputError, "metric .*'EMD'", {"metric": "EMD"}),
    "p": (InvalidInputError, "p is for metric='wasserstein'", {"p": 2}),
    "p inf": (InvalidInputError, "p is for metric='wasserstein'", {"p": inf}),
    "circular": (InvalidInputError, "circular is for", {"circular": True}),
    "circular 360": (InvalidInputError, "circular is for", {"circular": 360}),
    "ground": (InvalidInputError, "ground .*'l1'", {"ground": "l1"}),
    "threshold": (InvalidInputError, "threshold .*-1", {"threshold": -1}),
    "mass": (InvalidInputError, "mass .*'both'", {"mass": "both"}),
    "threads": (InvalidInputError, "threads .*0", {"threads": 0}),
    "cost": (InvalidInputError, r"cost .*\(7, 7\).*\(6, 7\)", {"cost": np.ones((6, 7))}),
    "cost NaN": (InvalidInputError, r"cost\[3, 2\] is NaN",
                 {"cost": np.where(np.arange(49).reshape(7, 7) == 23, np.nan, 1)}),
    "both": (InvalidInputError, "cost and positions",
             {"cost": np.ones((7, 7)), "positions": np.ones(7)}),
    "positions": (InvalidInputError, r"positions .*\(7, dims\)", {"positions": np.ones(6)}),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, options = MISTAKES[name]
    rows = rows_of(3, 7)
    options = {"metric": "emd", **options}
    for call in (
        lambda: isf.cdist(rows, rows, **options),
        lambda: isf.pdist(rows, **options),
        lambda: isf.knn(rows, rows, 2, **options),
    ):
        with pytest.raises(kind, match=message):
            call()


@pytest.mark.parametrize(
    "options",
    [{"cost": np.ones((7, 7))}, {"ground": "cityblock"}, {"threshold": 2.0}, {"mass": "partial"},
     {"mass": 0.5}],
)  # fmt: skip
def test_wasserstein_refuses_options_of_emd(options):
    rows = rows_of(3, 7)
    (name,) = options
    for call in (
        lambda: isf.cdist(rows, rows, **options),
        lambda: isf.pdist(rows, "wasserstein", **options),
        lambda: isf.knn(rows, rows, 2, **options),
        lambda: isf.knn(rows[0], rows, 2, **options),
    ):
        with pytest.raises(InvalidInputError, match=f"{name} is for metric='emd'"):
            call()


GOOD = np.array([[1.0, 2, 3], [2.0, 5, 6]])
BAD_SIGNATURES = {
    "no coordinates": (InvalidInputError, r"A\[1\] .*\(2, 1\)", [GOOD, GOOD[:, :1]]),
    "flat": (InvalidInputError, r"A\[1\] .*\(3,\)", [GOOD, GOOD[0]]),
    "empty": (InvalidInputError, r"A\[1\]\[:, 0\] has no bins", [GOOD, GOOD[:0]]),
    "dims": (InvalidInputError, r"A\[1\] .*3 dim.*2", [GOOD, np.ones((2, 4))]),
    "three": (InvalidInputError, r"A\[1\] .*3 items", [([1], [[2]]), ([1], [[2]], 3)]),
    "lengths": (InvalidInputError, r"A\[1\]\[1\] .*\(2, dims\)", [([1], [[2]]), ([1, 1], [[2]])]),
    "NaN": (InvalidInputError, r"A\[0\]\[:, 1:\]\[1, 0\] is nan", [[[1, 2, 3], [1, np.nan, 0]]]),
    "inf": (InvalidInputError, r"A\[0\]\[1\]\[0, 1\] is inf", [([1], [[0, inf]])]),
    "text": (InvalidTypeError, r"A\[1\] .*<U", [GOOD, np.array([["1", "2", "3"]])]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SIGNATURES)
def test_bad_signatures_are_named(name):
    kind, message, signatures = BAD_SIGNATURES[name]
    for call in (
        lambda: isf.cdist(signatures, signatures, "emd"),
        lambda: isf.pdist(signatures, "emd"),
    ):
        with pytest.raises(kind, match=message):
            call()


def test_signatures_have_their_own_supports():
    for options in ({"cost": np.ones((3, 3))}, {"positions": np.ones(3)}):
        with pytest.raises(InvalidInputError, match="own supports"):
            isf.pdist(SIGNATURES, "emd", **options)
    with pytest.raises(InvalidTypeError, match="B must be a list of signatures"):
        isf.cdist(SIGNATURES, np.ones((2, 3)), "emd")
    with pytest.raises(InvalidTypeError, match="A must be a list of signatures"):
        isf.cdist(np.ones((2, 3)), SIGNATURES, "emd")
    with pytest.raises(InvalidInputError, match=r"B\[0\] .*2 dim"):
        isf.cdist(signatures_of(2, dims=3), SIGNATURES, "emd")
