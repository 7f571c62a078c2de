"""What every measure offers: an image becomes a descriptor row, rows are compared and ranked."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core
from imgsim_fast.knn import Neighbors
from imgsim_fast.rows import RaggedRows, Row, Rows, as_rows

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Measure", "RaggedRows", "Row", "Rows", "rank"]


class Measure(ABC):
    """One way to compare images. Objects are immutable and safe to share between threads.

    A measure of your own derives from this class, or wraps a function in
    :class:`imgsim_fast.measures.Embedding`; calls that take a measure's name take the object.

    Attributes
    ----------
    name : str
        The registry's key; what an index stores.
    unit : str
        What a value of 1 means; empty for a bare number.
    higher_is_better : bool
        False for distances, True for similarities.
    value_range : (float, float)
        Least and greatest value that two images can have, infinite where there is no such; see
        `best`. With the default nothing is known.
    row_dtype, row_length
        The descriptor: a row of this many numbers; None where rows differ in length.
    near_identical : float
        The value that near-identical images reach or beat: set so that of 60 photographs saved
        again at JPEG quality 60, or scaled by 0.7 or 1.5, some 95 % do, and no two others.
    in_batches : bool
        True where `describe_many` is faster than `describe` for each.
    drawn_as : str
        How a report draws what the measure sees (``report.sights``); empty where it cannot.
    whereabouts : tuple of str
        Options that say where a file lies and nothing of the values: an index does not mind others.
    """

    name: str
    unit: ClassVar[str] = ""
    higher_is_better: bool = False
    value_range: tuple[float, float] = (-math.inf, math.inf)
    row_dtype: np.dtype[Any]
    near_identical: float = 0.0
    in_batches: bool = False
    drawn_as: str = ""
    whereabouts: tuple[str, ...] = ()

    @property
    def best(self) -> float | None:
        """Value of images that are the same to the measure; None where that is not known."""
        best = self.value_range[self.higher_is_better]
        return best if math.isfinite(best) else None

    @property
    def coder(self) -> _core.Metric | None:
        """The W1 by which rows get codes, so that searches need not read them; None: no codes."""
        return None

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """Names of the options, as the constructor takes them."""
        return tuple(inspect.signature(cls).parameters)

    @property
    @abstractmethod
    def options(self) -> Mapping[str, Any]:
        """Every option with its value as plain JSON types; an index stores them, refuses others."""

    @property
    @abstractmethod
    def row_length(self) -> int | None:
        """Numbers in a descriptor; None where that depends on the image."""

    @abstractmethod
    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Descriptor of a decoded image (Pillow, mode "L" or "RGB") or uint8 array.

        One-dimensional, of `row_dtype`. A Pillow image may carry an orientation that is not yet
        applied: measures to which it matters take pixels from ``descriptors.grey_pixels`` and
        ``descriptors.rgb_pixels``, which apply it.
        """

    @abstractmethod
    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Value of the query against each of many rows; finite, whatever the images."""

    def describe_many(self, images: list[Any]) -> list[Row]:
        """Descriptors of several images: for encoders that work on batches."""
        return [self.describe(image) for image in images]

    def compare(self, a: Row, b: Row) -> float:
        """Value for two descriptors."""
        return float(self.values(a, as_rows([b], self.row_dtype, self.row_length), 1)[0])

    def compare_pixels(self, a: Image | NDArray[Any], b: Image | NDArray[Any]) -> float | None:
        """Value for two decoded images, where there is a quicker way than by their descriptors.

        The same value to the last bit. None: there is none, or `describe` refuses an image.
        """
        return None

    def nearest(
        self, query: Row, rows: Rows, skip: NDArray[np.uint8] | None, k: int, threads: int
    ) -> Neighbors:
        """Return the best k rows that are not skipped, best first, ties to the lower row."""
        found = self.values(query, rows, threads)
        order = rank(found, skip, k, higher_is_better=self.higher_is_better)
        return Neighbors(found[order], order)

    def lower_bound_keys(self, rows: Rows) -> NDArray[np.float64] | None:
        """One number per row such that two rows are at least as far apart as their numbers.

        Only for distances, and only where such numbers are cheap: pairs whose numbers differ too
        much need not be compared. None where there are none.
        """
        return None

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a stored descriptor that cannot be one: its row and what is wrong with it."""
        return None


def rank(
    values: NDArray[np.float64],
    skip: NDArray[np.uint8] | None,
    k: int,
    *,
    higher_is_better: bool,
) -> NDArray[np.int64]:
    """Return the indices of the best k values not skipped, best first, ties to the lower.

    O(n), and O(c log c) for the c values that are at least as good as the k-th.
    """
    key = -values if higher_is_better else values
    alive = np.arange(len(key)) if skip is None else np.flatnonzero(np.asarray(skip) == 0)
    if k < len(alive):
        limit = np.partition(key[alive], k - 1)[k - 1]
        alive = alive[key[alive] <= limit]
    order = alive[np.argsort(key[alive], kind="stable")][:k]
    return order.astype(np.int64)
