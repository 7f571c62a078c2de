"""Wasserstein distance of grey-level distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.descriptors import grey_histogram
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.histogram import as_range, make_axis
from imgsim_fast.knn import Neighbors
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import Row, Rows, as_matrix

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_BINS = 65536


class Wasserstein(Measure):
    """W_p between grey histograms, in grey levels.

    A distance of 3 (p = 1) says: to turn one image's grey levels into the other's, a pixel has to
    change by 3 levels on average. Bins stand at their centres, so the unit does not depend on
    `bins`.

    Parameters
    ----------
    bins : int
        Number of equal bins, 1 to 65536.
    range : (float, float)
        First and last edge in grey levels; pixels outside are not counted.
    p : float
        Order, at least 1.
    """

    name = "wasserstein"
    unit: ClassVar[str] = "grey levels"
    row_dtype = np.dtype(np.uint32)
    near_identical = 1.5
    drawn_as = "grey levels"

    def __init__(
        self, bins: int = 256, range: tuple[float, float] = (0, 256), p: float = 1
    ) -> None:
        self._bins = _validate.as_count("bins", bins)
        if self._bins > _MAX_BINS:
            raise InvalidInputError(f"bins must be at most {_MAX_BINS}, got {bins}")
        self._p = _validate.as_order(p)
        if math.isinf(self._p):
            raise InvalidInputError("measure wasserstein needs a finite p, got inf")
        first, last = as_range(range)
        self._range = (first, last)
        self._axis = make_axis(self._bins, self._range)
        if not first < last:
            raise InvalidInputError(f"range must increase, got {(first, last)}")
        self.value_range = (0.0, (last - first) * (self._bins - 1) / self._bins)
        self._metric = _core.Metric(self._bins, None, (last - first) / self._bins, self._p, 0.0)

    @property
    def options(self) -> Mapping[str, Any]:
        """Bins, range and p as plain JSON types."""
        return {
            "bins": self._bins,
            "range": [_plain(edge) for edge in self._range],
            "p": _plain(self._p),
        }

    @property
    def row_length(self) -> int:
        """Number of bins."""
        return self._bins

    @property
    def coder(self) -> _core.Metric | None:
        """The metric by which rows get codes; None where there are none (p not 1, or one bin)."""
        return self._metric if _core.codes_useful(self._metric) else None

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Grey histogram as uint32 counts, shape (bins,)."""
        counts = grey_histogram(image, self._axis)
        total = int(counts.sum())
        if total == 0:
            raise InvalidInputError(
                f"no grey level of the image lies within the range {list(self._range)}"
            )
        if total >= 2**32:
            raise InvalidInputError(f"the image has {total} pixels, more than 2**32 - 1")
        return counts.astype(np.uint32)

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """W_p of the query to each of the rows, shape (n,)."""
        out: NDArray[np.float64] = np.empty((1, len(rows)))
        _core.cdist(self._metric, self._checked(query)[None, :], as_matrix(rows), out, threads)
        return out.reshape(-1)

    def nearest(
        self, query: Row, rows: Rows, skip: NDArray[np.uint8] | None, k: int, threads: int
    ) -> Neighbors:
        """Exact k nearest rows; ties to the lower row."""
        many = self._checked(query)[None, :]
        distances, indices = _core.knn(self._metric, many, as_matrix(rows), skip, k, threads)
        return Neighbors(distances[0], indices[0])

    def lower_bound_keys(self, rows: Rows) -> NDArray[np.float64]:
        """Mean grey levels: |mean(a) - mean(b)| <= W_1(a, b) <= W_p(a, b) for p >= 1."""
        first, last = self._range
        centres = first + (np.arange(self._bins) + 0.5) * ((last - first) / self._bins)
        counts = as_matrix(rows).astype(np.float64)
        with np.errstate(invalid="ignore"):  # a damaged row without mass: its NaN is never near
            return np.asarray(counts @ centres / counts.sum(axis=1))

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a histogram without a pixel."""
        empty = np.flatnonzero(~as_matrix(rows).any(axis=1))
        return (int(empty[0]), "is empty") if empty.size else None

    def _checked(self, query: Row) -> Row:
        if query.shape != (self._bins,) or query.dtype != self.row_dtype:
            raise InvalidTypeError(
                f"query must be {self._bins} counts of {self.row_dtype}, got {query.shape} of "
                f"{query.dtype}"
            )
        return query


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number
