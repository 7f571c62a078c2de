"""Mistakes in calls of the distances: typed errors that name the element and its value."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

nan, inf = float("nan"), float("inf")
GOOD = [1.0, 2.0, 3.0]

# (bad row, what the message must say of its element): faults A1 to A4 and A17.
BAD_ROWS = {
    "NaN": ([1, nan, 3], r"\[{i}1\] is NaN"),
    "-NaN": ([1, 3, -nan], r"\[{i}2\] is NaN"),
    "inf": ([inf, 2, 3], r"\[{i}0\] is inf"),
    "-inf": ([1, 2, -inf], r"\[{i}2\] is -inf"),
    "inf - inf": ([inf, -inf, 3], r"\[{i}0\] is inf"),
    "negative": ([1, -2, 3], r"\[{i}1\] is -2\.0"),
    "hardly negative": ([1, 2, -1e-300], r"\[{i}2\] is -1e-300"),
    "denormal negative": ([1, -5e-324, 3], r"\[{i}1\] is -5e-324"),
    "negative cancels": ([1, -1, 0], r"\[{i}1\] is -1\.0"),
    "huge and NaN": ([1e308, 1e308, nan], r"\[{i}2\] is NaN"),
    "no mass": ([0, 0, 0], "{row} has no mass"),
    "no mass, signed zeros": ([0.0, -0.0, 0.0], "{row} has no mass"),
}


@pytest.mark.parametrize("options", [{}, {"p": 2}, {"circular": True}, {"positions": [0, 1, 5]}])
@pytest.mark.parametrize("name", BAD_ROWS)
def test_bad_masses_are_named(isa, name, options):
    row, says = BAD_ROWS[name]
    single = says.format(i="", row="")
    for kind in (np.array, list, lambda x: np.array(x)[None].repeat(1, 0)[0]):
        with pytest.raises(InvalidInputError, match="^a" + single):
            isf.wasserstein_1d(kind(row), GOOD, **options)
        with pytest.raises(InvalidInputError, match="^b" + single):
            isf.wasserstein_1d(np.array(GOOD), kind(row), **options)
    with pytest.raises(InvalidInputError, match="^a" + single):  # both are bad
        isf.wasserstein_1d(row, row, **options)
    in_row_4 = says.format(i="4, ", row=r"\[4\]")
    rows = np.array([GOOD] * 20)
    rows[[4, 11]] = row
    for call, who in (
        (lambda: isf.cdist(rows, [GOOD], **options), "A"),
        (lambda: isf.cdist([GOOD], rows, **options), "B"),
        (lambda: isf.pdist(rows, **options), "A"),
        (lambda: isf.wasserstein_1d(GOOD, rows, **options), "b"),
        (lambda: isf.cdf_vectors(rows), "histograms"),
    ):
        with pytest.raises(InvalidInputError, match="^" + who + in_row_4):
            call()
    deep = says.format(i="0, 4, ", row=r"\[0, 4\]")
    with pytest.raises(InvalidInputError, match="^a" + deep):
        isf.wasserstein_1d(rows.reshape(2, 10, 3), GOOD, **options)


def refused(dtype):
    return np.ones(3).astype(dtype)


MISTAKES = {
    # A5: nothing to compare
    "empty": (InvalidInputError, r"a has no bins.*\(0,\)", lambda: isf.wasserstein_1d([], [])),
    "empty rows": (InvalidInputError, r"A has no bins.*\(4, 0\)",
                   lambda: isf.cdist(np.ones((4, 0)), np.ones((4, 0)))),
    "scalar": (InvalidInputError, "a must .*scalar 3", lambda: isf.wasserstein_1d(3, 4)),
    "empty, one side": (InvalidInputError, r"b has no bins",
                        lambda: isf.wasserstein_1d(GOOD, [])),
    # A12: shapes
    "lengths": (InvalidInputError, r"a and b .*3 and 2.*\(3,\).*\(2,\)",
                lambda: isf.wasserstein_1d(GOOD, [1, 2])),
    "lengths, arrays": (InvalidInputError, r"a and b .*3 and 2",
                        lambda: isf.wasserstein_1d(np.ones(3), np.ones(2))),
    "columns": (InvalidInputError, r"A and B .*3 and 4",
                lambda: isf.cdist(np.ones((2, 3)), np.ones((2, 4)))),
    "1-D to cdist": (InvalidInputError, r"A .*\(3,\)", lambda: isf.cdist(GOOD, [GOOD])),
    "3-D to pdist": (InvalidInputError, r"A .*\(1, 1, 3\)", lambda: isf.pdist([[GOOD]])),
    "broadcast": (InvalidInputError, r"broadcast.*\(2,\).*\(3,\)",
                  lambda: isf.wasserstein_1d(np.ones((2, 3)), np.ones((3, 3)))),
    # A13, A15: types
    "complex": (InvalidTypeError, "a .*complex", lambda: isf.wasserstein_1d(refused("c16"), GOOD)),
    "object": (InvalidTypeError, "b .*object", lambda: isf.wasserstein_1d(GOOD, refused(object))),
    "text": (InvalidTypeError, "a .*<U", lambda: isf.wasserstein_1d(["1", "2", "3"], GOOD)),
    "bytes": (InvalidTypeError, "a .*S1", lambda: isf.wasserstein_1d(refused("S1"), GOOD)),
    "date": (InvalidTypeError, "a .*datetime64",
             lambda: isf.wasserstein_1d(np.zeros(3, "M8[s]"), GOOD)),
    "duration": (InvalidTypeError, "a .*timedelta64",
                 lambda: isf.wasserstein_1d(np.ones(3, "m8[s]"), GOOD)),
    "long double": (InvalidTypeError, "a .*128",
                    lambda: isf.wasserstein_1d(refused(np.longdouble), GOOD)),
    "record": (InvalidTypeError, "a .*f8",
               lambda: isf.wasserstein_1d(np.ones(3, [("x", "f8")]), GOOD)),
    "None": (InvalidTypeError, "a .*object", lambda: isf.wasserstein_1d(None, GOOD)),
    "ragged": (InvalidTypeError, "A cannot", lambda: isf.pdist([[1, 2], [1]])),
    "masked": (InvalidInputError, "a is a masked",
               lambda: isf.wasserstein_1d(np.ma.masked_equal([1.0, 2.0, 3.0], 2.0), GOOD)),
    "masked rows": (InvalidInputError, "A is a masked",
                    lambda: isf.pdist(np.ma.masked_equal([GOOD, GOOD], 2.0))),
    # A17: integers that float64 cannot hold
    "2**53 + 1": (InvalidInputError, r"a\[1\] is 9007199254740993",
                  lambda: isf.wasserstein_1d(np.array([0, 2**53 + 1, 1]), GOOD)),
    "2**63": (InvalidInputError, r"b\[2\] is 9223372036854775808",
              lambda: isf.wasserstein_1d(GOOD, np.array([0, 1, 2**63], np.uint64))),
    "2**64 - 1": (InvalidInputError, r"A\[1, 0\] is 18446744073709551615",
                  lambda: isf.pdist(np.array([[0, 1], [2**64 - 1, 1]], np.uint64))),
    "-2**63": (InvalidInputError, r"a\[0\] is -9223372036854775808",
               lambda: isf.wasserstein_1d(np.array([-(2**63), 1, 1]), GOOD)),
    # the geometry
    "positions: number": (InvalidInputError, r"positions .*\(3,\).*\(2,\)",
                          lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 1])),
    "positions: unsorted": (InvalidInputError, r"positions\[2\] is 1\.0.*positions\[1\].*5\.0",
                            lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 5, 1])),
    "positions: NaN": (InvalidInputError, r"positions\[1\] is nan",
                       lambda: isf.wasserstein_1d(GOOD, GOOD, [0, nan, 1])),
    "positions: inf": (InvalidInputError, r"positions\[2\] is inf",
                       lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 1, inf])),
    "positions: text": (InvalidTypeError, "positions .*<U",
                        lambda: isf.wasserstein_1d(GOOD, GOOD, ["0", "1", "2"])),
    "positions: long integers": (InvalidInputError, r"positions\[2\] is 9007199254740993",
                                 lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 1, 2**53 + 1])),
    "p 0.5": (InvalidInputError, r"p .*0\.5", lambda: isf.wasserstein_1d(GOOD, GOOD, p=0.5)),
    "p NaN": (InvalidInputError, "p .*nan", lambda: isf.wasserstein_1d(GOOD, GOOD, p=nan)),
    "p -inf": (InvalidInputError, "p .*-inf", lambda: isf.wasserstein_1d(GOOD, GOOD, p=-inf)),
    "p text": (InvalidTypeError, "p .*'two'", lambda: isf.wasserstein_1d(GOOD, GOOD, p="two")),
    "p None": (InvalidTypeError, "p .*None", lambda: isf.wasserstein_1d(GOOD, GOOD, p=None)),
    "circle, p 2": (InvalidInputError, "circular.*p=2",
                    lambda: isf.wasserstein_1d(GOOD, GOOD, p=2, circular=True)),
    "circle without length": (InvalidInputError, "circular=True",
                              lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 1, 2], circular=True)),
    "circle too short": (InvalidInputError, "circular is 4.*5",
                         lambda: isf.wasserstein_1d(GOOD, GOOD, [0, 1, 5], circular=4)),
    "circle NaN": (InvalidInputError, "circular is nan",
                   lambda: isf.wasserstein_1d(GOOD, GOOD, circular=nan)),
    "circle inf": (InvalidInputError, "circular is inf",
                   lambda: isf.wasserstein_1d(GOOD, GOOD, circular=inf)),
    "circle -1": (InvalidInputError, "circular is -1",
                  lambda: isf.wasserstein_1d(GOOD, GOOD, circular=-1)),
    "circle text": (InvalidTypeError, "circular .*'yes'",
                    lambda: isf.wasserstein_1d(GOOD, GOOD, circular="yes")),
    # batches
    "metric": (InvalidInputError, "metric .*'euclid'", lambda: isf.cdist([GOOD], [GOOD], "euclid")),
    "metric, pdist": (InvalidInputError, "metric .*3", lambda: isf.pdist([GOOD], 3)),
    "threads 0": (InvalidInputError, "threads .*0", lambda: isf.cdist([GOOD], [GOOD], threads=0)),
    "threads -1": (InvalidInputError, "threads .*-1", lambda: isf.pdist([GOOD], threads=-1)),
    "threads 2.0": (InvalidTypeError, r"threads .*2\.0", lambda: isf.pdist([GOOD], threads=2.0)),
    "dtype": (InvalidTypeError, "dtype .*int64", lambda: isf.cdf_vectors([GOOD], dtype=np.int64)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


def test_errors_are_also_the_built_in_ones():
    with pytest.raises(ValueError, match="has no mass"):
        isf.wasserstein_1d([0, 0], [1, 1])
    with pytest.raises(TypeError, match="complex"):
        isf.wasserstein_1d([1j, 1], [1, 1])


@pytest.mark.parametrize(
    ("out", "kind", "message"),
    [
        (np.zeros((5, 5), np.float32), InvalidTypeError, "out .*float32"),
        ([[0.0] * 5] * 5, InvalidTypeError, "out .*list"),
        (np.zeros((5, 5), ">f8"), InvalidTypeError, "out .*f8"),
        (np.zeros((5, 4)), InvalidInputError, r"out .*\(5, 5\).*\(5, 4\)"),
        (np.zeros((5, 5), order="F"), InvalidInputError, "out .*C-contiguous"),
        (np.broadcast_to(0.0, (5, 5)), InvalidInputError, "out .*writeable"),
    ],
)
def test_bad_out(out, kind, message):
    A = np.ones((5, 7))
    with pytest.raises(kind, match=message):
        isf.cdist(A, A, out=out)
