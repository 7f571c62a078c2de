"""What every measure offers: an image becomes a descriptor row, rows are compared and ranked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.knn import Neighbors

if TYPE_CHECKING:
    from PIL.Image import Image

Row = NDArray[Any]


class Measure(Protocol):
    """One way to compare images. Objects are immutable and safe to share between threads.

    Attributes
    ----------
    name, summary : str
        The registry's key and one line of help.
    unit : str
        What a value of 1 means; empty for a bare number.
    higher_is_better : bool
        False for distances, True for similarities.
    options : mapping
        Every option with its value, as plain JSON types; an index stores them and refuses others.
    row_dtype, row_length
        The descriptor: a row of this many numbers.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: ClassVar[bool]
    row_dtype: ClassVar[np.dtype[Any]]

    @property
    def options(self) -> Mapping[str, Any]: ...  # noqa: D102

    @property
    def row_length(self) -> int: ...  # noqa: D102

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Descriptor of a decoded image (Pillow, mode "L" or "RGB") or uint8 array."""
        ...

    def compare(self, a: Row, b: Row) -> float:
        """Value for two descriptors."""
        ...

    def values(self, query: Row, rows: Row, threads: int) -> NDArray[np.float64]:
        """Value of the query against each of many rows."""
        ...

    def nearest(
        self, query: Row, rows: Row, skip: NDArray[np.uint8] | None, k: int, threads: int
    ) -> Neighbors:
        """Return the best k rows that are not skipped, best first, ties to the lower row."""
        ...
