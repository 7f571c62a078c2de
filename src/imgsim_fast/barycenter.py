"""Between distributions on the line: Wasserstein barycentres and displacement interpolation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, OutOfRangeError

__all__ = ["barycenter_1d", "interpolate_1d"]

Floats = NDArray[np.float64]


def barycenter_1d(
    histograms: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    positions: ArrayLike | None = None,
) -> Floats:
    """Wasserstein barycentre (p = 2) of histograms over the same bins, exactly.

    The distribution that minimises the weighted sum of squared W_2 distances to the rows: its
    quantile function is the mean of theirs [1]_. Where an average of histograms shows every peak of
    every row, the barycentre shows one peak in between.

    Parameters
    ----------
    histograms : array_like, shape (n, bins)
        Masses, as in :func:`imgsim_fast.wasserstein_1d`, one distribution per row.
    weights : array_like, shape (n,), optional
        Finite and not negative, with a total above 0, which is normalised; default: equal ones.
    positions : array_like, shape (bins,), optional
        Where the bins are, sorted; default 0, 1, 2, ...

    Returns
    -------
    ndarray of float64, shape (bins,)
        Masses on the same bins; their total is the weighted mean of the rows' totals.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it, the element and its value.
    OutOfRangeError
        A total is beyond float64.

    Notes
    -----
    Mass that comes to lie between two bins is split between them in proportion to nearness, which
    keeps totals and means exactly (up to rounding, some 1e-15 of the span) and adds at most a
    quarter of a squared gap to the variance. O(n bins log(n bins)), memory 50 bytes for each of the
    n bins.

    References
    ----------
    .. [1] Agueh, Carlier, "Barycenters in the Wasserstein space", 2011.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.barycenter_1d([[4, 0, 0, 0, 0], [0, 0, 0, 0, 4]])
    array([0., 0., 4., 0., 0.])
    >>> isf.barycenter_1d([[4, 0, 0, 0, 0], [0, 0, 0, 0, 4]], weights=[7, 1])
    array([2., 2., 0., 0., 0.])
    """
    rows = _validate.as_mass_rows("histograms", histograms)
    if len(rows) == 0:
        raise InvalidInputError(f"histograms has no rows: its shape is {rows.shape}")
    cdfs, totals = _cdfs("histograms", rows)
    return _barycenter(rows, cdfs, totals, _shares(weights, len(rows)), positions)


def interpolate_1d(
    a: ArrayLike, b: ArrayLike, t: float, *, positions: ArrayLike | None = None
) -> Floats:
    """Displacement interpolation [1]_: `a` with its mass moved the part `t` of the way to `b`.

    Parameters
    ----------
    a, b : array_like, shape (bins,)
        Masses, as in :func:`imgsim_fast.wasserstein_1d`.
    t : float
        0 gives `a`, 1 gives `b`.
    positions : array_like, shape (bins,), optional
        Where the bins are, sorted; default 0, 1, 2, ...

    Returns
    -------
    ndarray of float64, shape (bins,)
        Masses on the same bins, split between bins as in :func:`barycenter_1d`; their total is
        ``(1 - t) * total of a + t * total of b``.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it, the element and its value.
    OutOfRangeError
        A total is beyond float64.

    Notes
    -----
    The barycentre with weights 1 - t and t, and the geodesic for every p >= 1: W_p from `a` to it
    is t times W_p from `a` to `b`, but for the splitting between bins. O(bins log bins).

    References
    ----------
    .. [1] McCann, "A convexity principle for interacting gases", 1997.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.interpolate_1d([3, 1, 0, 0, 0], [0, 0, 0, 3, 1], 1 / 3)
    array([0., 3., 1., 0., 0.])
    """
    first, second = (_validate.as_masses(name, value) for name, value in (("a", a), ("b", b)))
    for name, masses in (("a", first), ("b", second)):
        if masses.ndim != 1:
            raise InvalidInputError(f"{name} must have one dimension (bins,), got {masses.shape}")
    _validate.check_same_bins("a", first, "b", second)
    part = _validate.as_number("t", t, least=0, most=1)
    (cdf_a, total_a), (cdf_b, total_b) = _cdfs("a", first), _cdfs("b", second)
    return _barycenter(
        np.stack([first, second]),
        np.concatenate([cdf_a, cdf_b]),
        np.concatenate([total_a, total_b]),
        np.array([1 - part, part]),
        positions,
    )


def _cdfs(name: str, masses: Floats) -> tuple[Floats, Floats]:
    """Rows that end with 1, and totals."""
    rows = masses.reshape(-1, masses.shape[-1])
    try:
        sums, scaled_totals = _core.running_sums(rows)
    except _core.BadMassError as bad:
        _validate.explain_bad_mass(name, masses, bad.row)
    with np.errstate(over="ignore"):
        totals = rows.sum(axis=1)
    if np.isinf(totals).any():
        where = f"[{int(np.isinf(totals).argmax())}]" if masses.ndim > 1 else ""
        raise OutOfRangeError(f"the total of {name}{where} is beyond float64")
    return sums / scaled_totals[:, None], totals


def _shares(weights: ArrayLike | None, rows: int) -> Floats:
    if weights is None:
        return np.full(rows, 1 / rows)
    given = _validate.as_masses("weights", weights)
    if given.shape != (rows,):
        raise InvalidInputError(
            f"weights must have shape ({rows},), one per row of histograms, got {given.shape}"
        )
    _, total = _cdfs("weights", given)  # raises unless they are masses
    return np.asarray(given / total)


def _barycenter(
    rows: Floats, cdfs: Floats, totals: Floats, shares: Floats, positions: ArrayLike | None
) -> Floats:
    bins = rows.shape[1]
    places = _validate.as_positions(positions, bins)
    if places is None:
        places = np.arange(bins, dtype=np.float64)
    with np.errstate(over="ignore"):
        span = float(places[-1] - places[0])
    if not np.isfinite(span):
        raise InvalidInputError(
            f"positions span {places[0]} ... {places[-1]}: more than float64 can hold"
        )
    points, masses = _quantile_mean(rows > 0, cdfs, shares, places)
    return _split_between_bins(points, masses, places) * float((shares * totals).sum())


def _quantile_mean(
    present: NDArray[np.bool_], cdfs: Floats, shares: Floats, places: Floats
) -> tuple[Floats, Floats]:
    """Atoms of the barycentre, ascending: where they are, and their masses (total 1).

    The mean of the quantile functions jumps by a row's share of a gap where the CDF of the row
    leaves a bin for its next one with mass.
    """
    row, at = np.nonzero(present)
    is_last = np.append(row[1:] != row[:-1], True)
    is_first = np.append(True, is_last[:-1])
    gap = np.where(is_last, 0.0, places[np.append(at[1:], 0)] - places[at])
    start = float((shares * places[at[is_first]]).sum())
    level = cdfs[row, at]
    order = np.argsort(level, kind="stable")
    level, jump = level[order], (shares[row] * gap)[order]
    points = start + np.append(0.0, np.cumsum(jump)[:-1])
    return points, np.diff(level, prepend=0.0)


def _split_between_bins(points: Floats, masses: Floats, places: Floats) -> Floats:
    points = np.clip(points, places[0], places[-1])  # rounding may have led beyond
    left = np.searchsorted(places, points, side="right") - 1
    right = np.minimum(left + 1, len(places) - 1)
    gap = places[right] - places[left]
    part = np.divide(points - places[left], gap, out=np.zeros_like(gap), where=gap > 0)
    bins = len(places)
    return np.asarray(
        np.bincount(left, masses * (1 - part), bins) + np.bincount(right, masses * part, bins)
    )
