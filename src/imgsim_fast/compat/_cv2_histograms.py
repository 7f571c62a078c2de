"""``calcHist`` and ``compareHist`` of OpenCV; ``compat.cv2`` shows them."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _memory, _validate, comparison
from imgsim_fast.compat._cv2_errors import WrongTypeError, error
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.histogram import histogram

Array = NDArray[Any]

HISTCMP_CORREL = comparison.METHODS["correlation"]
HISTCMP_CHISQR = comparison.METHODS["chi2"]
HISTCMP_INTERSECT = comparison.METHODS["intersection"]
HISTCMP_BHATTACHARYYA = comparison.METHODS["bhattacharyya"]
HISTCMP_HELLINGER = HISTCMP_BHATTACHARYYA
HISTCMP_CHISQR_ALT = comparison.METHODS["chi2-alt"]
HISTCMP_KL_DIV = comparison.METHODS["kl"]

_MOST_JOINT = 4  # channels that histogram() counts jointly
_MOST_AXES = 32
_LEVELS = {1: 256, 2: 65536}  # of unsigned integers, by their size


# ---- comparison ------------------------------------------------------------------------------


def compareHist(H1: ArrayLike, H2: ArrayLike, method: int) -> float:  # noqa: N802 - OpenCV's name
    """Compare two histograms: ``cv2.compareHist``, but by the formula.

    Parameters
    ----------
    H1, H2 : array_like of one shape
        Any real type (OpenCV: float32 only) and any number of dimensions; axes of length 1 do not
        matter. Finite; for HISTCMP_BHATTACHARYYA and HISTCMP_KL_DIV not negative.
    method : int
        ``HISTCMP_CORREL``, ``HISTCMP_CHISQR``, ``HISTCMP_INTERSECT``, ``HISTCMP_BHATTACHARYYA``
        (also ``HISTCMP_HELLINGER``), ``HISTCMP_CHISQR_ALT`` or ``HISTCMP_KL_DIV``.

    Returns
    -------
    float
        As :func:`imgsim_fast.compare_histograms`, in float64. OpenCV's number differs where it is
        wrong: correlation of joint histograms, of empty and of constant ones; see
        ``docs/opencv.md``.

    Raises
    ------
    error
        What OpenCV reports as ``cv2.error``, and NaN, infinite or negative bins. A ``ValueError``;
        wrong types are a ``TypeError`` too.
    OutOfRangeError
        The result is beyond float64.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim_fast.compat import cv2
    >>> cube = np.random.default_rng(0).integers(0, 99, (8, 8, 8)).astype(np.float32)
    >>> cv2.compareHist(cube, cube, cv2.HISTCMP_CORREL)  # OpenCV 5.0: -1.0
    1.0
    """
    quick = _core.compare_plain(H1, H2, method)
    if quick is not None:
        return quick
    number = _as_method(method)
    try:
        first, second = comparison.as_bins("H1", H1), comparison.as_bins("H2", H2)
        if _without_ones(first.shape) != _without_ones(second.shape):
            raise error(
                f"H1 has shape {first.shape} and H2 {second.shape}: both must have the same size"
            )
        return comparison.compare_bins(first, second, number, normalize=False, names=("H1", "H2"))
    except InvalidTypeError as reason:
        raise WrongTypeError(str(reason)) from None
    except InvalidInputError as reason:
        raise error(str(reason)) from None


def _as_method(method: Any) -> int:
    try:
        if isinstance(method, (bool, np.bool_, np.ndarray)):
            raise TypeError
        number = operator.index(method)
    except TypeError:
        raise WrongTypeError(f"method must be an integer, got {method!r}") from None
    if not 0 <= number < len(_core.COMPARISONS):
        raise error(
            f"method is {method!r}: Unknown comparison method; known are HISTCMP_CORREL (0) to "
            "HISTCMP_KL_DIV (5)"
        )
    return number


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


# ---- counting --------------------------------------------------------------------------------


def calcHist(  # noqa: N802 - OpenCV's name
    images: Sequence[ArrayLike],
    channels: Sequence[int],
    mask: ArrayLike | None,
    histSize: Sequence[int],
    ranges: Sequence[float] | None,
    hist: Array | None = None,
    accumulate: bool = False,
) -> Array:
    """Count pixels in equal bins: ``cv2.calcHist``.

    Parameters
    ----------
    images : sequence of array_like
        Arrays of one shape (h, w) or (h, w, c) each, with any number of channels, and one type: any
        real one (OpenCV: uint8, uint16, float32). Vectors are images of one row.
    channels : sequence of int
        The channels to count, numbered through all images: one for each axis of the histogram.
    mask : array_like or None
        Boolean or uint8 of shape (h, w): only pixels where it is nonzero are counted.
    histSize : sequence of int
        Number of bins of each axis.
    ranges : sequence of float or None
        Lower end and upper end, which is not included, of each axis, one after the other; rounded
        to float32. Empty or None: 0 and 256, for uint8.
    hist : ndarray, optional
        Float32 or float64 of the histogram's shape, or of shape (bins, 1): filled and returned.
    accumulate : bool
        Add to `hist`, which then has to fit.

    Returns
    -------
    ndarray of float32
        Counts of shape `histSize`: in one dimension (bins,) as in OpenCV 5, not (bins, 1) as in
        OpenCV 4. Values outside the range and NaN are not counted.

    Raises
    ------
    error
        What OpenCV reports as ``cv2.error``. A ``ValueError``; wrong types are a ``TypeError`` too.
    MemoryError
        The histogram would not fit.

    Notes
    -----
    8 bits over [0, 256) are counted by :func:`imgsim_fast.histogram`; everything else by NumPy, in
    O(pixels) time and memory. Value v lies in bin floor(v a + b), with a = bins / (high - low) and
    b = -a low in float64, as in OpenCV.

    Examples
    --------
    >>> import numpy as np
    >>> from imgsim_fast.compat import cv2
    >>> image = np.array([[0, 100], [200, 255]], np.uint8)
    >>> cv2.calcHist([image], [0], None, [2], [0, 256])
    array([2., 2.], dtype=float32)
    """
    try:
        planes, joint = _as_planes(images, channels)
        sizes = _as_sizes(histSize, len(planes))
        limits = _as_limits(ranges, planes)
        selected = _validate.as_mask(mask, planes[0].shape)
    except InvalidTypeError as reason:
        raise reason if isinstance(reason, error) else WrongTypeError(str(reason)) from None
    except InvalidInputError as reason:
        raise reason if isinstance(reason, error) else error(str(reason)) from None
    target = _as_target(hist, sizes, accumulate)
    total = math.prod(sizes)
    _memory.check(12 * total, f"a histogram of {total} bins")
    counts = _counts(planes, joint, sizes, limits, selected).reshape(sizes)
    if target is None:
        return counts.astype(np.float32)
    view = target.reshape(sizes)  # at most an axis of length 1 less: never a copy
    if accumulate:
        view += counts.astype(np.float32)
    else:
        view[...] = counts
    return target


def _counts(
    planes: list[Array],
    joint: Array | None,
    sizes: tuple[int, ...],
    limits: list[tuple[float, float]],
    mask: Any,
) -> NDArray[np.int64]:
    whole = all(limit == (0, 256) for limit in limits)
    if planes[0].dtype == np.uint8 and whole and len(planes) <= _MOST_JOINT:
        if len(planes) == 1:
            return histogram(planes[0], sizes[0], mask=mask)
        return histogram(np.stack(planes, axis=-1) if joint is None else joint, sizes, mask=mask)
    at = np.zeros(planes[0].shape, np.int64)
    inside = np.ones(at.shape, bool) if mask is None else mask != 0
    for plane, size, (low, high) in zip(planes, sizes, limits, strict=True):
        levels = _LEVELS.get(plane.dtype.itemsize) if plane.dtype.kind == "u" else None
        values = plane if levels is None else np.arange(levels)
        bins, counted = _bins_of(values.astype(np.float64), size, low, high)
        if levels is not None:
            bins, counted = bins[plane], counted[plane]
        at *= size
        at += bins
        inside = inside & counted
    return np.bincount(at[inside], minlength=math.prod(sizes))


def _bins_of(
    values: NDArray[np.float64], size: int, low: float, high: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the bin of each value, 0 where it lies outside, and whether it lies inside."""
    step = size / (high - low)
    counted = (values >= low) & (values < high)
    bins = np.floor(np.where(counted, values, low) * step - step * low)
    return np.clip(bins, 0, size - 1).astype(np.int64), counted


