"""One-dimensional Wasserstein distances against exact rational twins, SciPy, OpenCV and laws."""

from __future__ import annotations

import array
import math
import warnings

import cv2
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from tests import reference

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 256)
DTYPES = ("float64", "float32", "uint16", "uint32", "uint64", "int32", "int64", "uint8", "int8")


def counts(n, seed=0, top=100):
    """Two rows of whole masses, about a third of them 0, totals above 0 and mostly unequal."""
    rng = np.random.default_rng((seed, n))
    rows = rng.integers(0, top, (2, n)) * (rng.random((2, n)) < 0.7)
    rows[:, rng.integers(n)] += 1
    return rows


def balanced(n, seed=0):
    """Two rows of whole masses with one total: the second is the first with units moved."""
    a = counts(n, seed)[0]
    rng = np.random.default_rng((seed, n, 2))
    units = np.repeat(np.arange(n), a)
    target = (units + rng.integers(0, n, units.size) * (rng.random(units.size) < 0.5)) % n
    return a, np.bincount(target, minlength=n)


def places(n, seed=0):
    """Sorted whole positions with gaps of 0 to 6."""
    return np.cumsum(np.random.default_rng((seed, n, 1)).integers(0, 7, n))


def true_w1(a, b, positions=None):
    return float(reference.w1_line(a.tolist(), b.tolist(), positions))


# ---- exact -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("make", [counts, balanced])
def test_whole_masses_give_the_true_distance(isa, make, n):
    for seed in range(5):
        a, b = make(n, seed)
        assert (make is balanced) <= (a.sum() == b.sum())
        want = true_w1(a, b)
        largest = max(a.max(), b.max())
        for dtype in DTYPES:
            if dtype in ("uint8", "int8") and largest > np.iinfo(dtype).max:
                continue
            got = isf.wasserstein_1d(a.astype(dtype), b.astype(dtype))
            assert type(got) is float
            assert got == want, (isa, dtype, seed)
        positions = places(n, seed)
        assert isf.wasserstein_1d(a, b, positions) == true_w1(a, b, positions.tolist())
        assert isf.wasserstein_1d(a, b, -positions[::-1]) == true_w1(
            a, b, (-positions[::-1]).tolist()
        )


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 0.5, 0.75, 12])
def test_equal_steps_are_as_exact_as_any(step):
    for seed in range(40):
        a, b = counts(9, seed)
        positions = np.arange(9) * step - 4
        assert isf.wasserstein_1d(a, b, positions) == true_w1(a, b, positions.tolist())


@pytest.mark.parametrize("n", SIZES)
def test_whole_masses_on_a_circle_give_the_true_distance(isa, n):
    for seed in range(4):
        for a, b in (counts(n, seed), balanced(n, seed)):
            want = float(reference.w1_circle(a.tolist(), b.tolist()))
            assert isf.wasserstein_1d(a, b, circular=True) == want
            assert isf.wasserstein_1d(a, b, circular=n) == want
            positions = places(n, seed)
            for period in (int(np.ptp(positions)) + 1, int(np.ptp(positions)) + 50):
                want = float(reference.w1_circle(a.tolist(), b.tolist(), positions, period))
                assert isf.wasserstein_1d(a, b, positions, circular=period) == want
    # Longer than the bins: the gap after the last one is wider than the others.
    want = float(reference.w1_circle(a.tolist(), b.tolist(), None, n + 3))
    assert isf.wasserstein_1d(a, b, circular=n + 3) == want


@pytest.mark.parametrize("n", SIZES[:-1])
@pytest.mark.parametrize("p", [2, 3, 4])
def test_whole_orders(n, p):
    for seed in range(3):
        for a, b in (counts(n, seed), balanced(n, seed)):
            for positions in (None, places(n, seed)):
                cost = reference.coupling_cost(a.tolist(), b.tolist(), p, _list(positions))
                got = isf.wasserstein_1d(a, b, positions, p=p)
                assert got == pytest.approx(float(cost) ** (1 / p), rel=4e-15, abs=0)


def _list(positions):
    return None if positions is None else positions.tolist()


