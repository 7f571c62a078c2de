"""pyemd calls (``import pyemd``): the Earth Mover's Distance with a penalty for extra mass."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _ground, _memory, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError
from imgsim_fast.wasserstein import wasserstein_1d

__all__ = ["emd", "emd_samples", "emd_with_flow"]

Floats = NDArray[np.float64]
Arcs = tuple[NDArray[np.int64], NDArray[np.int64], Floats]

_LARGEST_DISTANCE = -1.0  # as a penalty


def emd(
    first_histogram: ArrayLike,
    second_histogram: ArrayLike,
    distance_matrix: ArrayLike,
    extra_mass_penalty: float = -1.0,
) -> float:
    """Earth Mover's Distance of two histograms, EMD-hat [1]_: ``pyemd.emd``.

    Mass that both have in a bin stays there and costs nothing, whatever the diagonal says. Of the
    rest the smaller total is moved where it is cheapest. To this cost is added the difference of
    the totals times `extra_mass_penalty`. That is optimal if the distances are a metric, which is
    not checked, as in pyemd; for other costs see :func:`imgsim_fast.emd`.

    Parameters
    ----------
    first_histogram, second_histogram : array_like, shape (n,)
        Masses of any real type, finite, not negative; they may all be 0.
    distance_matrix : array_like, at least n rows and n columns
        Distances between bins, finite; the first n rows and columns count.
    extra_mass_penalty : float
        Cost of one unit that only one side has; -1 stands for the largest of the distances that
        count. Other negative numbers are taken as they are, as by pyemd.

    Returns
    -------
    float
        Not divided by the mass.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        Lengths that differ, a matrix that is too small (both ``ValueError``, as in pyemd), and
        values that cannot be used, which pyemd does not notice. The message names the element.
    OutOfRangeError, MemoryError
        As :func:`imgsim_fast.emd`.

    Notes
    -----
    As :func:`imgsim_fast.emd`; exact where pyemd up to 1.0 rounds masses and distances to a
    millionth.

    References
    ----------
    .. [1] Pele, Werman, "Fast and robust Earth Mover's Distances", 2009.

    Examples
    --------
    >>> from imgsim_fast.compat import pyemd
    >>> pyemd.emd([0.0, 1.0], [5.0, 3.0], [[0.0, 0.5], [0.5, 0.0]])
    3.5
    """
    return _solve(first_histogram, second_histogram, distance_matrix, extra_mass_penalty, False)[0]


def emd_with_flow(
    first_histogram: ArrayLike,
    second_histogram: ArrayLike,
    distance_matrix: ArrayLike,
    extra_mass_penalty: float = -1.0,
) -> tuple[float, list[list[float]]]:
    """Earth Mover's Distance and its flow: ``pyemd.emd_with_flow``.

    Parameters
    ----------
    first_histogram, second_histogram, distance_matrix, extra_mass_penalty
        As in :func:`emd`.

    Returns
    -------
    (float, list of n lists of n floats)
        The distance, and the mass moved from each bin to each bin. What stays is on the diagonal;
        what only one side has appears nowhere.

    Raises
    ------
    InvalidInputError, InvalidTypeError, OutOfRangeError, MemoryError
        As :func:`emd`.

    Notes
    -----
    As :func:`imgsim_fast.transport`. Where several flows cost the same it may be another one than
    pyemd's.

    Examples
    --------
    >>> from imgsim_fast.compat import pyemd
    >>> pyemd.emd_with_flow([0.0, 1.0], [5.0, 3.0], [[0.0, 0.5], [0.5, 0.0]])
    (3.5, [[0.0, 0.0], [0.0, 1.0]])
    """
    distance, stays, moves = _solve(
        first_histogram, second_histogram, distance_matrix, extra_mass_penalty, True
    )
    flow = np.diag(stays)
    if moves is not None:
        sources, targets, amounts = moves
        flow[sources, targets] += amounts
    return distance, flow.tolist()


def emd_samples(
    first_array: ArrayLike,
    second_array: ArrayLike,
    extra_mass_penalty: float = -1.0,
    distance: str | Callable[[Floats], ArrayLike] = "euclidean",
    normalized: bool = True,
    bins: Any = "auto",
    range: tuple[float, float] | None = None,
) -> float:
    """Earth Mover's Distance of the histograms of two samples: ``pyemd.emd_samples``.

    The answer depends on the bins. Without bins, exactly: ``compat.scipy.wasserstein_distance``.

    Parameters
    ----------
    first_array, second_array : array_like
        Samples of any real type, finite; arrays are taken as flat.
    extra_mass_penalty : float
        As in :func:`emd`.
    distance : "euclidean" or callable
        Distances between the centers of bins: |x - y|, or a function of the vector of centers that
        returns a square matrix of at least their number.
    normalized : bool
        Divide each histogram by its total. False: counts.
    bins, range
        As in ``numpy.histogram_bin_edges`` of both samples together; samples outside of a given
        range are left out.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError, InvalidTypeError
        Empty samples and matrices that are not square or too small (``ValueError``, as in pyemd);
        samples that are not finite; no sample within the range, where pyemd returns NaN.
    OutOfRangeError, MemoryError
        As :func:`emd`.

    Notes
    -----
    "euclidean" with equal totals is solved in closed form, O(bins); all else is :func:`emd`.

    Examples
    --------
    >>> from imgsim_fast.compat import pyemd
    >>> pyemd.emd_samples([1, 2, 3, 4], [2, 3, 4, 5], bins=2)
    0.5
    """
    first, second = (
        _as_samples("first_array", first_array),
        _as_samples("second_array", second_array),
    )
    penalty = _as_penalty(extra_mass_penalty)
    both = np.concatenate((first, second))
    limits = (both.min(), both.max()) if range is None else range
    try:
        edges = np.histogram_bin_edges(both, bins=bins, range=limits)
        counts = [np.histogram(x, bins=edges)[0].astype(np.float64) for x in (first, second)]
    except ValueError as error:
        raise InvalidInputError(f"bins={bins!r}, range={range!r}: {error}") from error
    except TypeError as error:
        raise InvalidTypeError(f"bins={bins!r}, range={range!r}: {error}") from error
    totals = [float(x.sum()) for x in counts]
    for name, total in zip(("first_array", "second_array"), totals, strict=True):
        if normalized and total == 0:
            raise InvalidInputError(f"{name} has no sample within {edges[0]} ... {edges[-1]}")
    centers = np.mean([edges[:-1], edges[1:]], axis=0)
    if isinstance(distance, str) and distance == "euclidean":
        if totals[0] > 0 and (normalized or totals[0] == totals[1]):
            shape = wasserstein_1d(counts[0], counts[1], centers)
            return float(shape) * (1.0 if normalized else totals[0])
        _memory.check(8 * centers.size**2, f"distances of {centers.size} bins")
        distances = np.abs(centers[:, None] - centers)
    else:
        distances = _distances_by(distance, centers)
    if normalized:
        counts = [x / total for x, total in zip(counts, totals, strict=True)]
    return emd(counts[0], counts[1], distances, penalty)


def _solve(
    first_histogram: ArrayLike,
    second_histogram: ArrayLike,
    distance_matrix: ArrayLike,
    extra_mass_penalty: float,
    flow: bool,
) -> tuple[float, Floats, Arcs | None]:
    """Return the distance, what stays in each bin, and what is moved."""
    first = _as_histogram("first_histogram", first_histogram)
    second = _as_histogram("second_histogram", second_histogram)
    if first.size != second.size:
        raise InvalidInputError(
            "first_histogram and second_histogram must have the same length, got "
            f"{first.size} and {second.size}"
        )
    penalty = _as_penalty(extra_mass_penalty)
    distances = _as_distances(distance_matrix, first.size)
    if penalty == _LARGEST_DISTANCE:
        penalty = float(distances.max())
    try:
        extra = abs(math.fsum(first) - math.fsum(second))
    except OverflowError:
        extra = math.inf
    stays = np.minimum(first, second)
    rest = (first - stays, second - stays)  # one of the two is 0 in each bin
    moves: Arcs | None = None
    cost = 0.0
    if rest[0].any() and rest[1].any():
        cost, moves = _move(rest, distances, flow)
    value = cost + extra * penalty
    if not math.isfinite(value):
        raise OutOfRangeError("the distance is beyond the range of float64: scale the arguments")
    return value, stays, moves


def _move(rest: tuple[Floats, Floats], distances: Floats, flow: bool) -> tuple[float, Arcs | None]:
    """Move the smaller total; the penalty is the caller's."""
    n = distances.shape[0]
    ground = _core.Ground(0, distances, None, None, 0, np.inf, False)
    _memory.check(ground.bytes(n, n), f"transport of {n} x {n} bins")
    rule = _ground.as_rule(0.0)
    status, cost, more = _core.transport(rest[0], rest[1], ground, *rule, 0, flow, False)
    if status != 0:
        names = ("first_histogram", "second_histogram")
        _ground.fail(status, more["blocked_source"], names, rest, ground)
    return cost, more["flow"] if flow else None


