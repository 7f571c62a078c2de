"""Comparison of histograms: formulas in rational numbers, defined values, batches, bad input."""

from __future__ import annotations

import math
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.comparison import METHODS
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError
from tests import reference_comparison as reference

SIZES = (1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65)
TYPES = ("float64", "float32", "uint32", "int64", "uint8", "int32", "float16", "bool", "uint64")
DISTANCES = ("chi2", "chi2-alt", "bhattacharyya", "kl")


def counts(bins, seed, kind="float64"):
    """Counts with empty bins."""
    rng = np.random.default_rng((seed, bins))
    values = rng.integers(0, 2 if kind == "bool" else 60, bins) * (rng.random(bins) < 0.8)
    return values.astype(kind)


def assert_close(found, expected, scale=1.0):
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * scale)


def scale_of(a, b, method, normalize):
    """What rounding errors are measured by: sums of terms of both signs may cancel."""
    if method != "kl":
        return 1.0
    return 25.0 if normalize else 25.0 * float(np.sum(a, dtype=float))


# ---- the formulas ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("normalize", [False, True])
def test_formulas_on_every_instruction_set(isa, method, normalize):
    for bins in SIZES:
        for a, b in (
            (counts(bins, 1), counts(bins, 2)),
            (counts(bins, 1) / 3, counts(bins, 2) * 1e-5),
            (counts(bins, 3) + 1, 1000 * counts(bins, 4)),
        ):
            found = isf.compare_histograms(a, b, method, normalize=normalize)
            expected = reference.comparison(a, b, method, normalize)
            assert_close(found, expected, scale_of(a, b, method, normalize))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", TYPES)
def test_types(method, kind):
    a, b = counts(40, 1, kind), counts(40, 2, kind)
    expected = reference.comparison(a.tolist(), b.tolist(), method)
    scale = scale_of(a, b, method, False)
    assert_close(isf.compare_histograms(a, b, method), expected, scale)
    assert_close(isf.compare_histograms(a.tolist(), b.astype(float), method), expected, scale)


@pytest.mark.parametrize("method", METHODS)
def test_shapes_and_strides_do_not_matter(method):
    a, b = counts(8 * 9 * 7, 1), counts(8 * 9 * 7, 2)
    plain = isf.compare_histograms(a, b, method)
    cube = (8, 9, 7)
    assert isf.compare_histograms(a.reshape(cube), b.reshape(cube), method) == plain
    apart = np.zeros((2 * a.size, 2))
    apart[::2, 0] = a
    assert isf.compare_histograms(apart[::2, 0], b, method) == plain
    backwards = a[::-1].copy()[::-1]
    assert isf.compare_histograms(backwards, b.astype(">f8"), method) == plain
    assert (
        isf.compare_histograms(np.asfortranarray(a.reshape(cube)), b.reshape(cube), method) == plain
    )
    raw = np.zeros(8 * a.size + 1, np.uint8)[1:].view(np.float64)  # unaligned
    raw[:] = a
    raw.setflags(write=False)
    assert isf.compare_histograms(raw, b, method) == plain