@pytest.mark.parametrize("n", SIZES[:-1])
def test_fractional_and_infinite_order(n):
    for seed in range(3):
        for a, b in (counts(n, seed), balanced(n, seed)):
            for positions in (None, places(n, seed)):
                at = np.arange(n) if positions is None else positions
                cost = math.fsum(
                    abs(float(at[i] - at[j])) ** 2.5 * float(mass)
                    for i, j, mass in reference.coupling(a.tolist(), b.tolist())
                )
                got = isf.wasserstein_1d(a, b, positions, p=2.5)
                assert got == pytest.approx(cost**0.4, rel=1e-14, abs=0)
                largest = reference.largest_displacement(a.tolist(), b.tolist(), _list(positions))
                assert isf.wasserstein_1d(a, b, positions, p=math.inf) == float(largest)
                assert isf.wasserstein_1d(a, b, positions, p=1.0) == isf.wasserstein_1d(
                    a, b, positions
                )


def test_orders_whose_powers_leave_the_range_of_a_double():
    a, b = [1, 0, 0, 1], [0, 1, 1, 0]
    for p in (50, 400, 1e6):
        assert isf.wasserstein_1d(a, b, p=p) == pytest.approx(1, rel=1e-12)
        assert isf.wasserstein_1d(a, b, [0, 1e-200, 3e-200, 4e-200], p=p) == pytest.approx(1e-200)
        assert isf.wasserstein_1d([1, 0], [0, 1], [0, 1e300], p=p) == pytest.approx(1e300)
    # Mass that moves by one bin of many: the p-th power of its share of the span is no double.
    # (scipy/scipy#19712: 0 there at p = 540.)
    a, b = np.ones((2, 256))
    a[-1] = b[0] = 0
    for p in (10, 100, 540, 5000):
        assert isf.wasserstein_1d(a, b, p=p) == pytest.approx(1, rel=1e-9)
    assert isf.wasserstein_1d([1, 0], [0, 1], [-1e308, 1e308], p=2) == math.inf


@pytest.mark.parametrize("n", SIZES)
def test_float_masses_are_close_to_the_true_distance(n):
    rng = np.random.default_rng(n)
    for _ in range(4):
        a, b = rng.random((2, n))
        positions = np.sort(rng.normal(size=n))
        want = true_w1(a, b, positions.tolist())
        assert isf.wasserstein_1d(a, b, positions) == pytest.approx(want, rel=1e-13, abs=1e-15)
        want = float(reference.w1_circle(a.tolist(), b.tolist(), positions.tolist(), 9.5))
        got = isf.wasserstein_1d(a, b, positions, circular=9.5)
        assert got == pytest.approx(want, rel=1e-13, abs=1e-15)


# ---- other libraries -------------------------------------------------------------------------


@pytest.mark.parametrize("n", SIZES)
def test_equals_scipy(n):
    rng = np.random.default_rng(n)
    for _ in range(5):
        a, b = rng.random((2, n))
        positions = np.sort(rng.normal(size=n) * 10)
        want = scipy.stats.wasserstein_distance(positions, positions, a, b)
        got = isf.wasserstein_1d(a, b, positions)
        assert got == pytest.approx(want, rel=1e-12, abs=1e-12)


@pytest.mark.skipif(not hasattr(cv2, "EMD"), reason="this OpenCV has no EMD")
@pytest.mark.parametrize("n", [1, 3, 8, 16, 17, 32])
@pytest.mark.parametrize("distance", ["DIST_L1", "DIST_L2"])
def test_equals_opencv(n, distance):
    for seed in range(3):
        # Unequal totals are another problem there, so both are normalised before.
        a, b = balanced(n, seed)
        signatures = [np.stack([row, np.arange(n)], axis=1).astype(np.float32) for row in (a, b)]
        theirs, _, _ = cv2.EMD(*signatures, getattr(cv2, distance))
        assert isf.wasserstein_1d(a, b) == pytest.approx(theirs, rel=1e-5, abs=1e-6)


# ---- laws ------------------------------------------------------------------------------------

