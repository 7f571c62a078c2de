"""What compat.cv2 refuses and accepts, against the OpenCV that is installed.

The numbers in the names of sections are those of the list of what cv2.EMD does, 1 to 60.
"""

from __future__ import annotations

import numpy as np
import pytest

from imgsim_fast.compat import cv2 as ours
from imgsim_fast.errors import (
    ImgsimError,
    InvalidInputError,
    InvalidTypeError,
)
from tests.signature_tools import (
    COST,
    METRICS,
    SMALL,
    A,
    distances,
    random_pair,
    single,
)

theirs = pytest.importorskip("cv2")

MAJOR = int(theirs.__version__.partition(".")[0])
BOTH = pytest.mark.parametrize("module", [ours, theirs], ids=["ours", "opencv"])


# ---- mistakes: 44 to 50 ----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (A, single([[1, 0, 0]]), "Signatures must have equal number of columns"),
        (A, A[:, :1], "Signatures must have equal number of columns"),
        (None, A, "Signatures must have equal number of columns"),
        (A, None, "Signatures must have equal number of columns"),
        (A[:, :1], A[:, :1], "Number of dimensions can be 0 only if a user-defined metric is used"),
        (A * -1, A, "sign1 must not contain negative weights"),
        (A, single([[2, 0], [-1e-30, 1]]), "sign2 must not contain negative weights"),
        (A * 0, A, "sign1 must contain at least one non-zero value"),
        (A, A * -0.0, "sign2 must contain at least one non-zero value"),
        (A[:0], A, "sign1 must contain at least one non-zero value"),
        (A, A[:0], "sign2 must contain at least one non-zero value"),
        (np.dstack([A, A]), A, "The sign1 must be 32FC1"),
        (A, np.dstack([A, A]), "The sign2 must be 32FC1"),
    ],
)
@pytest.mark.parametrize("bound", [None, 0.0])
def test_mistakes_in_signatures(module, first, second, words, bound):
    with pytest.raises(module.error, match=words):
        module.EMD(first, second, 1, lowerBound=bound)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ours.EMD(single([[1, 0], [-2.5, 0]]), A, 1), r"signature1\[1, 0\] is -2\.5"),
        (lambda: ours.EMD(A, single([[1, 0], [np.nan, 0]]), 1), r"signature2\[1, 0\] is nan"),
        (lambda: ours.EMD(A, single([[np.inf, 0]]), 1), r"signature2\[0, 0\] is inf"),
        (lambda: ours.EMD(single([[1, 0, np.nan]]), single([[1, 0, 0]]), 2),
         r"signature1\[0, 2\] is nan"),
        (lambda: ours.EMD(A, single([[1, -np.inf]]), 2), r"signature2\[0, 1\] is -inf"),
        (lambda: ours.EMD(A, A[:, :1], 2), r"signature1 has shape \(2, 2\) .*\(2, 1\)"),
        (lambda: ours.EMD(A[0], A[0], 2), r"signature1 has shape \(2,\)"),
        (lambda: ours.EMD(A, A, 9), "distType is 9"),
        (lambda: ours.EMD(A, A, 2**40, lowerBound=0.0), "distType is 1099511627776"),
        (lambda: ours.EMD(np.float32(3), A, 1), r"signature1 has shape \(\)"),
        (lambda: ours.EMD(A, A[None, None], 1), r"signature2 has shape \(1, 1, 2, 2\)"),
        (lambda: ours.EMD(A[:, :0], A[:, :0], -1, COST), r"\(2, 0\) .*equal number of columns"),
        (lambda: ours.EMD([[2**53 + 1, 0]], A, 1), r"signature1\[0, 0\] is 9007199254740993"),
        (lambda: ours.EMD(np.ma.masked_array(A, A > 1.5), A, 1), "signature1 .*masked"),
        (lambda: ours.EMD(A, A, -1, np.ma.masked_array(COST, COST > 3)), "cost .*masked"),
        (lambda: ours.EMD(A, A, -1, COST[0]), r"cost has shape \(2,\) for 2 and 2 rows"),
        (lambda: ours.EMD(A, A, 1, flow=np.broadcast_to(single(0), (2, 2))), "flow .*readonly"),
    ],
)  # fmt: skip
def test_mistakes_are_named(call, words):
    with pytest.raises(ours.error, match=words) as caught:
        call()
    assert isinstance(caught.value, (ImgsimError, ValueError, InvalidInputError))
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize("value", [A.astype(complex), A.astype(str), A.astype(object), "12", {}],
                         ids=["complex", "str", "object", "text", "dict"])  # fmt: skip
def test_wrong_types(value):
    for arguments in ((value, A, 1), (A, value, 1), (A, A, -1, value)):
        with pytest.raises(theirs.error):
            theirs.EMD(*arguments)
        with pytest.raises(ours.error) as caught:
            ours.EMD(*arguments)
        assert isinstance(caught.value, InvalidTypeError)
    with pytest.raises(ours.error, match="flow is not a numpy array"):
        ours.EMD(A, A, 1, flow="x")


# ---- shapes, layouts, types: 44, 45, 51 to 56 ------------------------------------------------