@pytest.mark.parametrize("method", METHODS)
def test_many_bins(method):
    """More than one block: equal to math.fsum over the terms."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 5000)) + 0.01
    sums = {
        "chi2": lambda: math.fsum((a - b) ** 2 / a),
        "chi2-alt": lambda: 2 * math.fsum((a - b) ** 2 / (a + b)),
        "intersection": lambda: math.fsum(np.minimum(a, b)),
        "bhattacharyya": lambda: math.sqrt(
            math.fsum((np.sqrt(a / math.fsum(a)) - np.sqrt(b / math.fsum(b))) ** 2) / 2
        ),
        "kl": lambda: math.fsum(a * np.log(a / b)),
        "correlation": lambda: math.fsum(
            (a - math.fsum(a) / 5000) * (b - math.fsum(b) / 5000)
        ) / math.sqrt(
            math.fsum((a - math.fsum(a) / 5000) ** 2) * math.fsum((b - math.fsum(b) / 5000) ** 2)
        ),
    }  # fmt: skip
    assert_close(isf.compare_histograms(a, b, method), sums[method]())
    for kind in (np.float32, np.int64, np.uint32):
        c, d = (1e6 * a).astype(kind), (1e6 * b).astype(kind)
        whole = isf.compare_histograms(c.astype(float), d.astype(float), method)
        assert isf.compare_histograms(c, d, method) == whole


@pytest.mark.parametrize("offset", [0, 1e6, 1e12, 1e15])
@pytest.mark.parametrize("step", [1, 1e-3])
def test_nearly_constant_histograms_correlate_exactly(offset, step):
    """OpenCV loses all digits here (opencv#29706)."""
    rng = np.random.default_rng(1)
    a, b = offset + step * rng.integers(0, 9, (2, 500))
    assert_close(isf.compare_histograms(a, b), reference.comparison(a, b, "correlation"))


@pytest.mark.parametrize("closeness", [1e-3, 1e-6, 1e-9, 1e-13])
def test_close_histograms_keep_their_distance(closeness):
    """sqrt(1 - sum) would round the smallest distances to 0 or 1e-8."""
    rng = np.random.default_rng(2)
    a = rng.random(100) + 0.5
    b = a * (1 + closeness * rng.normal(size=100))
    found = isf.compare_histograms(a, b, "bhattacharyya")
    # To first order the distance is |relative difference of shares| / sqrt 8.
    p, q = np.array(a / a.sum()), np.array(b / b.sum())
    about = math.sqrt(float(np.sum((p - q) ** 2 / p)) / 8)
    assert found == pytest.approx(about, rel=1e-2 + 1e-15 / closeness)
    assert found == pytest.approx(reference.comparison(a, b, "bhattacharyya"), abs=1e-15)


@given(
    st.lists(
        st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)), min_size=1, max_size=40
    ),
    st.sampled_from(sorted(METHODS)),
    st.booleans(),
)  # fmt: skip
def test_any_counts(pairs, method, normalize):
    a, b = (list(side) for side in zip(*pairs, strict=True))
    found = isf.compare_histograms(a, b, method, normalize=normalize)
    expected = reference.comparison(a, b, method, normalize)
    assert_close(found, expected, scale_of(a, b, method, normalize))


@pytest.mark.parametrize("exponent", [-1000, -300, -100, 100, 300, 1000])
@pytest.mark.parametrize("method", ["correlation", "bhattacharyya"])
def test_powers_of_two_change_nothing(method, exponent):
    a, b = counts(50, 1), counts(50, 2)
    plain = isf.compare_histograms(a, b, method)
    assert isf.compare_histograms(np.ldexp(a, exponent), b, method) == plain
    assert isf.compare_histograms(a, np.ldexp(b, exponent), method) == plain
    assert isf.compare_histograms(np.ldexp(a, exponent), np.ldexp(b, -exponent), method) == plain


def test_powers_of_two_change_no_share():
    a, b = counts(50, 1), counts(50, 2)
    for method in METHODS:
        plain = isf.compare_histograms(a, b, method, normalize=True)
        scaled = isf.compare_histograms(np.ldexp(a, 900), np.ldexp(b, -900), method, normalize=True)
        assert scaled == plain


# ---- defined values --------------------------------------------------------------------------

EMPTY, CONSTANT, VARYING = np.zeros(8), np.full(8, 3.7), np.arange(8.0)


@pytest.mark.parametrize("method", METHODS)
def test_itself(method):
    rng = np.random.default_rng(3)
    for bins in (*SIZES, 512, 1500):
        for a in (rng.random(bins), rng.integers(0, 9, bins), 1e-200 * rng.random(bins)):
            for normalize in (False, True):
                found = isf.compare_histograms(a, a.copy(), method, normalize=normalize)
                if method in DISTANCES:
                    assert found == 0.0
                elif method == "correlation" or normalize:
                    assert found == 1.0
                else:
                    assert found == pytest.approx(math.fsum(a), rel=1e-15)


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [(EMPTY, EMPTY, 1), (CONSTANT, CONSTANT, 1), (CONSTANT, 9 * CONSTANT, 1),
     (CONSTANT, EMPTY, 0), (EMPTY, VARYING, 0), (CONSTANT, VARYING, 0), (CONSTANT, -CONSTANT, 0),
     (EMPTY[:1], EMPTY[:1], 1), (VARYING, -VARYING, -1), (VARYING, 2 * VARYING + 5, 1)],
)  # fmt: skip
def test_correlation_without_variation(a, b, value):
    assert isf.compare_histograms(a, b) == value
    assert isf.compare_histograms(b, a) == value