GEOMETRIES = {
    "line": {},
    "positions": {"positions": [0, 0.3, 1, 1, 5.5, 7, 8, 11, 12.25]},
    "equal steps": {"positions": np.arange(9) * 3.0},
    "circle": {"circular": True},
    "circle with positions": {"positions": [0, 0.3, 1, 1, 5.5, 7, 8, 11, 12.25], "circular": 13.7},
    "p=2": {"p": 2},
    "p=3": {"p": 3, "positions": [0, 0.3, 1, 1, 5.5, 7, 8, 11, 12.25]},
    "p=3, equal steps": {"p": 3, "positions": np.arange(9) * 3.0},
    "p=2.5": {"p": 2.5},
    "p=inf": {"p": math.inf},
}

masses = st.lists(
    st.one_of(st.floats(0, 1e6), st.integers(0, 9).map(float), st.just(0.0)), min_size=9, max_size=9
).filter(lambda row: sum(row) > 1e-300)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(a=masses, b=masses)
def test_symmetric_to_the_last_bit_and_zero_for_equals(geometry, a, b):
    options = GEOMETRIES[geometry]
    forth = isf.wasserstein_1d(a, b, **options)
    assert forth == isf.wasserstein_1d(b, a, **options)
    assert forth >= 0
    assert isf.wasserstein_1d(a, a, **options) == 0
    assert isf.wasserstein_1d(a, 2 * np.array(a), **options) == 0


@pytest.mark.parametrize("geometry", GEOMETRIES)
@given(a=masses, b=masses, c=masses)
def test_triangle_inequality(geometry, a, b, c):
    options = GEOMETRIES[geometry]
    ab, bc, ac = (isf.wasserstein_1d(x, y, **options) for x, y in ((a, b), (b, c), (a, c)))
    # A rounding error of 2**-53 of the mass becomes its p-th root in W_p.
    p = options.get("p", 1)
    slack = 30 * 1e-12 ** (1 / p)
    if p != math.inf:
        assert ac <= (ab + bc) * (1 + 1e-12) + slack


def halving(rows, k):
    """Rows times 2**k, or None where that is not exact."""
    scaled = np.ldexp(rows, k)
    return (
        scaled if np.array_equal(np.ldexp(scaled, -k), rows) and np.isfinite(scaled).all() else None
    )


POWERS = (-1000, -900, -300, -101, -60, -1, 1, 52, 60, 99, 120, 300, 900)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("seed", range(12))
def test_scaling_the_masses_changes_no_bit(geometry, seed):
    options = GEOMETRIES[geometry]
    rng = np.random.default_rng(seed)
    a = rng.random(9)
    b = rng.random(9)
    if seed % 2:  # one total, but largest masses of different size
        a = np.rint(a * 2.0**48)
        b = a[::-1].copy()
        b[0] += b[1]
        b[1] = 0.0
    want = isf.wasserstein_1d(a, b, **options)
    for k in POWERS:
        x, y = halving(a, k), halving(b, k)
        if x is not None and y is not None:
            assert isf.wasserstein_1d(x, y, **options) == want, k
            assert isf.cdist([x], [y], **options)[0, 0] == want, k


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("p", [1, 2, 3, 2.5, math.inf])
@pytest.mark.parametrize("kind", ["any", "steps of 3", "steps of 1", "one place"])
def test_scaling_the_positions_scales_the_distance(kind, p, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 9))
    at = {
        "any": np.sort(np.rint(rng.normal(size=9) * 1000) / 64),
        "steps of 3": np.arange(9) * 3.0,
        "steps of 1": np.arange(9.0),
        "one place": np.full(9, 5.0),
    }[kind]
    want = isf.wasserstein_1d(a, b, at, p=p)
    for k in POWERS:
        scaled = halving(at, k)
        if scaled is not None:
            assert isf.wasserstein_1d(a, b, scaled, p=p) == math.ldexp(want, k), k


