"""Joint colour histograms that list their occupied bins: 2**24 bins in a few megabytes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _memory, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["SparseHistogram", "sparse_histogram"]

Keys = NDArray[np.uint32]

_MOST = 2**32  # bins, and pixels; totals are below
_MOST_BINS = 256  # of a channel: 8-bit levels
_MOST_CHANNELS = 3


class SparseHistogram:
    """Counts of the occupied bins of a joint histogram; all other bins of `shape` hold 0.

    Parameters
    ----------
    keys : array_like of int, shape (occupied,)
        Positions of the bins in the flattened histogram (last axis fastest), ascending.
    counts : array_like of int, shape (occupied,)
        Their counts: not negative, of a total below 2**32.
    shape : sequence of int
        Shape of the dense histogram, at most 2**32 bins.

    Attributes
    ----------
    keys, counts : ndarray of uint32, shape (occupied,)
        Read-only.
    shape : tuple of int

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.SparseHistogram([1, 5], [2, 7], (2, 3)).dense()
    array([[0, 2, 0],
           [0, 0, 7]])
    """

    __slots__ = ("_total", "counts", "keys", "shape")

    keys: Keys
    counts: Keys
    shape: tuple[int, ...]

    def __init__(self, keys: ArrayLike, counts: ArrayLike, shape: Sequence[int]) -> None:
        sizes = _as_shape(shape)
        places, amounts = _as_whole("keys", keys), _as_whole("counts", counts)
        if places.size != amounts.size:
            raise InvalidInputError(
                f"counts must have one element for each of the {places.size} keys, got "
                f"{amounts.size}"
            )
        bins = math.prod(sizes)
        if places.size and int(places.max()) >= bins:
            raise InvalidInputError(
                f"keys[{int(places.argmax())}] is {int(places.max())}: the shape {sizes} has "
                f"{bins} bins"
            )
        if (places[1:] <= places[:-1]).any():
            at = int(np.flatnonzero(places[1:] <= places[:-1])[0]) + 1
            raise InvalidInputError(
                f"keys must ascend: keys[{at}] is {int(places[at])} after {int(places[at - 1])}"
            )
        total = int(amounts.sum(dtype=np.uint64))
        if total >= _MOST:
            raise InvalidInputError(f"counts add up to {total}: totals must be below 2**32")
        self._set(places.astype(np.uint32), amounts.astype(np.uint32), total, sizes)

    def _set(self, keys: Keys, counts: Keys, total: int, shape: tuple[int, ...]) -> None:
        keys.setflags(write=False)
        counts.setflags(write=False)
        self.keys, self.counts, self.shape, self._total = keys, counts, shape, total

    @property
    def bins(self) -> int:
        """Number of bins, occupied or not."""
        return math.prod(self.shape)

    @property
    def total(self) -> int:
        """Sum of the counts."""
        return self._total

    def dense(self) -> NDArray[np.int64]:
        """Return the counts of all bins, shape `shape`; 134 MB for 256 bins in three channels."""
        _memory.check(8 * self.bins, f"a dense histogram of {self.bins} bins")
        counts = np.zeros(self.bins, np.int64)
        counts[self.keys] = self.counts
        return counts.reshape(self.shape)

    def __reduce__(self) -> tuple[Any, ...]:
        return SparseHistogram, (self.keys, self.counts, self.shape)

    def __eq__(self, other: object) -> bool:
        """Tell whether all bins hold the same counts, and `shape` is the same."""
        if not isinstance(other, SparseHistogram):
            return NotImplemented
        if self.shape != other.shape:
            return False
        mine, theirs = self.counts != 0, other.counts != 0
        return np.array_equal(self.keys[mine], other.keys[theirs]) and np.array_equal(
            self.counts[mine], other.counts[theirs]
        )

    def __repr__(self) -> str:
        return f"<SparseHistogram {self.shape}: {self.keys.size} bins hold {self.total}>"


def sparse_histogram(
    image: ArrayLike,
    bins: int | Sequence[int] = 256,
    *,
    ignore: str | int | Sequence[int] | None = None,
    mask: ArrayLike | None = None,
) -> SparseHistogram:
    """Count the pixels of an 8-bit image in joint bins, and list the bins that hold any.

    Level v of a channel lies in bin ``v * bins // 256``, as in :func:`histogram` with its default
    range and in ``cv2.calcHist`` with ``[0, 256]``.

    Parameters
    ----------
    image : array_like of uint8
        Shape (h, w), or (h, w, c) with 1 to 3 channels; any strides; fewer than 2**32 pixels.
    bins : int or sequence of int
        Bins per channel, 1 to 256; one number for all channels, or one for each.
    ignore : "white", int or sequence of int, optional
        A colour, one level per channel ("white": 255 in all). The bin that it lies in is set to
        0 and keeps its place: the number of bins stays the same. With fewer than 256 bins, all
        colours of that bin go.
    mask : array_like, optional
        Boolean or uint8 of shape (h, w): only pixels where it is nonzero are counted.

    Returns
    -------
    SparseHistogram
        Of shape (bins,) or (b1, ..., bc). Empty if all pixels lie in the bin of `ignore`.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used, the image has no pixels, or the mask hides all of them; the
        message names the argument and its value.

    Notes
    -----
    O(pixels): some milliseconds for a megapixel. Up to 65,536 bins are counted in one table. More
    are counted in bytes that carry, in pages of 16 x 16 x 16 neighbouring colours: 1 MB to 8 MB of
    scratch for a photograph, 16 MB where all colours occur. The result takes 8 bytes per occupied
    bin.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> image = np.full((2, 3, 3), 255, np.uint8)
    >>> image[0, 0] = 1, 2, 3
    >>> isf.sparse_histogram(image)
    <SparseHistogram (256, 256, 256): 2 bins hold 6>
    >>> isf.sparse_histogram(image, ignore="white").keys.tolist() == [1 << 16 | 2 << 8 | 3]
    True
    """
    pixels = _as_bytes(image)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    numbers = _as_bins(bins, channels)
    selected = _validate.as_mask(mask, pixels.shape[:2])
    if selected is not None and not selected.any():
        raise InvalidInputError(
            f"mask is 0 at all {selected.size} pixels: it must be nonzero where pixels count"
        )
    ignored = None if ignore is None else _key(_as_colour(ignore, channels), numbers)
    histogram = SparseHistogram.__new__(SparseHistogram)
    histogram._set(*_core.sparse_histogram(pixels, selected, numbers, ignored), numbers)
    return histogram


def _key(colour: tuple[int, ...], bins: tuple[int, ...]) -> int:
    """Return the place of a colour's bin in the flattened histogram."""
    key = 0
    for level, number in zip(colour, bins, strict=True):
        key = key * number + level * number // 256
    return key