def _as_histogram(name: str, histogram: ArrayLike) -> Floats:
    masses = _validate.as_masses(name, histogram)
    if masses.ndim != 1:
        raise InvalidInputError(f"{name} must be a vector of masses, got shape {masses.shape}")
    if masses.any() and not _core.is_mass(masses):
        _validate.explain_bad_mass(name, masses, 0)
    return masses


def _as_distances(distance_matrix: ArrayLike, n: int) -> Floats:
    array = _validate.as_real("distance_matrix", distance_matrix)
    if array.ndim != 2 or min(array.shape) < n:
        raise InvalidInputError(
            f"distance_matrix must have at least {n} rows and columns, one for each bin, got "
            f"shape {array.shape}"
        )
    distances = np.require(array[:n, :n], np.float64, ["C", "A"])
    if not np.isfinite(distances).all():
        i, j = (int(k) for k in np.argwhere(~np.isfinite(distances))[0])
        raise InvalidInputError(
            f"distance_matrix[{i}, {j}] is {distances[i, j]}: distances must be finite"
        )
    return distances


def _as_penalty(extra_mass_penalty: Any) -> float:
    try:
        if isinstance(extra_mass_penalty, (bool, np.bool_)):
            raise TypeError
        penalty = float(extra_mass_penalty)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(
            f"extra_mass_penalty must be a number, got {extra_mass_penalty!r}"
        ) from error
    if not math.isfinite(penalty):
        raise InvalidInputError(f"extra_mass_penalty must be finite, got {extra_mass_penalty!r}")
    return penalty


def _as_samples(name: str, samples: ArrayLike) -> Floats:
    array = _validate.as_real(name, samples).astype(np.float64).ravel()
    if array.size == 0:
        raise InvalidInputError(f"{name} must hold at least one sample")
    if not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInputError(f"{name}[{at}] is {array[at]}: samples must be finite")
    return array


def _distances_by(distance: object, centers: Floats) -> ArrayLike:
    if not callable(distance):
        raise InvalidTypeError(f"distance must be 'euclidean' or a function, got {distance!r}")
    matrix = _validate.as_real("distance(centers)", distance(centers))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] < centers.size:
        raise InvalidInputError(
            f"distance must return a square matrix for at least {centers.size} bins, got shape "
            f"{matrix.shape}"
        )
    return matrix