@pytest.mark.parametrize("seed", range(4))
def test_scaling_the_circle_scales_the_distance(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 9))
    at = np.sort(np.rint(rng.random(9) * 1000) / 64)
    want = isf.wasserstein_1d(a, b, at, circular=17.25)
    unit = isf.wasserstein_1d(a, b, circular=True)
    for k in POWERS:
        scaled = halving(at, k)
        if scaled is not None:
            got = isf.wasserstein_1d(a, b, scaled, circular=math.ldexp(17.25, k))
            assert got == math.ldexp(want, k), k
            got = isf.wasserstein_1d(a, b, np.ldexp(np.arange(9.0), k), circular=math.ldexp(9, k))
            assert got == math.ldexp(unit, k), k


def test_moving_whole_positions_changes_no_bit():
    a, b = counts(17)
    at = places(17)
    for p in (1, 2, 3, math.inf):
        want = isf.wasserstein_1d(a, b, at, p=p)
        assert isf.wasserstein_1d(a, b, at + 1000, p=p) == want
        assert isf.wasserstein_1d(a, b, at - 2**40, p=p) == want


@pytest.mark.parametrize("n", [1, 7, 16, 33])
def test_empty_bins_change_nothing(n):
    a, b = counts(n)
    at = places(n)
    more = np.sort(np.r_[at, at[:1] - 5, at[-1:] + 9, np.random.default_rng(n).integers(0, 40, 6)])
    rows = np.zeros((2, more.size), int)
    slots = np.searchsorted(more, at, side="left") + _ranks(at)
    rows[:, slots] = a, b
    assert isf.wasserstein_1d(*rows, more) == isf.wasserstein_1d(a, b, at)
    for p in (2, 3, math.inf):
        assert isf.wasserstein_1d(*rows, more, p=p) == pytest.approx(
            isf.wasserstein_1d(a, b, at, p=p), rel=1e-14
        )
    wide = np.pad([a, b], ((0, 0), (0, 40)))
    assert isf.wasserstein_1d(*wide) == isf.wasserstein_1d(a, b)
    floats = np.random.default_rng(n).random((2, n))
    assert isf.wasserstein_1d(*np.pad(floats, ((0, 0), (3, 40)))) == pytest.approx(
        isf.wasserstein_1d(*floats), rel=1e-14
    )


def _ranks(at):
    return np.array([i - int(np.searchsorted(at, x)) for i, x in enumerate(at)])


def test_mirrored_and_rotated():
    a, b = counts(33)
    assert isf.wasserstein_1d(a[::-1], b[::-1]) == isf.wasserstein_1d(a, b)
    want = isf.wasserstein_1d(a, b, circular=True)
    for k in (1, 5, 32):
        assert isf.wasserstein_1d(np.roll(a, k), np.roll(b, k), circular=True) == want
    assert want <= isf.wasserstein_1d(a, b)


# ---- ranges of masses ------------------------------------------------------------------------


def test_denormal_and_huge_masses():
    tiny = 5e-324
    for p in (1, 2, math.inf):
        assert isf.wasserstein_1d([tiny, 0, 0], [0, 0, tiny], p=p) == 2
        huge = 2.0**1023
        assert isf.wasserstein_1d([huge] * 3, [huge, huge, 0], p=p) == isf.wasserstein_1d(
            [1, 1, 1], [1, 1, 0], p=p
        )
        assert isf.wasserstein_1d([tiny, 0, 0], [0, 0, 1e308], p=p) == 2
    assert isf.wasserstein_1d([tiny, tiny], [tiny, 2 * tiny]) == true_w1(
        np.array([1, 1]), np.array([1, 2])
    )
    largest = np.full(300, np.finfo(float).max)
    assert isf.wasserstein_1d(largest, largest, circular=True) == 0
    assert isf.cdist([largest], [np.arange(300.0)])[0, 0] == pytest.approx(
        isf.wasserstein_1d(np.ones(300), np.arange(300.0)), rel=1e-13
    )


