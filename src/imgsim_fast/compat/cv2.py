"""OpenCV calls (``import cv2``): the Earth Mover's Distance of signatures, and histograms."""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _ground, _memory, _validate
from imgsim_fast.compat._cv2_errors import WrongTypeError, error
from imgsim_fast.compat._cv2_histograms import (
    HISTCMP_BHATTACHARYYA,
    HISTCMP_CHISQR,
    HISTCMP_CHISQR_ALT,
    HISTCMP_CORREL,
    HISTCMP_HELLINGER,
    HISTCMP_INTERSECT,
    HISTCMP_KL_DIV,
    calcHist,
    compareHist,
)
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError

__all__ = [
    "DIST_C",
    "DIST_L1",
    "DIST_L2",
    "DIST_USER",
    "EMD",
    "HISTCMP_BHATTACHARYYA",
    "HISTCMP_CHISQR",
    "HISTCMP_CHISQR_ALT",
    "HISTCMP_CORREL",
    "HISTCMP_HELLINGER",
    "HISTCMP_INTERSECT",
    "HISTCMP_KL_DIV",
    "calcHist",
    "compareHist",
    "error",
]

Array = NDArray[Any]
Floats = NDArray[np.float64]

DIST_USER = -1
DIST_L1 = 1
DIST_L2 = 2
DIST_C = 3

_GROUNDS = {
    DIST_USER: _core.GROUNDS.index("matrix"),
    DIST_L1: _core.GROUNDS.index("cityblock"),
    DIST_L2: _core.GROUNDS.index("euclidean"),
    DIST_C: _core.GROUNDS.index("chebyshev"),
}
_RULE = _ground.as_rule("opencv")
_INFINITY = math.inf
# Totals that differ by less, relative to the first, are equal to the eyes of the lower bound.
_EQUAL = 1e-5
# From here on float32 rounds to infinity.
_BEYOND_SINGLE = float.fromhex("0x1.ffffffp127")


def EMD(  # noqa: N802 - OpenCV's name
    signature1: ArrayLike,
    signature2: ArrayLike,
    distType: int,
    cost: ArrayLike | None = None,
    lowerBound: float | None = None,
    flow: Array | None = None,
) -> tuple[float, float | None, Array]:
    """Earth Mover's Distance of two signatures: ``cv2.EMD``, but exact.

    The conventions of the original are kept: unequal totals move the smaller one, and the work is
    divided by the **larger**; a `lowerBound` of 0 returns at once with an empty flow. What differs
    is in ``docs/opencv.md``.

    Parameters
    ----------
    signature1, signature2 : array_like, shapes (n, 1 + dims) and (m, 1 + dims)
        Rows of a weight and coordinates. Weights: finite, not negative, not all 0. Rows without
        weight keep their place in `flow`; their coordinates may be anything. With ``DIST_USER``
        coordinates are ignored, and vectors of weights, shapes (n,) and (m,), will do.
    distType : int
        ``DIST_L1``, ``DIST_L2``, ``DIST_C`` (Chebyshev), or ``DIST_USER``: see `cost`.
    cost : array_like, shape (n, m), optional
        With ``DIST_USER`` the cost of moving one unit from i to j: any numbers, also negative;
        infinity forbids the arc. Otherwise ignored.
    lowerBound : float, optional
        With totals that agree to 1e-5, and not with ``DIST_USER``: if it is at most the distance of
        the centres of mass, that distance is returned instead of the EMD, without solving. Pass
        ``inf`` to get both numbers.
    flow : ndarray, shape (n, m) or (n, m, 1), optional
        Float32 or float64, any strides: filled and returned. Of another shape or dtype: ignored.

    Returns
    -------
    retval : float
        Work divided by the larger total.
    lowerBound : float or None
        Distance of the centres of mass; `lowerBound` as given where totals differ; None if not
        given.
    flow : ndarray, shape (n, m)
        Mass that goes from i to j.

        If all arrays are float32, so is `flow`, and the numbers are rounded to float32 (unless
        they are beyond its range). Any other real input, which OpenCV refuses, gives float64.

    Raises
    ------
    error
        What OpenCV reports as ``cv2.error``, with its words, and NaN or infinite weights and
        coordinates. A ``ValueError``; wrong types are a ``TypeError`` too.
    InfeasibleError
        Every plan uses a forbidden arc.
    OutOfRangeError
        The work, mass times distance, is beyond float64.
    MemoryError
        Costs and flow would not fit.

    Notes
    -----
    A network simplex without the original's limit of 499 steps; time and accuracy as
    :func:`imgsim_fast.emd`, plus O(n m) for the flow. Equal optima may have other flows than
    OpenCV's.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim_fast.compat import cv2
    >>> first = np.array([[2, 0], [2, 1]], np.float32)  # weight 2 at 0, weight 2 at 1
    >>> second = np.array([[1, 5], [1, 6]], np.float32)
    >>> cv2.EMD(first, second, cv2.DIST_L2)  # work 4 + 5, larger total 4
    (2.25, None, array([[0., 0.],
           [1., 1.]], dtype=float32))
    """
    if lowerBound is None and flow is None:
        quick = _core.emd_signatures(signature1, signature2, distType, cost)
        if quick is not None:
            return quick
    metric = _as_metric(distType)
    rows1, rows2 = _as_rows("signature1", signature1), _as_rows("signature2", signature2)
    if rows1.shape[1] != rows2.shape[1] or rows1.shape[1] < (1 if metric == DIST_USER else 2):
        _explain_columns(np.shape(signature1), np.shape(signature2), rows1, rows2)
    supply, demand = _as_weights("signature1", rows1), _as_weights("signature2", rows2)
    shape = (supply.size, demand.size)
    single = rows1.dtype == rows2.dtype == np.float32
    bound = None if lowerBound is None else _as_bound(lowerBound)
    centres = None
    if metric == DIST_USER:
        matrix = _as_cost(cost, bound, supply, demand)
        single = single and matrix.dtype == np.float32
        ground = _core.Ground(
            _GROUNDS[metric], matrix.astype(np.float64, order="C"), None, None, 0,
            _INFINITY, False,
        )  # fmt: skip
    else:
        x, y = _as_points("signature1", rows1, supply), _as_points("signature2", rows2, demand)
        ground = _core.Ground(_GROUNDS[metric], None, x, y, x.shape[1], _INFINITY, False)
        centres = None if bound is None else _centre_distance(metric, supply, x, demand, y)
    dtype = np.dtype(np.float32 if single else np.float64)
    _check_flow(flow)
    _memory.check(
        ground.bytes(*shape) + shape[0] * shape[1] * dtype.itemsize,
        f"EMD of {shape[0]} x {shape[1]} rows with its flow",
    )
    if bound is not None:
        bound = _rounded(bound, dtype)
        if centres is not None:
            centres = _rounded(centres, dtype)
            if bound <= centres:
                return centres, centres, _filled(flow, shape, dtype, None)
            bound = centres
    status, distance, more = _core.transport(supply, demand, ground, *_RULE, 0, True, False)
    if status != 0:
        _ground.fail(
            status, more["blocked_source"], ("signature1", "signature2"), (supply, demand), ground
        )
    return _rounded(distance, dtype), bound, _filled(flow, shape, dtype, more["flow"])


