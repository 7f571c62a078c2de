"""Histograms of pixels: NumPy's and OpenCV's counts, at memory speed for 8 bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _threads, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["histogram", "histograms"]

Range = tuple[float, float]
_MAX_BINS = 2**31  # 16 GB of counts
_CACHED_BINS = 4096  # edges of more bins are not kept for the next call


def histogram(
    image: ArrayLike,
    bins: int | Sequence[int] = 256,
    range: Range | Sequence[Range] = (0, 256),
    *,
    mask: ArrayLike | None = None,
    density: bool = False,
) -> NDArray[Any]:
    """Count pixels in equal bins: ``numpy.histogram`` and ``numpy.histogramdd``, bit for bit.

    Bin i holds ``edges[i] <= value < edges[i + 1]``; the last bin is closed. Values outside the
    range and NaN are not counted. For ``range=(0, 256)`` the counts are those of ``cv2.calcHist``.

    Parameters
    ----------
    image : array_like
        Shape (n,) or (h, w): one channel. Shape (h, w, c) with 1 to 4 channels: joint counts.
        uint8, uint16, float32 and float64 with any strides are read in place; other integers and
        float16 are widened first (integers above 2**53 are refused).
    bins : int or sequence of int
        Number of bins; for c channels one number for each, or one for all.
    range : (float, float) or sequence of them
        First and last edge, finite; for c channels one pair for each, or one for all. The defaults
        of `bins` and `range` are for 8-bit levels (NumPy's own are 10 bins over the data): for
        floats in 0 ... 1 give ``range=(0, 1)``. An RGB image with the default 256 bins per channel
        makes 2**24 joint bins, 134 MB.
    mask : array_like, optional
        Boolean or uint8 of shape (h, w) (or (n,)): only pixels where it is nonzero are counted.
    density : bool
        Divide by the total and the bin widths, as NumPy does.

    Returns
    -------
    ndarray
        int64 counts of shape (bins,) or (b1, ..., bc); float64 if `density`.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.

    Notes
    -----
    O(pixels). 8 bits with few bins: one comparison per edge on whole registers; with many: private
    tables of counters.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> isf.histogram(np.array([[0, 255], [25, 26]], np.uint8), bins=10, range=(0, 255))
    array([2, 1, 0, 0, 0, 0, 0, 0, 0, 1])
    """
    pixels = _validate.as_pixels("image", image)
    if pixels.ndim == 3:
        return _joint(pixels, bins, range, mask, density)
    if pixels.ndim not in (1, 2):
        raise InvalidInputError(
            f"image must have shape (n,), (h, w) or (h, w, channels), got {pixels.shape}; "
            "histograms() takes many images"
        )
    selected = _validate.as_mask(mask, pixels.shape)
    if pixels.ndim == 1:
        pixels = pixels[None, :]
        selected = None if selected is None else selected[None, :]
    axis = make_axis(bins, range, pixels.dtype == np.float32)
    counts = _core.histogram(pixels, selected, axis)
    if density:
        # NumPy subtracts float32 edges in float32.
        widths = np.diff(
            axis.edges.astype(np.float32) if pixels.dtype == np.float32 else axis.edges
        )
        shares: NDArray[Any] = counts / widths.astype(np.float64) / counts.sum()
        return shares
    return counts


def histograms(
    images: ArrayLike | Sequence[ArrayLike],
    bins: int = 256,
    range: Range = (0, 256),
    *,
    threads: int | None = None,
) -> NDArray[np.int64]:
    """Histogram of each of many one-channel images, one row per image.

    Parameters
    ----------
    images : ndarray of shape (n, h, w), or sequence of n arrays of shape (h, w)
        Sizes in a sequence may differ; types as in :func:`histogram`, the same for all.
    bins, range
        As in :func:`histogram`.
    threads : int, optional
        At most so many threads; default: ``IMGSIM_FAST_NUM_THREADS``, else the usable CPUs.

    Returns
    -------
    ndarray of int64, shape (n, bins)
        ``out[i]`` equals ``histogram(images[i], bins, range)``; the same for any thread count.
    """
    if isinstance(images, np.ndarray):
        stack = _validate.as_pixels("images", images)
        if stack.ndim != 3:
            raise InvalidInputError(f"images must have shape (n, h, w), got {stack.shape}")
        views = list(stack)
        dtype = stack.dtype
    else:
        listed = _validate.as_list("images", images, "a sequence of arrays")
        views = [_validate.as_pixels(f"images[{i}]", image) for i, image in enumerate(listed)]
        dtype = views[0].dtype if views else np.dtype(np.uint8)
        for i, view in enumerate(views):
            if view.ndim != 2:
                raise InvalidInputError(f"images[{i}] must have shape (h, w), got {view.shape}")
            if view.dtype != dtype:
                raise InvalidTypeError(
                    f"images must have one dtype: images[0] has {dtype}, images[{i}] {view.dtype}"
                )
    axis = make_axis(bins, range, dtype == np.float32)
    return _core.histograms(views, axis, _threads.resolve(threads))


def _joint(
    pixels: NDArray[Any],
    bins: int | Sequence[int],
    range: Range | Sequence[Range],
    mask: ArrayLike | None,
    density: bool,
) -> NDArray[Any]:
    channels = pixels.shape[2]
    if not 1 <= channels <= 4:
        raise InvalidInputError(
            f"image must have 1 to 4 channels, got {channels} (shape {pixels.shape}); histograms() "
            "takes many images"
        )
    selected = _validate.as_mask(mask, pixels.shape[:2])
    numbers = _validate.one_for_each("bins", bins, channels)
    ranges = _ranges(range, channels)
    for name, given in (("bins", numbers), ("range", ranges)):
        if len(given) != channels:
            raise InvalidInputError(
                f"{name} must have one entry for each of the {channels} channels, got {len(given)}"
            )
    axes = tuple(make_axis(b, r) for b, r in zip(numbers, ranges, strict=True))
    total = math.prod(axis.bins for axis in axes)
    if total > _MAX_BINS:
        raise MemoryError(
            f"bins {tuple(axis.bins for axis in axes)} make {total} joint bins, {8 * total} bytes"
        )
    counts = _core.histogram_joint(pixels, selected, axes)
    if not density:
        return counts
    result = counts.astype(np.float64)
    for i, axis in enumerate(axes):
        shape = [1] * channels
        shape[i] = axis.bins
        result = result / np.diff(axis.edges).reshape(shape)
    result /= counts.sum()
    return result


def _ranges(range: Any, channels: int) -> list[Any]:
    """Return one range per channel from a pair for all or from a sequence of pairs."""
    listed = _validate.as_list("range", range, "two numbers or pairs")
    if not listed:
        raise InvalidTypeError(f"range must be two numbers or pairs, got {range!r}")
    return [range] * channels if np.ndim(listed[0]) == 0 else listed


def make_axis(bins: Any, range: Any, single: bool = False) -> _core.Axis:
    """Return the equal bins that NumPy would make; `single` for its float32 edges."""
    if not isinstance(bins, int) or bins > _CACHED_BINS:
        number = _validate.as_count("bins", bins)
        return _new_axis(number, *as_range(range), single)
    try:
        return _cached_axis(bins, *range, single)
    except TypeError:
        pass  # unhashable, not a pair, or not numbers: the checks below say what is wrong
    return _cached_axis(_validate.as_count("bins", bins), *as_range(range), single)


def as_range(range: Any) -> Range:
    """Return the two ends as floats; the message names them."""
    try:
        first, last = (float(edge) for edge in range)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"range must be two numbers, got {range!r}") from error
    return first, last


@lru_cache(maxsize=256, typed=True)
def _cached_axis(bins: int, first: Any, last: Any, single: bool) -> _core.Axis:
    return _new_axis(bins, first, last, single)


def _new_axis(bins: int, first: Any, last: Any, single: bool) -> _core.Axis:
    number = _validate.as_count("bins", bins)
    if number > _MAX_BINS:
        raise MemoryError(f"bins is {number}: their counts take {8 * number} bytes")
    first, last = as_range((first, last))
    if not (math.isfinite(first) and math.isfinite(last)):
        raise InvalidInputError(f"range must be finite, got {(first, last)}")
    if first > last:
        raise InvalidInputError(f"range must not decrease, got {(first, last)}")
    if first == last:  # NumPy's rule
        first, last = first - 0.5, last + 0.5
    if math.isinf(last - first):
        raise InvalidInputError(f"range {(first, last)} is wider than float64 can hold")
    # As numpy.histogram: the edges of float32 pixels are float32.
    edges = np.linspace(first, last, number + 1, dtype=np.float32 if single else np.float64)
    if not (np.diff(edges) > 0).all():
        raise InvalidInputError(
            f"bins is {number}: too many for the range {(first, last)} in {edges.dtype}"
        )
    return _core.Axis(first, last, edges.astype(np.float64), single)
