"""Descriptor rows: equal ones are a matrix, rows of different lengths a :class:`RaggedRows`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Row = NDArray[Any]


class RaggedRows:
    """Rows of different lengths, one after the other in one array.

    Parameters
    ----------
    values : ndarray, shape (total,)
    offsets : ndarray of int64, shape (n + 1,)
        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``; ascending.
    """

    __slots__ = ("offsets", "values")

    def __init__(self, values: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.values = values
        self.offsets = offsets

    @classmethod
    def of(cls, rows: Sequence[Row], dtype: np.dtype[Any]) -> RaggedRows:
        """Join rows."""
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        values = np.concatenate(rows) if len(rows) else np.empty(0, dtype)
        return cls(values.astype(dtype, copy=False), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[Row]:
        return (self[row] for row in range(len(self)))

    @overload
    def __getitem__(self, which: int | np.integer[Any]) -> Row: ...
    @overload
    def __getitem__(self, which: slice | list[int] | NDArray[Any]) -> RaggedRows: ...
    def __getitem__(
        self, which: int | np.integer[Any] | slice | list[int] | NDArray[Any]
    ) -> Row | RaggedRows:
        """One row as a view, or some of the rows; a slice of step 1 shares the values."""
        if isinstance(which, (int, np.integer)):
            row = range(len(self))[which]
            return self.values[self.offsets[row] : self.offsets[row + 1]]
        if isinstance(which, slice):
            start, stop, step = which.indices(len(self))
            if step == 1:
                return RaggedRows(self.values, self.offsets[start : max(stop, start) + 1])
        picked = np.arange(len(self))[which]
        return RaggedRows.of([self[row] for row in picked], self.values.dtype)


Rows = NDArray[Any] | RaggedRows


def as_rows(rows: Sequence[Row], dtype: np.dtype[Any], length: int | None) -> Rows:
    """Stack descriptors: a matrix where all have `length` numbers, else ragged rows."""
    if length is None:
        return RaggedRows.of(rows, dtype)
    if len(rows) == 0:
        return np.empty((0, length), dtype)
    return np.stack(rows)


def concatenate(parts: Sequence[Rows]) -> Rows:
    """Join rows of one kind; at least one part."""
    first = parts[0]
    if isinstance(first, RaggedRows):
        joined = [row for part in parts for row in part]
        return RaggedRows.of(joined, first.values.dtype)
    return np.concatenate([part for part in parts if isinstance(part, np.ndarray)])


def as_matrix(rows: Rows) -> NDArray[Any]:
    """Return rows that have one length as the matrix they are."""
    if isinstance(rows, RaggedRows):
        raise TypeError("rows of one length were expected, got ragged ones")
    return rows