def _as_planes(images: Any, channels: Sequence[int]) -> tuple[list[Array], Array | None]:
    """Return the chosen channels, each of shape (h, w), and the image if they are all of it."""
    if not isinstance(images, (list, tuple)):  # a bare array would be a list of rows
        raise WrongTypeError(
            f"images must be a list of arrays, got {type(images).__name__}: write [image]"
        )
    if not images:
        raise error("images is empty: nimages > 0")
    arrays = [_validate.as_pixels(f"images[{i}]", image) for i, image in enumerate(images)]
    planes: list[tuple[int, int]] = []  # image and channel
    for i, array in enumerate(arrays):
        if array.ndim == 1:
            arrays[i] = array[None, :]
        elif array.ndim not in (2, 3):
            raise error(f"images[{i}] has shape {array.shape}, not (h, w) or (h, w, channels)")
        planes += [(i, c) for c in range(array.shape[2] if array.ndim == 3 else 1)]
    numbers = _as_whole("channels", channels)
    if not numbers:
        raise error("channels is empty: it must have one entry for each axis of the histogram")
    chosen = []
    for number in numbers:
        if not 0 <= number < len(planes):
            raise error(f"channels holds {number}: the images have {len(planes)} channels")
        i, c = planes[number]
        chosen.append(arrays[i][:, :, c] if arrays[i].ndim == 3 else arrays[i])
    for plane in chosen[1:]:
        if plane.shape != chosen[0].shape or plane.dtype != chosen[0].dtype:
            raise error(
                f"images must have one size and type: {chosen[0].shape} of {chosen[0].dtype} and "
                f"{plane.shape} of {plane.dtype}"
            )
    first = planes[numbers[0]][0]
    whole = [n for n, (i, _) in enumerate(planes) if i == first]
    return chosen, arrays[first] if arrays[first].ndim == 3 and numbers == whole else None