def test_constants_that_do_not_add_up_exactly():
    """0.1 ten times: the mean is not 0.1, but there is no variation."""
    tenth = np.full(10, 0.1)
    assert isf.compare_histograms(tenth, np.full(10, 0.7)) == 1
    assert isf.compare_histograms(tenth, np.arange(10.0)) == 0


@pytest.mark.parametrize(
    ("method", "both_empty", "first_empty", "second_empty"),
    [("chi2", 0, 0, 28), ("chi2-alt", 0, 56, 56), ("intersection", 0, 0, 0),
     ("bhattacharyya", 0, 1, 1), ("kl", 0, 0, reference.comparison(VARYING, EMPTY, "kl"))],
)  # fmt: skip
def test_empty_histograms(method, both_empty, first_empty, second_empty):
    assert isf.compare_histograms(EMPTY, EMPTY, method) == both_empty
    assert isf.compare_histograms(EMPTY, VARYING, method) == first_empty
    assert_close(isf.compare_histograms(VARYING, EMPTY, method), second_empty)


@pytest.mark.parametrize(
    ("method", "both_empty", "first_empty", "second_empty"),
    [("chi2", 0, 0, 1), ("chi2-alt", 0, 2, 2), ("intersection", 1, 0, 0),
     ("bhattacharyya", 0, 1, 1), ("correlation", 1, 0, 0)],
)  # fmt: skip
def test_empty_histograms_normalised(method, both_empty, first_empty, second_empty):
    assert isf.compare_histograms(EMPTY, EMPTY, method, normalize=True) == both_empty
    assert isf.compare_histograms(EMPTY, VARYING, method, normalize=True) == first_empty
    found = isf.compare_histograms(VARYING, EMPTY, method, normalize=True)
    assert found == pytest.approx(second_empty, rel=1e-15)


def test_chi2_looks_at_the_bins_of_a():
    assert isf.compare_histograms(EMPTY, np.ones(8), "chi2") == 0
    assert isf.compare_histograms(np.ones(8), EMPTY, "chi2") == 8


def test_no_common_bin():
    a, b = [1, 0, 2, 0], [0, 5, 0, 1]
    assert isf.compare_histograms(a, b, "bhattacharyya") == 1
    assert isf.compare_histograms(a, b, "intersection") == 0
    assert isf.compare_histograms(a, b, "chi2-alt") == 18


@pytest.mark.parametrize("method", METHODS)
def test_sizes_of_images_do_not_matter_when_normalised(method):
    """Four times, three times the pixels of each bin: exactly as the image itself."""
    a = counts(300, 5, "uint32")
    expected = 0.0 if method in DISTANCES else 1.0
    for times in (4, 3, 7):
        found = isf.compare_histograms(a, times * a, method, normalize=True)
        assert found == (pytest.approx(1, rel=1e-15) if method == "correlation" else expected)


def test_names():
    a, b = counts(9, 1), counts(9, 2)
    hellinger = isf.compare_histograms(a, b, "hellinger")
    assert hellinger == isf.compare_histograms(a, b, "bhattacharyya")
    assert tuple(METHODS) == _core.COMPARISONS