# ---- arguments: always copied, lest another thread change them between check and use ----------


def _as_metric(metric: Any) -> int:
    """Return one of the four numbers; any type of integer will do, as in OpenCV."""
    number = None
    if metric is not None:
        # An array of no dimensions has an __index__, too; OpenCV refuses it like a float.
        if isinstance(metric, (bool, np.bool_, np.ndarray)):
            raise WrongTypeError(f"distType is required to be an integer, got {metric!r}")
        try:
            number = operator.index(metric)
        except TypeError:
            raise WrongTypeError(f"distType is required to be an integer, got {metric!r}") from None
    if number not in _GROUNDS:
        raise error(
            f"distType is {metric!r}: Bad or unsupported metric type; known are DIST_L1 (1), "
            "DIST_L2 (2), DIST_C (3) and DIST_USER (-1)"
        )
    return number


def _as_real(name: str, value: ArrayLike) -> Array:
    try:
        return _validate.as_real(name, value)
    except InvalidTypeError as reason:
        raise WrongTypeError(str(reason)) from None
    except InvalidInputError as reason:
        raise error(str(reason)) from None


def _as_rows(name: str, value: ArrayLike) -> Array:
    """Return a real array of shape (rows, 1 + dims); values are not yet checked."""
    if value is None:
        raise error(f"{name} is None: Signatures must have equal number of columns")
    array = _as_real(name, value)
    if array.ndim == 3 and array.shape[2] == 1:
        return array[:, :, 0]
    if array.ndim == 1:  # OpenCV 4: a column of weights; OpenCV 5: a single row
        return array[:, None]
    if array.ndim != 2:
        raise error(
            f"{name} has shape {array.shape}: The sign{name[-1]} must be 32FC1, of shape "
            "(rows, 1 + dims)"
        )
    return array


def _explain_columns(
    given1: tuple[int, ...], given2: tuple[int, ...], rows1: Array, rows2: Array
) -> NoReturn:
    if rows1.shape[1] == rows2.shape[1] == 1:
        raise error(
            f"signature1 has shape {given1} and signature2 {given2}, weights without coordinates: "
            "Number of dimensions can be 0 only if a user-defined metric is used"
        )
    raise error(
        f"signature1 has shape {given1} and signature2 {given2}: Signatures must have equal number "
        "of columns, a weight and the coordinates"
    )


def _as_weights(name: str, rows: Array) -> Floats:
    """Return the first column: finite, not negative, not all 0."""
    weights = rows[:, 0].astype(np.float64)
    if _core.is_mass(weights):
        return weights
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size == 0:
        raise error(
            f"{name} has {len(rows)} rows, none with a positive weight: sign{name[-1]} must "
            "contain at least one non-zero value"
        )
    value = float(weights[bad[0]])
    rule = "must not contain negative weights" if value < 0 else "must contain finite weights"
    raise error(f"{name}[{bad[0]}, 0] is {value!r}: sign{name[-1]} {rule}")