@pytest.mark.parametrize("n", [3, 16, 65])
def test_dynamic_range(n):
    rng = np.random.default_rng(n)
    a, b = 10.0 ** rng.uniform(-9, 9, (2, n))
    a[0], b[-1] = 1e9, 1e-9
    for scale in (1, 1e-200, 1e200):
        got = isf.wasserstein_1d(a * scale, b * scale)
        assert got == pytest.approx(true_w1(a, b), rel=1e-13)
    want = float(reference.coupling_cost(a.tolist(), b.tolist(), 2)) ** 0.5
    assert isf.wasserstein_1d(a, b, p=2) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_largest_exact_integers(dtype):
    a, b = np.array([2**53, 0, 1]).astype(dtype), np.array([0, 5, 2**53]).astype(dtype)
    assert isf.wasserstein_1d(a, b) == pytest.approx(true_w1(a, b), rel=1e-15)
    assert isf.wasserstein_1d(a[:2], a[1::-1]) == 1


def test_degenerate_histograms():
    assert isf.wasserstein_1d([5], [7]) == 0
    assert isf.wasserstein_1d([5], [7], [3.5]) == 0
    assert isf.wasserstein_1d([5], [7], circular=True) == 0
    assert isf.wasserstein_1d([5], [7], p=math.inf) == 0
    for options in ({}, {"p": 2}, {"p": math.inf}, {"circular": 3.0}):
        assert isf.wasserstein_1d([1, 2, 3], [3, 2, 1], [4, 4, 4], **options) == 0
    many = np.ones(100000)
    assert isf.wasserstein_1d(many, many) == 0
    assert isf.wasserstein_1d(many, 3 * many, p=2) == 0
    edge = np.zeros(100000)
    edge[-1] = 1
    assert isf.wasserstein_1d(edge[::-1], edge) == 99999
    assert isf.wasserstein_1d(edge[::-1], edge, circular=True) == 1


# ---- shapes and layouts ----------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"p": 2}, {"circular": True}])
def test_leading_dimensions_broadcast(options):
    rng = np.random.default_rng(0)
    a, b = rng.random((4, 1, 9)), rng.random((3, 9))
    got = isf.wasserstein_1d(a, b, **options)
    assert got.shape == (4, 3)
    assert got.dtype == np.float64
    for i in range(4):
        for j in range(3):
            assert got[i, j] == isf.wasserstein_1d(a[i, 0], b[j], **options)
    assert isf.wasserstein_1d(a[0, 0], b, **options).tolist() == got[0].tolist()
    assert isf.wasserstein_1d(a[:1], b[:1], **options).shape == (1, 1)
    assert isf.wasserstein_1d(np.ones((0, 9)), b[0], **options).shape == (0,)


def other_layouts(rows):
    yield "Fortran", np.asfortranarray(rows)
    yield "every second", np.repeat(rows, 2, axis=1)[:, ::2]
    yield "negative strides", np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1]
    unaligned = np.zeros(rows.nbytes + 1, np.uint8)[1:].view(rows.dtype).reshape(rows.shape)
    unaligned[:] = rows
    yield "unaligned", unaligned
    yield "byte-swapped", rows.astype(rows.dtype.newbyteorder())
    locked = rows.copy()
    locked.setflags(write=False)
    yield "read-only", locked
    yield "repeated by a stride of 0", np.broadcast_to(rows[0], rows.shape)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16", "uint32"])
def test_layouts_give_the_same_bits(dtype):
    rows = np.stack(counts(33)).astype(dtype)
    for name, view in other_layouts(rows):
        clean, before = np.array(view, dtype=dtype, order="C"), view.tobytes()
        want = isf.wasserstein_1d(clean[0], clean[1])
        assert isf.wasserstein_1d(view[0], view[1]) == want, name
        assert isf.cdist(view, view)[0, 1] == want, name
        assert isf.pdist(view)[0] == want, name
        assert view.tobytes() == before, name


def test_inputs_of_other_kinds():
    a, b = [3.0, 0.0, 1.0], [1.0, 1.0, 2.0]
    want = isf.wasserstein_1d(np.array(a), np.array(b))
    assert isf.wasserstein_1d(a, tuple(b)) == want
    assert isf.wasserstein_1d(array.array("d", a), memoryview(array.array("f", b))) == want
    assert isf.wasserstein_1d(np.ma.masked_array(a), np.ma.masked_invalid(b)) == want
    assert isf.wasserstein_1d(np.array(a).view(np.recarray), b) == want
    assert isf.wasserstein_1d(np.array(a, np.float16), b) == want
    assert isf.wasserstein_1d([True, False, True], [False, True, True]) == 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        assert isf.wasserstein_1d(np.matrix(a), np.matrix(b)).tolist() == [want]
    assert isf.wasserstein_1d([-0.0, 1], [0.0, 1]) == 0
    assert isf.wasserstein_1d([-0.0, 1], [1, -0.0]) == 1