def _as_whole(name: str, values: Any) -> list[int]:
    try:
        return [operator.index(value) for value in np.atleast_1d(values).tolist()]
    except (TypeError, ValueError):
        raise WrongTypeError(f"{name} must be a sequence of integers, got {values!r}") from None


def _as_sizes(sizes: Sequence[int], dims: int) -> tuple[int, ...]:
    numbers = tuple(_as_whole("histSize", sizes))
    if len(numbers) != dims:
        raise error(f"histSize has {len(numbers)} entries for {dims} channels: csz == dims")
    if dims > _MOST_AXES:
        raise error(f"histSize has {dims} entries: dims <= {_MOST_AXES}")
    if min(numbers) < 1:
        raise error(f"histSize is {sizes!r}: every axis needs at least one bin")
    return numbers


def _as_limits(ranges: Any, planes: list[Array]) -> list[tuple[float, float]]:
    try:
        if np.iscomplexobj(ranges):
            raise TypeError
        ends = [] if ranges is None else np.asarray(ranges, np.float32).ravel().tolist()
    except (TypeError, ValueError, OverflowError):
        raise WrongTypeError(f"ranges must be a sequence of numbers, got {ranges!r}") from None
    if not ends and planes[0].dtype == np.uint8:
        ends = [0.0, 256.0] * len(planes)
    if len(ends) != 2 * len(planes):
        raise error(
            f"ranges has {len(ends)} entries for {len(planes)} channels: rsz == dims*2, two for "
            "each; bins of unequal width are not supported"
        )
    limits = list(zip(ends[::2], ends[1::2], strict=True))
    for low, high in limits:
        if not (low < high and math.isfinite(low) and math.isfinite(high)):
            raise error(f"ranges holds {low} and {high}: the lower end must be below the upper one")
    return limits


def _as_target(hist: object, sizes: tuple[int, ...], accumulate: bool) -> Array | None:
    """Return `hist` if it can be filled; None for a new array."""
    if hist is None:
        return None
    if not isinstance(hist, np.ndarray):
        raise WrongTypeError(f"hist is not a numpy array, got {hist!r}")
    if not hist.flags.writeable:
        raise error("hist is an output argument, but the array given is readonly")
    fits = hist.shape == sizes or (len(sizes) == 1 and hist.shape == (*sizes, 1))
    if fits and hist.dtype in (np.float32, np.float64):
        return hist
    if accumulate:
        raise error(
            f"hist has shape {hist.shape} and dtype {hist.dtype}: to accumulate it must be float32 "
            f"or float64 of shape {sizes}"
        )
    return None