# ---- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "method", "message"),
    [([1, math.nan], [1, 2], "chi2", r"a\[1\] is NaN"),
     ([1, 2], [[1, 2], [3, 4]], "chi2", r"same shape, got \(2,\) and \(2, 2\)"),
     ([1, 2], [math.inf, 2], "correlation", r"b\[0\] is inf"),
     ([1, 2], [3, -2], "kl", r"b\[1\] is -2.0.*'kl'"),
     ([[-1, 2]], [[3, 2]], "bhattacharyya", r"a\[0, 0\] is -1.0.*not negative"),
     ([], [], "chi2", "a has no bins"),
     ([2**53 + 1], [1], "chi2", r"a\[0\] is 9007199254740993"),
     (np.array([-2**63]), [1], "chi2", r"a\[0\] is -9223372036854775808"),
     ([1], [1], "chisquare", "method is 'chisquare'; known are 'correlation'"),
     (np.ma.masked_equal([1, 2], 2), [1, 2], "chi2", "a is a masked array")],
)  # fmt: skip
def test_bad_values(a, b, method, message):
    with pytest.raises(InvalidInputError, match=message):
        isf.compare_histograms(a, b, method)


@pytest.mark.parametrize(
    ("a", "b", "method", "message"),
    [(["x"], [1], "chi2", "a must hold booleans"), ([1j], [1], "chi2", "a must hold"),
     ([1], [1], 0, "method must be one of"), ([1], [1], ["chi2"], "method must be one of"),
     ([[1], [1, 2]], [1], "chi2", "a cannot be seen as an array"),
     (np.array([1], np.longdouble), [1], "chi2", "a must hold")],
)  # fmt: skip
def test_bad_types(a, b, method, message):
    with pytest.raises(InvalidTypeError, match=message):
        isf.compare_histograms(a, b, method)


def test_negative_numbers_where_they_have_a_meaning():
    a, b = np.array([-1.0, 2, 3]), np.array([4.0, -5, 6])
    for method in ("correlation", "chi2", "chi2-alt", "intersection"):
        assert_close(isf.compare_histograms(a, b, method), reference.comparison(a, b, method))
    for method in METHODS:
        if method != "correlation":
            with pytest.raises(InvalidInputError, match="not negative"):
                isf.compare_histograms(a, b, method, normalize=True)


@pytest.mark.parametrize(
    ("a", "b", "method"),
    [([1e-300, 1], [1e200, 1], "chi2"), ([1.7e308, 0], [0, 1.0], "chi2-alt"),
     ([1.7e308, 1.7e308], [1.7e308, 1.7e308], "intersection")],
)  # fmt: skip
def test_beyond_the_range(a, b, method):
    with pytest.raises(OutOfRangeError, match="beyond the range"):
        isf.compare_histograms(a, b, method)


def test_large_and_small_numbers_within_the_range():
    a, b = np.array([1e300, 2e300]), np.array([2e300, 1e300])
    assert isf.compare_histograms(a, b, "chi2") == pytest.approx(1.5e300, rel=1e-14)
    assert isf.compare_histograms(a, b) == -1
    assert isf.compare_histograms([1e-320, 0], [1e-320, 0], "bhattacharyya") == 0
    assert isf.compare_histograms([1e300], [1e-300], "kl") == pytest.approx(
        1e300 * 600 * math.log(10), rel=1e-14
    )


@pytest.mark.parametrize(
    ("a", "b", "method", "normalize"),
    [([1, 1], [1e150, 1e-200], "kl", True), ([1e-27, 1e-27], [1e-27, 1e-295], "kl", True),
     ([1e-27, 1e-27], [2e-27, 5e-320], "kl", True), ([1e-200, 1e150], [3, 4], "kl", True),
     ([1e302], [2e302], "chi2", False), ([1.7e308, 3], [1.6e308, 1], "chi2-alt", False),
     ([1.7e308, 0], [1.7e308, 1], "chi2-alt", False),
     ([5e-324], [1e-10], "chi2", False), ([5e-324, 1], [1e-10, 1], "chi2", False),
     ([1e-200, 3e-200], [4e-200, 2e-200], "chi2-alt", False),
     ([1e-100, 1e250], [1e-90, 1e250], "chi2", True),
     ([1e-200, 1e150], [1e-190, 2e150], "chi2-alt", True)],
)  # fmt: skip
def test_what_leaves_the_range_on_the_way(isa, a, b, method, normalize):
    expected = reference.comparison(a, b, method, normalize)
    found = isf.compare_histograms(a, b, method, normalize=normalize)
    assert found == pytest.approx(expected, rel=1e-13)
    assert isf.compare_histograms(a, a, method, normalize=normalize) == 0


