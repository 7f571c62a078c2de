"""Comparisons of colour histograms bin by bin: the family of OpenCV's compareHist."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core
from imgsim_fast._pillow import pillow
from imgsim_fast._validate import as_choice, as_count
from imgsim_fast.descriptors import grey_pixels, rgb_pixels
from imgsim_fast.errors import ImgsimError, InvalidInputError, InvalidTypeError
from imgsim_fast.histogram import histogram
from imgsim_fast.measures.base import Measure, rank
from imgsim_fast.rows import RaggedRows, Row, Rows, as_matrix

if TYPE_CHECKING:
    from PIL.Image import Image

_SPACES = ("rgb", "hsv", "grey")
_MOST_BINS = 256  # a channel
_MOST_DENSE = 4096  # bins in all; more are kept as a list of the occupied ones
_DEFAULT_BINS = {"rgb": 8, "hsv": 8, "grey": 256}
_WHITE = (255, 255, 255)


class HistogramComparison(Measure):
    """Two colour histograms, bin by bin; each is scaled to a total of 1 first.

    Formulas, directions and the values of degenerate histograms: docs/comparison.md. Histograms
    of more than 4,096 bins are kept sparse, so 256 bins a channel (2^24) cost what the image's own
    colours cost.

    Parameters
    ----------
    bins : int or None
        Bins a channel, 1 to 256, of equal width; None: 8 for colour, 256 for grey.
    space : {"rgb", "hsv", "grey"}
        What is counted: red, green, blue; hue, saturation, value (all three as 0 to 255, as Pillow
        has them); or grey levels.
    ignore : None, "white", or three numbers
        An RGB colour whose bin is emptied after counting; the number of bins stays (article 2's
        rule for white backgrounds).
    """

    row_dtype = np.dtype(np.uint32)
    drawn_as = "bins"
    method: ClassVar[str]

    def __init__(
        self,
        bins: int | None = None,
        space: str = "rgb",
        ignore: str | Sequence[int] | None = None,
    ) -> None:
        self._space = as_choice("space", space, _SPACES)
        self._bins = as_count("bins", _DEFAULT_BINS[space] if bins is None else bins)
        if self._bins > _MOST_BINS:
            raise InvalidInputError(f"bins must be at most {_MOST_BINS}, got {bins}")
        self._channels = 1 if space == "grey" else 3
        self._total = self._bins**self._channels
        self._ignore = _as_color(ignore)
        self._emptied = None if self._ignore is None else self._bin_of(self._ignore)
        self._number = _core.COMPARISONS.index(self.method)

    @property
    def options(self) -> Mapping[str, Any]:
        """What is counted."""
        ignored = None if self._ignore is None else list(self._ignore)
        return {"bins": self._bins, "space": self._space, "ignore": ignored}

    @property
    def row_length(self) -> int | None:
        """Number of bins; None where only the occupied ones are kept."""
        return self._total if self._total <= _MOST_DENSE else None

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Return uint32 counts of all bins; sparse: occupied bins, then their counts."""
        pixels = self._countable(image)
        if self.row_length is not None:
            counts = histogram(pixels, self._bins).reshape(-1).astype(np.uint32)
            if self._emptied is not None:
                counts[self._emptied] = 0
            return counts
        keys, counts, _ = _core.sparse_histogram(pixels, None, self._shape, self._emptied)
        return np.concatenate([keys, counts])

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Comparison of the query with each row."""
        if isinstance(rows, RaggedRows):
            return _core.compare_sparse_rows(
                self._number, True, np.ascontiguousarray(query), rows.values, rows.offsets,
                self._total, threads,
            )  # fmt: skip
        matrix = np.ascontiguousarray(as_matrix(rows))
        return _core.compare_dense_many(self._number, True, query, matrix, threads)

    def fullest_bins(
        self, a: Row, b: Row, most: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64], int]:
        """RGB colours and both shares of the bins that hold most, and the number of all bins."""
        keys_a, shares_a = self._occupied(a)
        keys_b, shares_b = self._occupied(b)
        keys = np.sort(np.concatenate([keys_a, keys_b]))
        keys = keys[np.diff(keys, prepend=-1) > 0]  # far quicker than np.unique
        first, second = np.zeros(len(keys)), np.zeros(len(keys))
        if not len(keys):  # every pixel is ignored
            return np.empty((0, 3), np.uint8), first, second, self._total
        first[np.searchsorted(keys, keys_a)] = shares_a
        second[np.searchsorted(keys, keys_b)] = shares_b
        # By what they hold together; then drawn from dark to light.
        chosen = np.sort(rank(first + second, None, most, higher_is_better=True))
        colors = self._colors(keys[chosen])
        order = np.argsort(grey_pixels(colors[None])[0], kind="stable")
        chosen = chosen[order]
        return colors[order], first[chosen], second[chosen], self._total

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a sparse row that is no list of bins and counts."""
        if not isinstance(rows, RaggedRows):
            return None
        for number, row in enumerate(rows):
            keys = row[: len(row) // 2].astype(np.int64)
            if len(row) % 2 or (np.diff(keys) <= 0).any() or (keys >= self._total).any():
                return number, "is no histogram: its bins do not ascend"
        return None

    def _countable(self, image: Image | NDArray[Any]) -> NDArray[np.uint8]:
        pixels = self._pixels(image)
        if pixels.shape[0] * pixels.shape[1] >= 2**32:
            raise InvalidInputError(
                f"the image has {pixels.shape[1]} x {pixels.shape[0]} pixels, more than 2**32 - 1"
            )
        return pixels

    def _pixels(self, image: Image | NDArray[Any]) -> NDArray[np.uint8]:
        if self._space == "grey":
            return grey_pixels(image)
        pixels = rgb_pixels(image)
        return _to_hsv(pixels) if self._space == "hsv" else pixels

    def _bin_of(self, color: tuple[int, ...]) -> int:
        pixel = self._pixels(np.array([[color]], np.uint8)).reshape(-1).astype(np.int64)
        return int(np.ravel_multi_index(pixel * self._bins // 256, self._shape))

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self._bins,) * self._channels

    def _occupied(self, row: Row) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        if self.row_length is None:
            keys, counts = np.split(np.asarray(row), 2)
        else:
            keys = np.flatnonzero(row)
            counts = row[keys]
        total = max(int(counts.sum(dtype=np.int64)), 1)
        return keys.astype(np.int64), counts / total

    def _colors(self, keys: NDArray[np.int64]) -> NDArray[np.uint8]:
        """RGB of the middle of each bin, shape (n, 3)."""
        bins = np.stack(np.unravel_index(keys, self._shape), axis=-1)
        middles = (((2 * bins + 1) * 256) // (2 * self._bins)).astype(np.uint8)
        if self._space == "grey":
            return np.repeat(middles, 3, axis=-1)
        if self._space == "hsv":
            image = pillow().fromarray(middles[None], "HSV")
            colors: NDArray[np.uint8] = np.array(image.convert("RGB"))[0]
            return colors
        return middles


class Correlation(HistogramComparison):
    """Pearson's correlation over all bins, the empty ones included."""

    name = method = "correlation"
    value_range = (-1.0, 1.0)
    higher_is_better = True
    near_identical = 0.995

    def compare_pixels(self, a: Image | NDArray[Any], b: Image | NDArray[Any]) -> float | None:
        """Correlation from the counters of both, where only the occupied bins would be listed."""
        if self.row_length is not None:
            return None
        try:
            first, second = self._countable(a), self._countable(b)
        except ImgsimError:
            return None
        return _core.correlate_images(first, second, self._shape, self._emptied)


class ChiSquare(HistogramComparison):
    """Chi-square divided by the first histogram alone: not symmetric."""

    name = method = "chi2"
    value_range = (0.0, math.inf)
    near_identical = 0.05


class SymmetricChiSquare(HistogramComparison):
    """Chi-square divided by the sum of both, twice: from 0 to 4."""

    name = method = "chi2-alt"
    value_range = (0.0, 4.0)
    near_identical = 0.04


class Intersection(HistogramComparison):
    """Mass that both have in the same bins (Swain, Ballard 1991): from 0 to 1."""

    name = method = "intersection"
    value_range = (0.0, 1.0)
    higher_is_better = True
    near_identical = 0.92


class Bhattacharyya(HistogramComparison):
    """Hellinger's distance, which OpenCV calls Bhattacharyya's: from 0 to 1."""

    name = method = "bhattacharyya"
    value_range = (0.0, 1.0)
    near_identical = 0.08


class KullbackLeibler(HistogramComparison):
    """Divergence of the second from the first in nats, OpenCV's rule for empty bins."""

    name = method = "kl"
    value_range = (0.0, math.inf)
    unit: ClassVar[str] = "nats"
    near_identical = 0.03


def _as_color(ignore: Any) -> tuple[int, ...] | None:
    if ignore is None:
        return None
    if isinstance(ignore, str):
        if ignore != "white":
            raise InvalidInputError(f"ignore must be 'white' or three numbers, got {ignore!r}")
        return _WHITE
    try:
        color = tuple(as_count("ignore", level, least=0) for level in ignore)
    except TypeError as error:
        raise InvalidTypeError(
            f"ignore must be 'white' or three numbers, got {ignore!r}"
        ) from error
    if len(color) != 3 or max(color) > 255:
        raise InvalidInputError(f"ignore must be three numbers from 0 to 255, got {ignore!r}")
    return color


def _to_hsv(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.array(pillow().fromarray(pixels).convert("HSV"))
