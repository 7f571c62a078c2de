"""Comparison of histograms bin by bin: OpenCV's six formulas, in float64 and without its errors."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, OutOfRangeError
from imgsim_fast.sparse_histogram import SparseHistogram

__all__ = ["compare_histograms"]

Array = NDArray[Any]

METHODS = {name: number for number, name in enumerate(_core.COMPARISONS)}
_HELLINGER = "hellinger"
_NUMBERS = {**METHODS, _HELLINGER: METHODS["bhattacharyya"]}
_IN_PLACE = (np.float32, np.float64, np.uint32, np.int64)
# Roots, logarithms and shares need counts.
_NEED_COUNTS = (METHODS["bhattacharyya"], METHODS["kl"])


def compare_histograms(
    a: ArrayLike | SparseHistogram,
    b: ArrayLike | SparseHistogram,
    method: str = "correlation",
    *,
    normalize: bool = False,
) -> float:
    """Compare two histograms bin by bin.

    Parameters
    ----------
    a, b : array_like of one shape, or two SparseHistogram of one shape
        Finite numbers; integers up to 2**53. Any number of dimensions: bins are bins. The methods
        "bhattacharyya" and "kl", and `normalize`, take no negative numbers.
    method : str
        With N bins, means A and B:

        ================= ============================================== ========= ========
        method            formula                                        closer is itself
        ================= ============================================== ========= ========
        "correlation"     sum (a-A)(b-B) / sqrt(sum (a-A)^2 sum (b-B)^2) larger    1
        "chi2"            sum (a-b)^2 / a  over a != 0                   smaller   0
        "chi2-alt"        2 sum (a-b)^2 / (a+b)  over a+b != 0           smaller   0
        "intersection"    sum min(a, b)                                  larger    sum a
        "bhattacharyya"   sqrt(1 - sum sqrt(a b) / sqrt(sum a sum b))    smaller   0
        "kl"              sum a log(a / b)  over a != 0; b = 0 as 1e-10  smaller   0
        ================= ============================================== ========= ========

        "hellinger" is another name of "bhattacharyya".
    normalize : bool
        Divide each histogram by its total first: for images of different sizes.

    Returns
    -------
    float
        A histogram compared with itself gives exactly the value in the table (1 for the normalised
        intersection). Where the formula has no answer: two histograms without variation correlate
        in 1 (both empty, or both constant and not 0), one without variation and another one in 0;
        "bhattacharyya" is 0 for two empty histograms and 1 for an empty and another one. An empty
        histogram stays empty when normalised, and two empty ones intersect in 1. "chi2" looks at
        the bins of `a` only: an empty `a` is at distance 0 from anything.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.
    OutOfRangeError
        The result is beyond float64.

    Notes
    -----
    O(bins), or O(occupied bins) for sparse histograms, whose sums of counts are exact. Errors are
    those of rounding, about 1e-15 of the largest sum. ``docs/comparison.md`` compares with OpenCV.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.compare_histograms([1, 2, 3], [2, 4, 6])
    1.0
    >>> isf.compare_histograms([1, 2, 3], [2, 2, 2], "intersection")
    5.0
    """
    try:
        number = _NUMBERS[method]
    except (KeyError, TypeError):
        _explain_method(method)
    if normalize is False:
        quick = _core.compare_plain(a, b, number)
        if quick is not None:
            return quick
    if isinstance(a, SparseHistogram) or isinstance(b, SparseHistogram):
        return _compare_sparse(a, b, number, bool(normalize))
    first, second = as_bins("a", a), as_bins("b", b)
    if first.shape != second.shape:
        raise InvalidInputError(
            f"a and b must have the same shape, got {first.shape} and {second.shape}"
        )
    return compare_bins(first, second, number, normalize=bool(normalize))


def compare_bins(
    a: Array, b: Array, number: int, *, normalize: bool, names: tuple[str, str] = ("a", "b")
) -> float:
    """Compare arrays from `as_bins`, of one size, by the number of a method."""
    try:
        return _core.compare_dense(number, normalize, a, b)
    except _core.BadHistogramError as error:
        counts = normalize or number in _NEED_COUNTS
        explain_bad_bins(error.which, names, (a, b), number, counts)


def as_bins(name: str, value: ArrayLike) -> Array:
    """Return a C-contiguous array of a type that the core reads; elements are not yet checked."""
    array = _validate.as_real(name, value)
    if array.size == 0:
        raise InvalidInputError(f"{name} has no bins: its shape is {array.shape}")
    kind = array.dtype
    if kind not in _IN_PLACE:
        small = kind.kind in "biu" and kind.itemsize < 8
        kind = np.dtype(np.int64 if small or kind.kind == "u" else np.float64)
    return np.require(np.atleast_1d(array), kind, ["C", "A"]).view(np.ndarray)


def explain_bad_bins(
    which: int | None, names: tuple[str, str], given: tuple[Array, Array], number: int, counts: bool
) -> NoReturn:
    """Raise the error for what the core has refused."""
    if which is None:
        raise OutOfRangeError(
            f"{_core.COMPARISONS[number]} of {names[0]} and {names[1]} is beyond the range of "
            "float64: scale them"
        )
    name, array = names[which], given[which]
    bad = ~np.isfinite(array) | ((array < 0) if counts else False)
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        rule = "bins must be finite"
        if counts:
            rule += f" and, for {_core.COMPARISONS[number]!r} or normalize, not negative"
        value = float(array[at])
        text = "NaN" if np.isnan(value) else repr(value)
        raise InvalidInputError(f"{name}[{', '.join(map(str, at))}] is {text}: {rule}")
    raise InvalidInputError(f"{name} has changed during the call: its bins were not finite")


def _compare_sparse(a: object, b: object, number: int, normalize: bool) -> float:
    if not isinstance(a, SparseHistogram) or not isinstance(b, SparseHistogram):
        name, other = ("a", b) if isinstance(a, SparseHistogram) else ("b", a)
        raise InvalidTypeError(
            f"{name} is a SparseHistogram and the other one {type(other).__name__}: both must be "
            f"sparse, or both arrays; {name}.dense() makes it one"
        )
    if a.shape != b.shape:
        raise InvalidInputError(f"a and b must have the same shape, got {a.shape} and {b.shape}")
    try:
        return _core.compare_sparse(number, normalize, a.keys, a.counts, b.keys, b.counts, a.bins)
    except _core.BadHistogramError as error:
        raise InvalidInputError(
            f"{'b' if error.which else 'a'} has changed since it was made: its keys do not "
            f"ascend below {a.bins}, or its counts add up to 2**32 or more"
        ) from None


def _explain_method(method: object) -> NoReturn:
    known = ", ".join(map(repr, METHODS))
    if isinstance(method, str):
        raise InvalidInputError(f"method is {method!r}; known are {known}")
    raise InvalidTypeError(f"method must be one of {known}, got {method!r}")