def test_vectors_are_weights():
    """As in OpenCV 4; to OpenCV 5 a vector is one row."""
    ones, cost = np.ones(3, np.float32), np.ones((3, 3), np.float32)
    retval, _, flow = ours.EMD(ones, ones[:, None], ours.DIST_USER, cost)
    assert (retval, flow.shape) == (1, (3, 3))
    first, second = single([1, 2, 3]), single([1, 5, 7])
    with pytest.raises(ours.error, match="Number of dimensions can be 0"):
        ours.EMD(first, second, ours.DIST_L1)
    if MAJOR >= 5:
        with pytest.raises(theirs.error, match="Cost matrix size"):
            theirs.EMD(ones, ones, theirs.DIST_USER, cost)
        assert theirs.EMD(first, second, theirs.DIST_L1)[0] == 7
        assert ours.EMD(first[None], second[None], ours.DIST_L1)[0] == 7
    else:
        assert theirs.EMD(ones, ones, theirs.DIST_USER, cost)[0] == 1
        with pytest.raises(theirs.error, match="Number of dimensions can be 0"):
            theirs.EMD(first, second, theirs.DIST_L1)


def layouts(rows):
    wide = np.zeros((2 * len(rows), 3 * rows.shape[1]), np.float32)
    wide[::2, 1::3] = rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    return {
        "fortran": np.asfortranarray(rows),
        "strided": wide[::2, 1::3],
        "backwards": np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1],
        "read-only": frozen,
        "one channel": rows[:, :, None],
        "no masked element": np.ma.masked_array(rows),
    }


@BOTH
@pytest.mark.parametrize("metric", [*METRICS, ours.DIST_USER])
@pytest.mark.parametrize("layout", layouts(A))
def test_layouts(module, metric, layout):
    first, second = random_pair(3, 6, 5, 2, equal=False)
    cost = single(distances(first, second, 2)) if metric == ours.DIST_USER else None
    plain = module.EMD(first, second, metric, cost)
    got = module.EMD(layouts(first)[layout], layouts(second)[layout], metric, cost)
    assert got[0] == plain[0] == pytest.approx(ours.EMD(first, second, metric, cost)[0], rel=1e-5)
    np.testing.assert_array_equal(got[2], plain[2])


def test_the_other_byte_order():
    swapped = A.astype(">f4")
    assert theirs.EMD(swapped, SMALL.astype(">f4"), 1)[0] < 1e-30
    retval, _, flow = ours.EMD(swapped, SMALL.astype(">f4"), 1)
    assert (retval, flow.dtype) == (2.25, np.float32)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint8, np.float16, bool, ">f8", list])
def test_types_beyond_opencv(dtype):
    first, second = single([[1, 0], [1, 1]]), single([[1, 0], [1, 0], [1, 1]])
    mixed = [rows.tolist() if dtype is list else rows.astype(dtype) for rows in (first, second)]
    for pair in (mixed, (mixed[0], second), (first, mixed[1])):
        with pytest.raises(theirs.error, match=r"must be 32FC1|is not a numpy array"):
            theirs.EMD(*pair, 1)
        retval, bound, flow = ours.EMD(*pair, 1, lowerBound=0.25)
        assert (retval, bound, flow.dtype) == (0, 0.25, np.float64)


def test_float64_is_not_rounded():
    first, second = np.array([[0.1, 0.3]]), np.array([[0.1, 0.7]])
    for arguments in ((), (None, np.inf), (None, None, np.zeros((1, 1)))):
        retval, _, flow = ours.EMD(first, second, 1, *arguments)
        assert retval == pytest.approx(0.4, rel=1e-15)
        assert flow[0, 0] == 0.1
    assert ours.EMD(first, second, 1, flow=np.zeros((1, 1), "f"))[2][0, 0] == np.float32(0.1)


# ---- degenerate values: 57 to 60 -------------------------------------------------------------


def test_values_that_opencv_gets_wrong():
    """Its answers are pinned so that a version that mends them is noticed."""
    assert theirs.EMD(single([[np.nan, 0], [1, 1]]), SMALL, 1)[0] == 2
    assert theirs.EMD(single([[np.inf, 0]]), SMALL, 1)[0] == 0
    assert np.isfinite(theirs.EMD(single([[1, np.nan]]), SMALL, 1)[0])
    huge = single([[3e38, 0], [3e38, 1]])
    assert theirs.EMD(huge, huge + single([0, 1]), 1)[0] == 0
    retval, bound, flow = ours.EMD(huge, huge + single([0, 1]), 1, lowerBound=np.inf)
    assert (retval, bound) == ours.EMD(huge, huge + single([0, 1]), 1)[:1] * 2 == (1, 1)
    assert flow.sum(dtype=float) == np.float64(huge[:, 0]).sum()


def test_distances_beyond_float32():
    first, second = single([[1, -3e38]]), single([[1, 3e38]])
    for more in ({}, {"lowerBound": np.inf}, {"flow": np.zeros((1, 1), "f")}):
        assert ours.EMD(first, second, 1, **more)[0] == pytest.approx(6e38, rel=1e-6)
    assert ours.EMD(first, second, 1, lowerBound=0.0)[:2] == ours.EMD(first, second, 1)[:1] * 2
