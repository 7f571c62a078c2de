"""One-dimensional Wasserstein distances: closed forms on CDFs and quantiles.

Everything takes *masses* in bins (histograms), normalised on the fly; samples of values go through
``imgsim_fast.compat.scipy`` or ``compat.pot``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["cdf_vectors", "wasserstein_1d"]

Floats = NDArray[np.float64]


def wasserstein_1d(
    a: ArrayLike,
    b: ArrayLike,
    positions: ArrayLike | None = None,
    *,
    p: float = 1,
    circular: bool | float = False,
) -> float | Floats:
    """Wasserstein distance W_p between histograms over the same bins.

    The least work that turns one distribution into the other, where moving mass m by the distance d
    costs ``m * d**p``; the result is the p-th root of it, in the unit of `positions`. Each row is
    normalised to total mass 1.

    Parameters
    ----------
    a, b : array_like, shape (..., bins)
        Masses: integers, booleans or floats, finite, not negative, with a total above 0 in each
        row. Leading dimensions broadcast.
    positions : array_like, shape (bins,), optional
        Where the bins are, sorted; default 0, 1, 2, ...
    p : float
        Order, at least 1; ``math.inf`` gives the largest displacement.
    circular : bool or float
        True: the last bin is next to the first (hue), on a circle as long as there are bins. With
        `positions`: the length of the circle. p = 1 only.

    Returns
    -------
    float, or ndarray of float64 with the broadcast leading shape

    Raises
    ------
    InvalidInputError, InvalidTypeError
        A mass is NaN, infinite or negative, a row has no mass, shapes do not fit, and so on; the
        message names the argument, the element and its value.

    Notes
    -----
    p = 1 is the area between the CDFs [1]_, p > 1 couples quantiles, a circle minimises over the
    level of the difference of the CDFs [2]_. O(bins); O(bins log bins) on a circle. For
    whole-number masses and positions (products of totals below 2**53 / bins) the result is the
    true distance correctly rounded. A pair call starts no threads.

    References
    ----------
    .. [1] Vallender, "Calculation of the Wasserstein distance between probability distributions on
       the line", 1974.
    .. [2] Rabin, Delon, Gousseau, "Transportation distances on the circle", 2011.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.wasserstein_1d([1, 0, 0], [0, 0, 1])
    2.0
    >>> isf.wasserstein_1d([1, 0, 0], [0, 0, 1], circular=True)
    1.0
    """
    if positions is None and circular is False and _validate.is_one(p):
        quick = _core.wasserstein_1d_plain(a, b)
        if quick is not None:
            return quick
    first = _validate.as_masses("a", a)
    second = _validate.as_masses("b", b)
    _validate.check_same_bins("a", first, "b", second)
    metric = _validate.as_metric(first.shape[-1], positions, p, circular)
    try:
        shape = np.broadcast_shapes(first.shape[:-1], second.shape[:-1])
    except ValueError as error:
        raise InvalidInputError(
            f"a and b do not broadcast: leading shapes {first.shape[:-1]} and {second.shape[:-1]}"
        ) from error
    try:
        out = _core.pairs(
            metric, _rows(first), _rows(second), _row_numbers(first, shape),
            _row_numbers(second, shape), 1,
        )  # fmt: skip
    except _core.BadMassError as bad:
        name, masses = (("a", first), ("b", second))[bad.which]
        _validate.explain_bad_mass(name, masses, bad.row)
    return out.reshape(shape) if shape else float(out[0])


def cdf_vectors(
    histograms: ArrayLike,
    positions: ArrayLike | None = None,
    *,
    dtype: DTypeLike = np.float64,
) -> NDArray[Any]:
    """Vectors whose L1 (Manhattan) distance is W1: for any engine that knows L1.

    Parameters
    ----------
    histograms : array_like, shape (..., bins)
        Masses, as in :func:`wasserstein_1d`.
    positions : array_like, shape (bins,), optional
        Where the bins are, sorted; default 0, 1, 2, ...
    dtype : dtype
        float64 or float32; float32 halves the size and keeps about 6 digits.

    Returns
    -------
    ndarray, shape (..., bins)
        Column j is the share of mass up to bin j times the gap to bin j + 1 (the last column, whose
        gap is 1 or 0, adds nothing to a distance).

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> u, v = isf.cdf_vectors([[1, 1, 0], [0, 1, 1]])
    >>> float(abs(u - v).sum()), isf.wasserstein_1d([1, 1, 0], [0, 1, 1])
    (1.0, 1.0)
    """
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise InvalidTypeError(f"dtype must be float64 or float32, got {dtype!r}") from error
    if kind not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise InvalidTypeError(f"dtype must be float64 or float32, got {kind}")
    masses = _validate.as_masses("histograms", histograms)
    places = _validate.as_positions(positions, masses.shape[-1])
    try:
        sums, totals = _core.running_sums(_rows(masses))
    except _core.BadMassError as bad:
        _validate.explain_bad_mass("histograms", masses, bad.row)
    vectors = sums / totals[:, None]
    if places is not None:
        vectors *= np.append(np.diff(places), 0.0)
    return vectors.astype(kind, copy=False).reshape(masses.shape)


def _rows(masses: Floats) -> Floats:
    return masses.reshape(-1, masses.shape[-1])


def _row_numbers(masses: Floats, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Which row of the flattened ``masses`` belongs to each entry of the broadcast result."""
    leading = masses.shape[:-1]
    numbers = np.arange(int(np.prod(leading, dtype=np.int64)), dtype=np.int64).reshape(leading)
    return np.ascontiguousarray(np.broadcast_to(numbers, shape)).ravel()
