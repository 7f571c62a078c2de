"""compat.scipy against the SciPy that is installed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast.compat.scipy import wasserstein_distance
from imgsim_fast.errors import InvalidInputError

theirs = scipy.stats.wasserstein_distance


@pytest.mark.parametrize("n", [1, 2, 3, 8, 17, 65, 300])
@pytest.mark.parametrize("m", [1, 2, 9, 64])
def test_random_samples(n, m):
    rng = np.random.default_rng((n, m))
    for scale in (1.0, 1e-5, 1e8):
        u, v = rng.normal(size=n) * scale, rng.normal(size=m) * scale
        u_w, v_w = rng.random(n) + 1e-3, rng.random(m) + 1e-3
        for args in ((u, v), (u, v, u_w), (u, v, None, v_w), (u, v, u_w, v_w)):
            assert wasserstein_distance(*args) == pytest.approx(
                theirs(*args), rel=1e-12, abs=1e-14 * scale
            )


whole = st.integers(-20, 20)
sample = st.lists(st.tuples(whole, st.integers(0, 5)), min_size=1, max_size=20).filter(
    lambda points: any(weight for _, weight in points)
)


@given(sample, sample)
def test_samples_with_ties_and_zero_weights(x, y):
    (u, u_w), (v, v_w) = zip(*x, strict=True), zip(*y, strict=True)
    got = wasserstein_distance(u, v, u_w, v_w)
    assert got == pytest.approx(theirs(u, v, u_w, v_w), rel=1e-12, abs=1e-13)
    assert got == wasserstein_distance(v, u, v_w, u_w)
    assert wasserstein_distance(u, u, u_w, u_w) == 0


def test_examples_of_the_documentation():
    assert wasserstein_distance([0, 1, 3], [5, 6, 8]) == 5.0
    assert wasserstein_distance([0, 1], [0, 1], [3, 1], [2, 2]) == 0.25
    args = ([3.4, 3.9, 7.5, 7.8], [4.5, 1.4], [1.4, 0.9, 3.1, 7.2], [3.2, 3.5])
    assert wasserstein_distance(*args) == pytest.approx(4.0781331438047861, rel=1e-15)


def test_values_are_not_histograms():
    counts = [0, 1, 3], [5, 6, 8]
    bins = [0, 1, 2]
    as_counts = wasserstein_distance(bins, bins, *counts)
    assert as_counts == pytest.approx(isf.wasserstein_1d(*counts), rel=1e-15)
    assert wasserstein_distance(*counts) == theirs(*counts) == 5
    assert as_counts != 5


def test_kinds_of_input():
    assert type(wasserstein_distance([1], [2])) is float
    for u in (
        [3, 1, 2],
        (3.0, 1, 2),
        np.array([3, 1, 2], np.uint8),
        np.array([2.0, 0, 1])[::-1] + 1,
    ):
        assert wasserstein_distance(u, [1.5]) == pytest.approx(theirs(u, [1.5]), rel=1e-15)
    assert wasserstein_distance([True, False], [False]) == 0.5
    # The weights are normalised: their unit is of no account.
    for k in (-1000, -500, 0, 500, 1000):
        w = np.ldexp([1.0, 3.0], k)
        assert wasserstein_distance([0, 1], [0, 1], w, [2, 2]) == 0.25, k


def test_unaligned_and_byte_swapped():
    values = np.random.default_rng(0).random((4, 9))
    want = wasserstein_distance(*values)
    for view in (values.astype(">f8"), np.asfortranarray(values), _unaligned(values)):
        assert wasserstein_distance(*view) == want


def _unaligned(values):
    view = np.zeros(values.nbytes + 1, np.uint8)[1:].view(values.dtype).reshape(values.shape)
    view[:] = values
    return view


def test_not_a_number_and_infinity():
    assert math.isnan(wasserstein_distance([1, math.nan], [1, 2]))
    assert math.isnan(wasserstein_distance([1, 2], [math.nan]))
    assert wasserstein_distance([1, math.inf], [1, 2]) == math.inf


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (([], [1]), "u_values"),
        (([1], []), "v_values"),
        (([1, 2], [1], [1]), "u_weights .*2 values, got 1"),
        (([1, 2], [1], [1, -1]), r"u_weights\[1\] is -1\.0"),
        (([1, 2], [1], [0, 0]), r"u_weights .*0\.0"),
        (([1], [1, 2], None, [1, np.inf]), r"v_weights\[1\] is inf"),
        (([1], [1, 2], None, [1e308, 1e308]), "v_weights .*inf"),
        (([[1, 2]], [1]), r"u_values .*\(1, 2\)"),
    ],
)
def test_mistakes_are_value_errors_in_both(args, message):
    with pytest.raises(InvalidInputError, match=message):
        wasserstein_distance(*args)
    with (
        pytest.raises(ValueError),
        np.errstate(all="ignore"),
    ):
        theirs(*args)


@pytest.mark.parametrize("bad", [["a"], [1j], [None], np.zeros(1, "M8[s]"), [[1], [1, 2]]])
def test_other_types_are_refused(bad):
    with pytest.raises(TypeError, match="u_values"):
        wasserstein_distance(bad, [1])
    with pytest.raises(TypeError, match="v_weights"):
        wasserstein_distance([1], [1], None, bad)


def test_a_weight_that_is_not_a_number_is_named():
    with pytest.raises(InvalidInputError, match=r"v_weights\[1\] is nan"):
        wasserstein_distance([1, 2], [1, 2], None, [1, np.nan])
