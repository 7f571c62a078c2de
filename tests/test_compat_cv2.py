"""compat.cv2 against the OpenCV that is installed: the same call on both, deviations by name.

The numbers in the names of sections are those of the list of what cv2.EMD does, 1 to 60.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.compat import cv2 as ours
from imgsim_fast.errors import (
    InfeasibleError,
    OutOfRangeError,
)
from tests.signature_tools import (
    COST,
    METRICS,
    SMALL,
    A,
    B,
    check_plan,
    distances,
    random_pair,
    single,
)

theirs = pytest.importorskip("cv2")

MAJOR = int(theirs.__version__.partition(".")[0])
BOTH = pytest.mark.parametrize("module", [ours, theirs], ids=["ours", "opencv"])


# ---- the result: 1 to 10 ---------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("metric", METRICS)
def test_types_of_the_result(module, metric):
    result = module.EMD(SMALL, A, metric)
    assert type(result) is tuple
    retval, bound, flow = result
    assert type(retval) is float
    assert retval == float(np.float32(retval))
    assert bound is None
    assert (flow.shape, flow.dtype) == ((2, 2), np.float32)
    retval, bound, _ = module.EMD(single([[3, 0.1]]), single([[3, 0.4]]), metric, lowerBound=0.0)
    assert type(bound) is float
    assert bound == float(np.float32(bound)) == retval


@BOTH
def test_rows_without_weight_keep_their_place(module):
    first = single([[0, 9], [2, 0], [-0.0, 7], [2, 1]])
    second = single([[1, 5], [0, 0], [1, 6]])
    retval, _, flow = module.EMD(first, second, module.DIST_L1)
    assert retval == 2.25
    assert flow.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1]]


ROOMS = {
    "C": (lambda: np.full((2, 2), 7, np.float32), True),
    "columns of a larger array": (lambda: np.full((2, 5), 7, np.float32)[:, 1:3], True),
    "every other row": (lambda: np.full((4, 2), 7, np.float32)[::2], True),
    "one channel": (lambda: np.full((2, 2, 1), 7, np.float32), True),
    "float64": (lambda: np.full((2, 2), 7.0), False),
    "int32": (lambda: np.full((2, 2), 7, np.int32), False),
    "float16": (lambda: np.full((2, 2), 7, np.float16), False),
    "shape (2, 3)": (lambda: np.full((2, 3), 7, np.float32), False),
    "shape (4,)": (lambda: np.full(4, 7, np.float32), False),
}


@BOTH
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("bound", [None, 0.0])
def test_flow_is_filled_or_ignored(module, room, bound):
    make, used = ROOMS[room]
    used = used or (module is ours and room == "float64")  # a deviation: also taken
    flow = make()
    kept = flow.copy()
    retval, _, out = module.EMD(A, B, module.DIST_L1, lowerBound=bound, flow=flow)
    assert retval == 5
    assert (out is flow) is used
    assert out.dtype == (flow.dtype if used else np.float32)
    if not used:
        np.testing.assert_array_equal(flow, kept)
    assert out.reshape(2, 2).sum() == (4 if bound is None else 0)
    assert 7 not in out


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((2, 2), np.float32).T,
        lambda: np.zeros((2, 4), np.float32)[:, ::2],
        lambda: np.zeros((2, 2), np.float32)[::-1, ::-1],
    ],
)
def test_flow_of_any_strides(make):
    flow = make()
    with pytest.raises(theirs.error, match="Layout of the output array flow"):
        theirs.EMD(A, SMALL, 1, flow=flow)
    assert ours.EMD(A, SMALL, 1, flow=flow)[2] is flow
    assert flow.tolist() == [[0, 0], [1, 1]]


def test_flow_of_the_other_byte_order():
    flow = np.zeros((2, 2), ">f4")
    assert ours.EMD(A, SMALL, 1, flow=flow)[2] is flow
    assert flow.tolist() == [[0, 0], [1, 1]]


def test_flow_is_left_alone_by_a_mistake():
    flow = np.full((2, 2), 7, np.float32)
    with pytest.raises(ours.error, match="negative"):
        ours.EMD(-A, B, 1, flow=flow)
    assert (flow == 7).all()


@BOTH
def test_official_vector(module):
    first = single([50, 60, 50, 50]).reshape(4, 1)
    second = single([30, 20, 70, 30, 60]).reshape(5, 1)
    cost = single(
        [[16, 16, 13, 22, 17], [14, 14, 13, 19, 15], [19, 19, 20, 23, 1e4], [1e4, 0, 1e4, 0, 0]]
    )
    retval, _, flow = module.EMD(first, second, module.DIST_USER, cost)
    assert retval == np.float32(2460 / 210)
    assert (flow * cost).sum() == 2460


@BOTH
@pytest.mark.parametrize("metric", METRICS)
def test_official_cost_of_the_flow(module, metric):
    first = single([[0, 0, 1], [2, 1, 1], [3, 0, 2], [1, 1, 3]])
    second = single([[1, 1, 0], [2, 3, 1], [2, 1, 2], [1, 0, 1]])
    retval, _, flow = module.EMD(first, second, metric)
    assert retval == pytest.approx((flow * distances(first, second, metric)).sum() / 6, abs=1e-6)


@pytest.mark.parametrize("name", ["DIST_USER", "DIST_L1", "DIST_L2", "DIST_C"])
def test_constants(name):
    assert getattr(ours, name) == getattr(theirs, name) == getattr(isf, name)


def test_one_function_under_two_names():
    assert isf.EMD is ours.EMD
    names = list(inspect.signature(isf.EMD).parameters)
    first_line = theirs.EMD.__doc__.splitlines()[0]  # EMD(a, b, c[, d[, e[, f]]]) -> ...
    listed = first_line.partition(") ->")[0].partition("(")[2]
    assert names == listed.replace("[", "").replace("]", "").replace(" ", "").split(",")


# ---- totals: 11 to 18 ------------------------------------------------------------------------

TOTALS = [
    ([[2, 0], [2, 1]], [[1, 5], [1, 6]], 2.25),
    ([[2, 0], [3, 1]], [[1, 5], [1, 6]], 1.8),
    ([[3, 0]], [[1, 4], [1, 5]], 3.0),
]


@BOTH
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("first", "second", "want"), TOTALS)
def test_the_larger_total_divides(module, metric, first, second, want):
    for pair in ((first, second), (second, first)):
        rows1, rows2 = map(single, pair)
        retval, _, flow = module.EMD(rows1, rows2, metric)
        assert retval == np.float32(want)
        check_plan(rows1, rows2, flow)


@BOTH
def test_scale_of_the_masses(module):
    scale = single([4, 1])
    assert module.EMD(A * scale, SMALL * scale, 1)[0] == 2.25
    assert module.EMD(A * scale, SMALL, 1)[0] == np.float32(9 / 16)


@BOTH
@pytest.mark.parametrize(("excess", "equal"), [(0.9e-5, True), (1.1e-5, False)])
def test_totals_that_nearly_agree(module, excess, equal):
    """Equal, so that the lower bound counts, below 1e-5 of the first total."""
    first, second = single([[1, 0]]), single([[1 + excess, 5]])
    _, bound, flow = module.EMD(first, second, 1, lowerBound=0.0)
    assert (bound, flow.sum()) == ((5, 0) if equal else (0, 1))
    assert module.EMD(first, second, 1)[0] == pytest.approx(5 / (1 + excess), rel=2e-7)


@BOTH
def test_nearly_is_relative_to_the_first_total(module):
    low, high = single([[50000, 0]]), single([[50000.5, 5]])
    assert module.EMD(low, high, 1, lowerBound=0.0)[1] == 0
    assert module.EMD(high, low, 1, lowerBound=0.0)[1] == pytest.approx(5, rel=2e-5)


def test_nearly_equal_totals_are_taken_as_given():
    """OpenCV treats them as equal, and moves a rest that has nowhere to go."""
    first = single([[1, 0], [1, 10], [8e-6, 1e6]])
    second = single([[1, 0], [1, 10]])
    assert ours.EMD(first, second, 1)[0] == ours.EMD(second, first, 1)[0] == 0
    assert theirs.EMD(first, second, 1)[0] == pytest.approx(4, rel=1e-4)


# ---- metrics: 19 to 27 -----------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    "metric", [0, 4, 5, 6, 7, -2, 99, None, *(theirs.DIST_L12, theirs.DIST_FAIR)]
)
@pytest.mark.parametrize("more", [{}, {"cost": COST}], ids=["", "cost"])
def test_unknown_metrics(module, metric, more):
    with pytest.raises(module.error, match="Bad or unsupported metric type"):
        module.EMD(A, B, metric, **more)


@BOTH
@pytest.mark.parametrize("kind", [int, np.int64, np.int32, np.uint8])
def test_any_integer_names_a_metric(module, kind):
    assert module.EMD(A, SMALL, kind(1))[0] == 2.25


@BOTH
@pytest.mark.parametrize("metric", [1.0, "L1", True, np.True_, np.float32(1), np.array(1)])
def test_what_is_no_integer_names_none(module, metric):
    with pytest.raises(module.error, match=r"(?s)distType.* integer"):
        module.EMD(A, B, metric)
    with pytest.raises(ours.error) as caught:
        ours.EMD(A, B, metric)
    assert isinstance(caught.value, TypeError)


def test_a_missing_metric():
    with pytest.raises(theirs.error, match="missing required argument 'distType'"):
        theirs.EMD(A, B)
    with pytest.raises(TypeError, match=r"missing .* argument: 'distType'"):
        ours.EMD(A, B)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dims", [1, 2, 3, 4, 7, 8, 9, 33, 300])
def test_any_number_of_dimensions(metric, dims):
    pair = random_pair(dims, 9, 7, dims, equal=True)
    want = theirs.EMD(*pair, metric)[0]
    assert ours.EMD(*pair, metric)[0] == pytest.approx(want, rel=2e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_far_apart(metric):
    """OpenCV squares in float32: too much from 1.8e19 on, and the distance becomes 0."""
    first, second = single([[1, -1e19, 0]]), single([[1, 2e19, 4e19]])
    want = {1: 7e19, 2: 5e19, 3: 4e19}[metric]
    assert ours.EMD(first, second, metric)[0] == pytest.approx(want, rel=1e-6)
    wrong = metric == theirs.DIST_L2
    assert theirs.EMD(first, second, metric)[0] == (0 if wrong else pytest.approx(want, rel=1e-6))


@pytest.mark.parametrize("cost", [None, COST, np.ones((3, 5)), np.full((2, 2), np.nan, "f")])
@pytest.mark.parametrize("module", [ours, theirs], ids=["ours", "opencv"])
def test_cost_is_ignored_with_a_metric(module, cost):
    for metric in METRICS:
        assert module.EMD(A, SMALL, metric, cost)[0] == 2.25
        assert module.EMD(A, B, metric, cost, 0.0)[1] == 5


# ---- own costs: 28 to 35 ---------------------------------------------------------------------


@BOTH
def test_coordinates_are_ignored_with_own_costs(module):
    noise = single([[2, np.nan], [2, np.inf]])
    for first, second in ((A, SMALL), (A[:, :1], SMALL[:, :1]), (noise, SMALL)):
        retval, _, flow = module.EMD(first, second, module.DIST_USER, COST)
        assert retval == 0.75
        assert flow.tolist() == [[1, 1], [0, 0]]


@BOTH
def test_costs_of_any_strides(module):
    wide = np.zeros((4, 6), np.float32)
    wide[::2, 1:3] = COST
    for cost in (COST, wide[::2, 1:3], np.asfortranarray(COST), COST[::-1, ::-1][::-1, ::-1],
                 COST[:, :, None]):  # fmt: skip
        assert module.EMD(A, SMALL, module.DIST_USER, cost)[0] == 0.75
    turned = module.EMD(A[::-1], SMALL[::-1], module.DIST_USER, COST[::-1, ::-1])
    assert turned[2].tolist() == [[0, 0], [1, 1]]


@BOTH
def test_negative_costs(module):
    assert module.EMD(A, SMALL, module.DIST_USER, -COST)[0] == -1.75
    mixed = single([[-5, 2], [0, 3]])
    assert module.EMD(A, B, module.DIST_USER, mixed)[0] == -1


@BOTH
@pytest.mark.parametrize(
    ("cost", "bound", "words"),
    [
        (None, None, r"!cost\.empty\(\)"),
        (np.empty((0, 0), np.float32), None, r"!cost\.empty\(\)"),
        (COST[:1], None, "Cost matrix size does not match signatures"),
        (np.ones((2, 3), np.float32), None, "Cost matrix size does not match signatures"),
        (COST, 0.0, "Lower boundary can not be calculated if the cost matrix is used"),
        (COST, np.inf, "Lower boundary can not be calculated if the cost matrix is used"),
    ],
)
def test_mistakes_in_cost(module, cost, bound, words):
    with pytest.raises(module.error, match=words):
        module.EMD(A, B, module.DIST_USER, cost, bound)


def test_a_bound_without_costs():
    """The same call ends the process in OpenCV 5.0 (segmentation fault)."""
    with pytest.raises(ours.error, match=r"!cost\.empty\(\)"):
        ours.EMD(A, B, ours.DIST_USER, None, 0.0)


def test_costs_of_other_types_count():
    for cost in (np.float64(COST), COST.tolist(), np.int64(COST), COST.astype(">f4")):
        retval, _, flow = ours.EMD(A, SMALL, ours.DIST_USER, cost)
        assert retval == 0.75
        swapped = isinstance(cost, np.ndarray) and cost.dtype == ">f4"
        assert flow.dtype == (np.float32 if swapped else np.float64)
    with pytest.raises(theirs.error, match="Cost matrix must have type 32FC1"):
        theirs.EMD(A, SMALL, theirs.DIST_USER, np.float64(COST))
    third = ours.EMD(A, SMALL, ours.DIST_USER, np.full((2, 2), 1 / 3))[0]
    assert third == 1 / 6
    assert third != float(np.float32(third))


@BOTH
def test_nan_in_costs_of_rows_without_weight(module):
    cost = single([[np.nan, 1], [3, 4]])
    assert module.EMD(single([[0], [4]]), B[:, :1], module.DIST_USER, cost)[0] == 3.5


def test_nan_in_costs():
    """OpenCV answers 0, or that its iterations do not converge."""
    cost = single([[np.nan, 1], [3, -np.inf]])
    with pytest.raises(ours.error, match=r"cost\[0, 0\] is nan"):
        ours.EMD(A, SMALL, ours.DIST_USER, cost)
    with pytest.raises(ours.error, match=r"cost\[1, 1\] is -inf"):
        ours.EMD(single([[0], [4]]), B[:, :1], ours.DIST_USER, cost)
    assert ours.EMD(single([[0], [4]]), single([[4], [0]]), ours.DIST_USER, cost)[0] == 3


def test_infinite_costs_forbid():
    first, second = single([[1], [1], [1]]), single([[1], [1], [1]])
    cost = single([[np.inf, 1, 2], [3, np.inf, 4], [5, 7, np.inf]])
    retval, _, flow = ours.EMD(first, second, ours.DIST_USER, cost)
    assert retval == np.float32(10 / 3)
    assert flow.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    cost[:2, 1:] = np.inf
    cost[0, 0] = 0
    with pytest.raises(InfeasibleError, match="signature1"):
        ours.EMD(first, second, ours.DIST_USER, cost)
    assert ours.EMD(first, second[:1], ours.DIST_USER, cost[:, :1])[0] == 0


@pytest.mark.parametrize("scale", [1e-30, 1e21, 1e30])
def test_costs_of_any_size(scale):
    pair = random_pair(1, 8, 8, 1, equal=True)
    cost = np.random.default_rng(2).random((8, 8))
    want = isf.transport(*(np.float64(rows[:, 0]) for rows in pair), cost, mass="opencv")
    got = ours.EMD(*pair, ours.DIST_USER, single(cost * scale))[0]
    assert got == pytest.approx(want.distance * scale, rel=1e-6)


# ---- lowerBound: 36 to 43 --------------------------------------------------------------------

SPREAD = (single([[1, 0, 0], [2, 3, 1], [1, 0, 5]]), single([[2, 4, 4], [1, 1, 0], [1, 2, 2]]))


@BOTH
@pytest.mark.parametrize("metric", METRICS)
def test_centres_of_mass(module, metric):
    first, second = (np.float64(rows) for rows in SPREAD)
    shift = (first[:, :1] * first[:, 1:] - second[:, :1] * second[:, 1:]).sum(0)
    lb = np.linalg.norm(shift, {1: 1, 2: 2, 3: np.inf}[metric]) / 4
    retval, bound, flow = module.EMD(*SPREAD, metric, lowerBound=np.inf)
    assert bound == pytest.approx(lb, rel=1e-6)
    assert retval == module.EMD(*SPREAD, metric)[0] > bound
    assert flow.sum() == 4


@BOTH
@pytest.mark.parametrize("metric", METRICS)
def test_when_it_returns_early(module, metric):
    emd, lb, full = module.EMD(*SPREAD, metric, lowerBound=np.inf)
    above = float(np.nextafter(np.float32(lb), np.float32(np.inf)))
    for value in (-1, 0, 0.0, -np.inf, lb, np.float32(lb), np.float64(lb) / 2):
        retval, bound, flow = module.EMD(*SPREAD, metric, lowerBound=value)
        assert (retval, bound) == (lb, lb), value
        assert flow.tolist() == np.zeros((3, 3)).tolist()
    for value in (above, 1000, 1e30, 1e50, np.nan, np.float32(9)):
        retval, bound, flow = module.EMD(*SPREAD, metric, lowerBound=value)
        assert (retval, bound) == (emd, lb), value
        np.testing.assert_array_equal(flow, full)


@BOTH
def test_bound_of_identical_signatures(module):
    retval, bound, flow = module.EMD(A, A, module.DIST_L2, lowerBound=0)
    assert (retval, bound, flow.any()) == (0, 0, False)


@BOTH
@pytest.mark.parametrize("value", [0.0, 3, -7.5, 1e30])
def test_bound_of_unequal_totals_is_left_alone(module, value):
    retval, bound, _ = module.EMD(A, SMALL, module.DIST_L1, lowerBound=value)
    assert (retval, bound) == (2.25, float(np.float32(value)))


@BOTH
@pytest.mark.parametrize(
    "value", ["1", True, np.True_, np.array(1.0), np.array([1.0]), 1j, [1.0]], ids=repr
)
def test_what_is_no_bound(module, value):
    with pytest.raises(module.error, match=r"lowerBound|real number"):
        module.EMD(A, B, 1, lowerBound=value)
    with pytest.raises(TypeError, match="lowerBound must be a number"):
        ours.EMD(A, B, 1, lowerBound=value)


def test_bounds_beyond_opencv():
    with pytest.raises(theirs.error, match="lowerBound"):
        theirs.EMD(A, B, 1, lowerBound=np.int64(0))
    assert ours.EMD(A, B, 1, lowerBound=np.int64(0))[1] == 5
    # Beyond float32 as given, not infinite; beyond float64 there is no number.
    assert ours.EMD(A, SMALL, 1, lowerBound=1e50)[1] == 1e50
    assert theirs.EMD(A, SMALL, 1, lowerBound=1e50)[1] == np.inf
    with pytest.raises(ours.error, match="lowerBound"):
        ours.EMD(A, B, 1, lowerBound=10**400)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_coordinates_of_rows_without_weight(value):
    """OpenCV multiplies them by 0, which spoils its bound; nothing depends on them here."""
    first = single([[0, value], [4, 1]])
    for metric in METRICS:
        assert theirs.EMD(first, B, metric)[0] == ours.EMD(first, B, metric)[0] == 4.5
        assert theirs.EMD(first, B, metric, lowerBound=np.inf)[1] != 4.5
        assert ours.EMD(first, B, metric, lowerBound=0.0)[:2] == (4.5, 4.5)
        assert ours.EMD(first, B, metric, lowerBound=9.0)[:2] == (4.5, 4.5)


def test_bound_of_totals_and_coordinates_of_any_size():
    right = np.array([0, 1, 0])
    for weight, place in ((1.7e308, 0.0), (1e100, 1e200), (5e-324, 0.0), (1.0, 1e300)):
        rows = np.array([[weight, place, place]])
        if place == 0:
            moved, want = rows + right, 1.0
        else:
            moved, want = rows * np.array([1, 4, 5]), 5 * place
        if weight != 5e-324:  # whose work float64 cannot hold to all digits
            retval, bound, _ = ours.EMD(rows, moved, ours.DIST_L2, lowerBound=np.inf)
            assert (retval, bound) == pytest.approx((want, want), rel=1e-15)
        assert ours.EMD(rows, moved, ours.DIST_L2, lowerBound=0.0)[0] == pytest.approx(want)
    half = np.array([[1.5e308, 0.0], [1.5e308, 0.0]])  # a total beyond float64
    assert ours.EMD(half, half + np.array([0, 3]), 1, lowerBound=0.0)[:2] == (3, 3)


@pytest.mark.parametrize("bound", [None, 0.0, np.inf])
def test_distances_beyond_float64(bound):
    with pytest.raises(OutOfRangeError, match="signature1"):
        ours.EMD(np.array([[1, -1.5e308]]), np.array([[1, 1.5e308]]), 1, lowerBound=bound)