def _as_bytes(image: ArrayLike) -> NDArray[np.uint8]:
    pixels = _validate.as_pixels("image", image)
    if pixels.dtype != np.uint8:
        raise InvalidTypeError(
            f"image must be uint8, got {np.asarray(image).dtype}; histogram() takes other types"
        )
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and not 0 < pixels.shape[2] <= 3):
        raise InvalidInputError(
            f"image must have shape (h, w) or (h, w, c) with 1 to {_MOST_CHANNELS} channels, got "
            f"{pixels.shape}"
        )
    if pixels.size == 0:
        raise InvalidInputError(f"image has no pixels: its shape is {pixels.shape}")
    if pixels.shape[0] * pixels.shape[1] >= _MOST:
        raise InvalidInputError(f"image has shape {pixels.shape}: 2**32 pixels or more")
    return pixels


def _as_bins(bins: int | Sequence[int], channels: int) -> tuple[int, ...]:
    listed = _validate.one_for_each("bins", bins, channels)
    if len(listed) != channels:
        raise InvalidInputError(
            f"bins must have one entry for each of the {channels} channels, got {len(listed)}"
        )
    numbers = tuple(_validate.as_count("bins", number) for number in listed)
    if max(numbers) > _MOST_BINS:
        raise InvalidInputError(f"bins must be at most {_MOST_BINS} per channel, got {bins!r}")
    return numbers


def _as_colour(ignore: Any, channels: int) -> tuple[int, ...]:
    if isinstance(ignore, str):
        if ignore != "white":
            raise InvalidInputError(f"ignore must be 'white' or levels, got {ignore!r}")
        return (255,) * channels
    try:
        levels = [ignore] if np.ndim(ignore) == 0 else list(ignore)
        colour = tuple(operator.index(level) for level in levels)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidTypeError(f"ignore must be 'white' or levels, got {ignore!r}") from error
    if len(colour) != channels:
        raise InvalidInputError(
            f"ignore must have one level for each of the {channels} channels, got {ignore!r}"
        )
    if min(colour) < 0 or max(colour) > 255:
        raise InvalidInputError(f"ignore is {ignore!r}: levels are 0 to 255")
    return colour


def _as_shape(shape: Sequence[int]) -> tuple[int, ...]:
    listed = _validate.as_list("shape", shape, "a sequence of integers")
    sizes = tuple(_validate.as_count("shape", size) for size in listed)
    if not sizes or math.prod(sizes) > _MOST:
        raise InvalidInputError(f"shape must have 1 to 2**32 bins, got {shape!r}")
    return sizes


def _as_whole(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return a vector of integers in 0 ... 2**32 - 1."""
    array = _validate.as_real(name, values)
    if array.ndim != 1:
        raise InvalidInputError(f"{name} must have one dimension, got shape {array.shape}")
    if array.size == 0:
        return np.empty(0, np.uint32)
    if array.dtype.kind not in "iu":
        raise InvalidTypeError(f"{name} must hold integers, got {array.dtype}")
    bad = np.flatnonzero((array < 0) | (array >= _MOST))
    if bad.size:
        raise InvalidInputError(
            f"{name}[{bad[0]}] is {int(array[bad[0]])}: it must be 0 to 2**32 - 1"
        )
    return array
