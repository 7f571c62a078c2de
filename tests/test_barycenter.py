"""Barycentres and displacement interpolation on the line: the twin's fractions, and their laws."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast import barycenter
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError
from tests import reference_color as twin

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)


def rows_of(n, bins, seed=0, empty=0.3):
    """Whole-number masses with empty bins."""
    rng = np.random.default_rng((seed, n, bins))
    rows = rng.integers(1, 9, (n, bins)) * (rng.random((n, bins)) > empty)
    rows[:, rng.integers(bins)] += 1
    return rows


def mean_of(masses, positions=None):
    places = np.arange(len(masses)) if positions is None else positions
    return float(masses @ places / masses.sum())


@pytest.mark.parametrize("bins", SIZES)
def test_equals_the_twin(bins):
    places = np.sort(np.random.default_rng(bins).normal(size=bins))
    places[bins // 2 : bins // 2 + 2] = places[bins // 2]  # two bins at one place
    for n in (1, 2, 5):
        rows, weights = rows_of(n, bins), np.arange(1, n + 1)
        for positions in (None, places):
            found = isf.barycenter_1d(rows, weights, positions=positions)
            expected = twin.barycenter(rows.tolist(), weights.tolist(), positions)
            total = float((weights / weights.sum()) @ rows.sum(axis=1))
            wanted = [float(share) * total for share in expected]
            if positions is None:
                np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * total)
            else:  # a rounding may choose another one of equal places
                assert sum(map(Fraction, found.tolist())) == pytest.approx(total, rel=1e-12)
                merged = {}
                for place, mass, want in zip(places.tolist(), found, wanted, strict=True):
                    merged[place] = merged.get(place, 0) + mass - want
                assert max(map(abs, merged.values())) < 1e-11 * total


def test_two_dirac_masses_meet_in_the_middle():
    assert isf.barycenter_1d([[1, 0, 0], [0, 0, 1]]).tolist() == [0, 1, 0]
    found = isf.barycenter_1d([[1, 0, 0], [0, 0, 1]], positions=[0, 5, 6])
    np.testing.assert_allclose(found, [0.4, 0.6, 0], atol=1e-15)


def test_equal_rows_are_their_own_barycenter():
    row = rows_of(1, 64)[0]
    for rows in ([row], [row] * 2, [row] * 7):
        np.testing.assert_allclose(isf.barycenter_1d(rows), row, rtol=0, atol=1e-11)
    scaled = isf.barycenter_1d([row, 3 * row, 5 * row])
    np.testing.assert_allclose(scaled, 3 * row, rtol=0, atol=1e-11)


@given(st.integers(0, 2**32))
def test_totals_and_means_are_linear(seed):
    rng = np.random.default_rng(seed)
    n, bins = (int(x) for x in rng.integers(1, 30, 2))
    rows = rng.random((n, bins)) * (rng.random((n, bins)) > 0.5)
    rows[:, rng.integers(bins)] += 1e-3
    rows *= 10.0 ** rng.integers(-9, 9)
    weights = rng.random(n) * (rng.random(n) > 0.3)
    weights[rng.integers(n)] += 0.1
    places = None if seed % 2 else np.sort(rng.normal(size=bins))
    found = isf.barycenter_1d(rows, weights, positions=places)
    share = weights / weights.sum()
    assert found.sum() == pytest.approx(float(share @ rows.sum(axis=1)), rel=1e-12)
    assert (found >= 0).all()
    means = [mean_of(row, places) for row in rows]
    assert mean_of(found, places) == pytest.approx(float(share @ means), rel=1e-11, abs=1e-11)


def test_minimises_the_sum_of_squared_distances():
    """Against the entropic barycentre of POT, the mean of the rows, and shifted copies."""
    rows = np.zeros((3, 80))
    for row, (middle, wide) in zip(rows, ((15, 3), (30, 6), (60, 4)), strict=True):
        row[:] = np.exp(-0.5 * ((np.arange(80) - middle) / wide) ** 2)
    rows /= rows.sum(axis=1, keepdims=True)
    weights = np.array([0.5, 0.3, 0.2])

    def objective(candidate):
        distances = [isf.wasserstein_1d(candidate, row, p=2) for row in rows]
        return float(weights @ np.square(distances))

    found = isf.barycenter_1d(rows, weights)
    best = objective(found)
    cost = np.subtract.outer(np.arange(80), np.arange(80)) ** 2.0
    peer = ot.bregman.barycenter(rows.T, cost / cost.max(), 2e-3, weights)
    for other in (peer, weights @ rows, np.roll(found, 1), np.roll(found, -1)):
        assert best < objective(other)
    assert best == pytest.approx(objective(peer), rel=0.05)
    assert mean_of(found) == pytest.approx(float(weights @ [mean_of(row) for row in rows]))


def test_zero_weights_leave_rows_out():
    rows = rows_of(3, 17)
    found = isf.barycenter_1d(rows, [1, 0, 2])
    np.testing.assert_allclose(found, isf.barycenter_1d(rows[[0, 2]], [1, 2]), rtol=1e-12)


def test_order_of_rows_does_not_matter():
    rows = rows_of(20, 33)
    one, other = isf.barycenter_1d(rows), isf.barycenter_1d(rows[::-1])
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


def test_many_rows():
    rows = np.random.default_rng(0).random((300, 256))
    found = isf.barycenter_1d(rows)
    quantiles = (np.arange(20000) + 0.5) / 20000
    levels = np.cumsum(rows, axis=1) / rows.sum(axis=1, keepdims=True)
    mean = np.mean([np.searchsorted(level, quantiles) for level in levels], axis=0)
    shares = np.cumsum(found) / found.sum()
    # W1 between the mean of quantile functions and what stands on bins, sampled.
    assert np.abs(np.searchsorted(shares, quantiles) - mean).mean() < 0.6
    assert mean_of(found) == pytest.approx(mean.mean(), abs=1e-3)


# ---- displacement interpolation --------------------------------------------------------------


@pytest.mark.parametrize("p", [1, 2, 3])
def test_is_a_geodesic_where_the_steps_are_whole(p):
    """All displacements are multiples of 4, so nothing is split between bins."""
    a, b = np.zeros(41), np.zeros(41)
    a[[0, 8, 12]] = (2, 3, 1)
    b[[4, 20, 40]] = (1, 3, 2)
    whole = isf.wasserstein_1d(a, b, p=p)
    for t in (0.0, 0.25, 0.5, 0.75, 1.0):
        found = isf.interpolate_1d(a, b, t)
        assert isf.wasserstein_1d(a, found, p=p) == pytest.approx(t * whole, rel=1e-9, abs=1e-9)
        rest = isf.wasserstein_1d(found, b, p=p)
        assert rest == pytest.approx((1 - t) * whole, rel=1e-9, abs=1e-9)


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_is_a_geodesic_up_to_splitting(seed, t):
    rng = np.random.default_rng(seed)
    bins = int(rng.integers(1, 40))
    a, b = rows_of(2, bins, seed)
    for p in (1, 2):
        whole = isf.wasserstein_1d(a, b, p=p)
        found = isf.interpolate_1d(a, b, t)
        # Splitting moves mass by less than a bin, half a bin in the mean square.
        assert isf.wasserstein_1d(a, found, p=p) == pytest.approx(t * whole, abs=0.5 + 1e-9)
        assert isf.wasserstein_1d(found, b, p=p) == pytest.approx((1 - t) * whole, abs=0.5 + 1e-9)


def test_atoms_before_splitting_are_on_the_geodesic_exactly():
    a, b = rows_of(2, 33)
    places = np.sort(np.random.default_rng(0).normal(size=33))
    cdfs = np.cumsum([a, b], axis=1) / np.sum([a, b], axis=1)[:, None]
    for t in (0.1, 0.5, 0.9):
        points, masses = barycenter._quantile_mean(
            np.array([a, b]) > 0, cdfs, np.array([1 - t, t]), places
        )
        moved = isf.compat.scipy.wasserstein_distance(places, points, a, masses)
        assert moved == pytest.approx(t * isf.wasserstein_1d(a, b, places), rel=1e-12)


def test_ends_are_the_arguments():
    a, b = rows_of(2, 65)
    np.testing.assert_allclose(isf.interpolate_1d(a, b, 0), a, rtol=0, atol=1e-12 * a.sum())
    np.testing.assert_allclose(isf.interpolate_1d(a, b, 1), b, rtol=0, atol=1e-12 * b.sum())
    between = isf.interpolate_1d(a, b, 0.3)
    np.testing.assert_array_equal(between, isf.barycenter_1d([a, b], [0.7, 0.3]))
    assert between.sum() == pytest.approx(0.7 * a.sum() + 0.3 * b.sum(), rel=1e-12)


def test_any_layout():
    rows = rows_of(4, 33)
    plain = isf.barycenter_1d(rows)
    wide = np.zeros((8, 66), np.int64)
    wide[::2, ::2] = rows
    frozen = rows.astype(np.uint8)
    frozen.setflags(write=False)
    swapped = rows.astype(np.dtype(np.float64).newbyteorder())
    for view in (wide[::2, ::2], frozen, swapped, np.asfortranarray(rows), rows.tolist()):
        assert (isf.barycenter_1d(view) == plain).all()


def test_very_small_and_large_masses():
    rows = rows_of(3, 16)
    plain = isf.barycenter_1d(rows)
    for scale in (2.0**-1000, 2.0**1000):
        np.testing.assert_allclose(isf.barycenter_1d(rows * scale), plain * scale, rtol=1e-12)
    found = isf.barycenter_1d(rows, [1e307, 1e307, 1e307])
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (([1, 2, 3],), {}, InvalidInputError, r"histograms must have two dimensions"),
        ((np.zeros((0, 3)),), {}, InvalidInputError, r"histograms has no rows.*\(0, 3\)"),
        ((np.zeros((3, 0)),), {}, InvalidInputError, "histograms has no bins"),
        (([[1, 2], [0, 0]],), {}, InvalidInputError, r"histograms\[1\] has no mass"),
        (([[1, 2], [1, -1]],), {}, InvalidInputError, r"histograms\[1, 1\] is -1"),
        (([[1, np.nan]],), {}, InvalidInputError, r"histograms\[0, 1\] is NaN"),
        (([[1, np.inf]],), {}, InvalidInputError, r"histograms\[0, 1\] is inf"),
        (([[1, 1], [1e308, 1e308]],), {}, OutOfRangeError, r"the total of histograms\[1\]"),
        (([["a"]],), {}, InvalidTypeError, "histograms must hold"),
        (([[1, 2]], [1, 2]), {}, InvalidInputError, r"weights must have shape \(1,\).*\(2,\)"),
        (([[1, 2]] * 2, [0, 0]), {}, InvalidInputError, "weights has no mass"),
        (([[1, 2]] * 2, [1, -1]), {}, InvalidInputError, r"weights\[1\] is -1"),
        (([[1, 2]] * 2, [1, np.nan]), {}, InvalidInputError, r"weights\[1\] is NaN"),
        (([[1, 2]] * 2, [1e308] * 2), {}, OutOfRangeError, "the total of weights is beyond"),
        (([[1, 2]],), {"positions": [1, 0]}, InvalidInputError, "positions must be sorted"),
        (([[1, 2]],), {"positions": [0, 1, 2]}, InvalidInputError, r"positions .* \(2,\)"),
        (([[1, 2]],), {"positions": [-1e308, 1e308]}, InvalidInputError, "positions span"),
    ],
)
def test_bad_arguments_of_barycenter(arguments, options, error, text):
    with pytest.raises(error, match=text):
        isf.barycenter_1d(*arguments, **options)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([[1, 2]], [1, 2], 0.5), InvalidInputError, r"a must have one dimension"),
        (([1, 2], [[1, 2]], 0.5), InvalidInputError, r"b must have one dimension"),
        (([1, 2], [1, 2, 3], 0.5), InvalidInputError, "same number of bins, got 2 and 3"),
        (([1, 2], [0, 0], 0.5), InvalidInputError, "b has no mass"),
        (([1, np.nan], [1, 1], 0.5), InvalidInputError, r"a\[1\] is NaN"),
        (([1e308, 1e308], [1, 1], 0.5), OutOfRangeError, "the total of a is"),
        (([1, 2], [1, 1], 1.01), InvalidInputError, r"t must be in 0 \.\.\. 1, got 1\.01"),
        (([1, 2], [1, 1], np.nan), InvalidInputError, "t must be"),
        (([1, 2], [1, 1], None), InvalidTypeError, "t must be a number, got None"),
    ],
)
def test_bad_arguments_of_interpolate(arguments, error, text):
    with pytest.raises(error, match=text):
        isf.interpolate_1d(*arguments)