def _as_points(name: str, rows: Array, weights: Floats) -> Floats:
    """Return the coordinates; those of rows without weight, which nothing depends on, made 0."""
    points = rows[:, 1:].astype(np.float64, order="C")
    finite = np.isfinite(points)
    if finite.all():
        return points
    bad = np.argwhere(~finite & (weights > 0)[:, None])
    if bad.size:
        row, k = (int(i) for i in bad[0])
        raise error(
            f"{name}[{row}, {k + 1}] is {float(points[row, k])!r}: coordinates must be finite"
        )
    return np.where(finite, points, 0.0)


def _as_cost(cost: ArrayLike | None, bound: float | None, supply: Floats, demand: Floats) -> Array:
    """Return the real costs of DIST_USER, without NaN; rows without weight may hold anything."""
    matrix = None if cost is None else _as_real("cost", cost)
    if matrix is None or matrix.size == 0:
        got = "is None" if matrix is None else f"has shape {matrix.shape}"
        raise error(f"cost {got} with DIST_USER, which needs costs: !cost.empty()")
    if bound is not None:
        raise error(
            f"lowerBound is {bound!r} beside cost: Lower boundary can not be calculated if the "
            "cost matrix is used"
        )
    given, shape = matrix.shape, (supply.size, demand.size)
    if matrix.ndim == 3 and matrix.shape[2] == 1:
        matrix = matrix[:, :, 0]
    if matrix.shape != shape:
        raise error(
            f"cost has shape {given} for {shape[0]} and {shape[1]} rows: Cost matrix size does not "
            "match signatures"
        )
    usable = matrix > -np.inf
    if usable.all():
        return matrix
    bad = np.argwhere(~usable & (supply > 0)[:, None] & (demand > 0))
    if bad.size:
        i, j = (int(k) for k in bad[0])
        raise error(
            f"cost[{i}, {j}] is {float(matrix[i, j])!r}: costs must be numbers; +inf forbids an arc"
        )
    return np.where(usable, matrix, matrix.dtype.type(0))


def _as_bound(bound: object) -> float:
    if isinstance(bound, (int, float, np.integer, np.floating)) and not isinstance(bound, bool):
        try:
            return float(bound)
        except OverflowError:
            raise error(f"lowerBound is {bound!r}, beyond the range of float64") from None
    raise WrongTypeError(f"lowerBound must be a number, got {bound!r}")


def _check_flow(flow: object) -> None:
    """Refuse what OpenCV refuses; an array that does not fit is only ignored."""
    if flow is None:
        return
    if not isinstance(flow, np.ndarray):
        raise WrongTypeError(f"flow is not a numpy array, got {flow!r}")
    if not flow.flags.writeable:
        raise error("flow is an output argument, but the array given is readonly")


# ---- results ---------------------------------------------------------------------------------


def _centre_distance(
    metric: int, supply: Floats, x: Floats, demand: Floats, y: Floats
) -> float | None:
    """Return OpenCV's lower bound, |sum w x - sum v y| / larger total; None if totals differ."""
    # A power of two keeps totals within range and changes no digit.
    exponent = -math.frexp(max(supply.max(), demand.max()))[1]
    supply, demand = np.ldexp(supply, exponent), np.ldexp(demand, exponent)
    first, second = float(supply.sum()), float(demand.sum())
    if not abs(first - second) < _EQUAL * first:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        gaps = np.abs((supply[:, None] * x).sum(axis=0) - (demand[:, None] * y).sum(axis=0))
        largest = float(gaps.max())
        if metric == DIST_L1:
            distance = float(gaps.sum())
        elif metric == DIST_L2 and 0 < largest < _INFINITY:
            distance = float(np.sqrt(np.square(gaps / largest).sum())) * largest
        else:
            distance = largest
    distance /= max(first, second)
    if not distance < _INFINITY:
        raise OutOfRangeError(
            "the distance of the centres of signature1 and signature2 is beyond the range of "
            "float64: scale the coordinates"
        )
    return distance


def _rounded(value: float, dtype: np.dtype[Any]) -> float:
    """Round to the dtype, unless that would make a finite number infinite."""
    if dtype == np.float64 or abs(value) >= _BEYOND_SINGLE:
        return value
    return float(np.float32(value))


def _filled(
    flow: Array | None,
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    arcs: tuple[Array, Array, Array] | None,
) -> Array:
    """Write the arcs to `flow` if it fits, else to a new array."""
    fits = (
        flow is not None
        and flow.shape in (shape, (*shape, 1))
        and flow.dtype.kind == "f"
        and flow.dtype.itemsize in (4, 8)
    )
    filled = flow if flow is not None and fits else np.empty(shape, dtype)
    view = filled[:, :, 0] if filled.ndim == 3 else filled
    view[...] = 0
    if arcs is not None:
        sources, targets, amounts = arcs
        view[sources, targets] = amounts
    return filled
