"""Descriptor rows: equal ones are a matrix, rows of different lengths a :class:`RaggedRows`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Row = NDArray[Any]

_PIECE = 1 << 22  # bytes
_PIECE_ROWS = 4096


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


class PickedRows:
    """Rows of several arrays of one kind, in any order, copied a piece at a time.

    Parameters
    ----------
    parts : sequence of ndarray or RaggedRows
        At least one.
    part_of, row_of : ndarray of integers, shape (n,)
        Row ``i`` is ``parts[part_of[i]][row_of[i]]``.
    """

    def __init__(
        self, parts: Sequence[Rows], part_of: NDArray[np.intp], row_of: NDArray[np.intp]
    ) -> None:
        self._parts = parts
        self._part_of = part_of
        self._row_of = row_of

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def first_part(self) -> Rows:
        """One of the arrays, to see of which kind they are."""
        return self._parts[0]

    def lengths(self) -> NDArray[np.int64]:
        """Return the numbers in each row, shape (n,)."""
        lengths = np.empty(len(self), np.int64)
        for number, part in enumerate(self._parts):
            at = self._part_of == number
            if isinstance(part, RaggedRows):
                lengths[at] = np.diff(part.offsets)[self._row_of[at]]
            else:
                lengths[at] = part.shape[1]
        return lengths

    def pieces(self, most: int = _PIECE) -> Iterator[NDArray[Any]]:
        """All numbers in order: arrays of at most so many bytes, or of one row."""
        first = self.first_part
        dtype = first.values.dtype if isinstance(first, RaggedRows) else first.dtype
        ends = np.cumsum(self.lengths())
        start = done = 0
        while start < len(self):
            limit = done + max(most // dtype.itemsize, 1)
            stop = min(int(np.searchsorted(ends, limit, "right")), start + _PIECE_ROWS)
            stop = max(stop, start + 1)
            yield np.concatenate([self._row(at) for at in range(start, stop)])
            start, done = stop, int(ends[stop - 1])

    def _row(self, at: int) -> Row:
        row: Row = self._parts[self._part_of[at]][self._row_of[at]]
        return row


def as_matrix(rows: Rows) -> NDArray[Any]:
    """Return rows that have one length as the matrix they are."""
    if isinstance(rows, RaggedRows):
        raise TypeError("rows of one length were expected, got ragged ones")
    return rows