# ---- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kind", ["whole", "float"])
def test_batches_have_the_bits_of_single_calls(isa, geometry, kind):
    options = GEOMETRIES[geometry]
    rng = np.random.default_rng(1)
    A = rng.integers(0, 20, (9, 9)) + 1.0 if kind == "whole" else rng.random((9, 9))
    B = A[::-1][:5] * 3
    want = [[isf.wasserstein_1d(a, b, **options) for b in B] for a in A]
    assert isf.cdist(A, B, **options).tolist() == want
    own = [
        isf.wasserstein_1d(A[i], A[j], **options)
        for i in range(len(A))
        for j in range(i + 1, len(A))
    ]
    assert isf.pdist(A, **options).tolist() == own
    square = scipy.spatial.distance.squareform(isf.pdist(A, **options))
    np.testing.assert_array_equal(square, isf.cdist(A, A, **options))


@pytest.mark.parametrize("cols", [1, 10, 16, 33, 256])
@pytest.mark.parametrize("options", [{}, {"circular": True}, {"p": 2}])
def test_threads_change_no_bit(cols, options):
    rng = np.random.default_rng(cols)
    rows = 100 if options else 700  # enough work that threads are started
    A = rng.random((rows, cols))
    full, condensed = (
        f(*x, threads=1, **options) for f, x in ((isf.cdist, (A, A)), (isf.pdist, (A,)))
    )
    for threads in (2, 3, 7, None):
        assert isf.cdist(A, A, threads=threads, **options).tobytes() == full.tobytes()
        assert isf.pdist(A, threads=threads, **options).tobytes() == condensed.tobytes()
    assert condensed.tobytes() == full[np.triu_indices(rows, 1)].tobytes()


def test_out():
    A, B = np.random.default_rng(0).random((2, 5, 7))
    out = np.full((5, 5), np.nan)
    assert isf.cdist(A, B, out=out) is out
    np.testing.assert_array_equal(out, isf.cdist(A, B))
    part = np.zeros((9, 5))
    isf.cdist(A, B, out=part[2:7])
    assert not part[:2].any()
    assert not part[7:].any()


def test_no_rows():
    assert isf.cdist(np.ones((0, 4)), np.ones((3, 4))).shape == (0, 3)
    assert isf.cdist(np.ones((3, 4)), np.ones((0, 4))).shape == (3, 0)
    assert isf.pdist(np.ones((0, 4))).shape == (0,)
    assert isf.pdist(np.ones((1, 4))).shape == (0,)


@pytest.mark.parametrize("n", SIZES)
def test_l1_of_cdf_vectors_is_w1(n):
    a, b = counts(n)
    rows = np.stack([a, b])
    for positions in (None, places(n)):
        want = isf.wasserstein_1d(a, b, positions)
        for dtype, digits in ((np.float64, 1e-13), (np.float32, 1e-5)):
            u, v = isf.cdf_vectors(rows, positions, dtype=dtype)
            assert u.dtype == dtype
            assert np.abs(u - v).sum(dtype=np.float64) == pytest.approx(
                want, rel=digits, abs=digits
            )
    stack = isf.cdf_vectors(np.ones((2, 3, n)))
    assert stack.shape == (2, 3, n)
    np.testing.assert_allclose(stack[1, 2], np.arange(1, n + 1) / n, rtol=1e-15)


def test_cdf_vectors_of_extreme_totals():
    u, v = isf.cdf_vectors([[5e-324, 0, 5e-324], [1e308, 1e308, 1e308]])
    assert u.tolist() == [0.5, 0.5, 1]
    np.testing.assert_allclose(v, [1 / 3, 2 / 3, 1], rtol=1e-15)