def test_a_share_below_the_range_is_not_left_out():
    with pytest.raises(OutOfRangeError, match="beyond the range"):
        isf.compare_histograms([1e-200, 1e150], [1, 1], "chi2", normalize=True)


# ---- one against many ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["float64", "float32", "uint32", "int64"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_rows_are_pairs(method, normalize, kind):
    for bins in (1, 17, 512, 1025):
        rows = np.array([counts(bins, seed, kind) for seed in range(20)])
        rows[3] = 0
        for threads in (1, 3):
            found = _core.compare_dense_many(METHODS[method], normalize, rows[1], rows, threads)
            for value, row in zip(found, rows, strict=True):
                assert value == isf.compare_histograms(rows[1], row, method, normalize=normalize)
    assert _core.compare_dense_many(METHODS[method], normalize, rows[1], rows[:0], 2).shape == (0,)


def test_the_lowest_bad_row_is_named():
    rows = np.ones((50000, 8))
    rows[[49999, 31000, 400]] = np.nan
    for threads in (1, 2, 5):
        with pytest.raises(_core.BadHistogramError) as caught:
            _core.compare_dense_many(METHODS["chi2"], False, rows[0], rows, threads)
        assert (caught.value.which, caught.value.row) == (1, 400)
    with pytest.raises(_core.BadHistogramError) as caught:
        _core.compare_dense_many(METHODS["chi2"], False, rows[400], rows, 2)
    assert (caught.value.which, caught.value.row) == (0, 0)
    rows = np.full((9, 2), 1e-300)
    rows[5] = 1e200
    with pytest.raises(_core.BadHistogramError) as caught:
        _core.compare_dense_many(METHODS["chi2"], False, rows[0], rows, 2)
    assert (caught.value.which, caught.value.row) == (None, 5)


@pytest.mark.parametrize(
    "call",
    ["compare_dense(9, False, F, F)", "compare_dense(-1, False, F, F)",
     "compare_dense(0, False, F, F[:3])", "compare_dense(0, False, F, F.astype('f2'))",
     "compare_dense(0, False, F[::2], F[::2])", "compare_dense(0, False, F[:0], F[:0])",
     "compare_dense_many(0, False, F, F, 1)", "compare_dense_many(0, False, F[:3], M, 1)",
     "compare_dense_many(0, False, F, M[:, ::2], 1)", "compare_dense_many(6, False, F, M, 1)"],
)  # fmt: skip
def test_the_core_refuses_what_it_cannot_read(call):
    names = {"F": np.ones(8), "M": np.ones((4, 8)), "np": np}
    with pytest.raises(TypeError):
        eval(f"core.{call}", {"core": _core, **names})


def test_python_threads_get_the_same_bits():
    rows = np.random.default_rng(0).random((300, 700))

    def work():
        return [
            _core.compare_dense_many(m, True, rows[0], rows, 2).tobytes()
            for m in range(len(METHODS))
        ]

    want, answers = work(), []
    crew = [threading.Thread(target=lambda: answers.append(work())) for _ in range(4)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert answers == [want] * 4


INTERRUPT = """
import signal, threading, time, os, sys
import numpy as np
from imgsim_fast import _core
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
begin = time.monotonic()
try:
    for _ in range(200):
        _core.compare_dense_many(5, False, np.ones(512), np.ones((40000, 512)), 2)
except KeyboardInterrupt:
    sys.exit(0 if time.monotonic() - begin < 3 else 1)
sys.exit(2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent with os.kill")
def test_ctrl_c_stops_a_batch():
    done = subprocess.run([sys.executable, "-c", INTERRUPT], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_bin_of_nothing_does_not_cost_kl_its_digits(isa):
    """A denormal bin sends its neighbours the slow way, where nearly equal bins cancel too."""
    near = 4096.0 * (1 + 1e-9)
    with_it = isf.compare_histograms([4096.0, 5e-324], [near, 5e-324], "kl")
    assert with_it == pytest.approx(isf.compare_histograms([4096.0], [near], "kl"), rel=1e-14)
    assert with_it == pytest.approx(reference.comparison([4096.0], [near], "kl"), rel=1e-12)
