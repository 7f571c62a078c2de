"""Searching and checking rows that have codes."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import IndexCorruptError, InvalidInputError
from imgsim_fast.measures.base import Measure

# Rows, their codes, and which of them are to be left out (nonzero), if any.
Part = tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.uint8] | None]
_LARGE = 1 << 26  # bytes of rows
PIECE = 1 << 22  # bytes of rows that are encoded together
_Found = tuple[NDArray[np.float64], NDArray[np.int64]]


def coder_of(measure: Measure) -> _core.Metric:
    """Return the metric by which rows of a measure get codes.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    coder = measure.coder
    if coder is None:
        raise InvalidInputError(
            f"an index by {measure.name!r} with options {dict(measure.options)} keeps histograms "
            "of images only; others need measure='wasserstein', p=1 and 2 bins or more"
        )
    return coder


class CodedParts:
    """Rows of several segments, numbered through, and their codes."""

    def __init__(self, coder: _core.Metric, parts: Sequence[Part], names: Sequence[str]) -> None:
        self._coder = coder
        self._parts = tuple(parts)
        self._names = names
        self._starts = np.cumsum([0, *(len(part[0]) for part in parts)])
        self._advise("MADV_RANDOM")  # one row here, one there: what follows it is not worth reading

    def __len__(self) -> int:
        return int(self._starts[-1])

    def nearest(self, queries: NDArray[Any], k: int, radius: float, threads: int) -> _Found:
        """Distances and numbers of the k nearest of each query; inf and -1 where there are fewer.

        queries: float64 or uint32, shape (n, bins).
        """
        with self._named(queries):
            distances, rows, _ = _core.nearest_coded(
                self._coder, queries, self._parts, k, radius, threads
            )
        self._forget_rows()
        return distances, rows

    def within(self, query: NDArray[Any], radius: float, threads: int) -> _Found:
        """Distances and numbers of all within the radius of the only query."""
        with self._named(query):
            found = _core.within_coded(self._coder, query, self._parts, radius, threads)
        self._forget_rows()
        return found

    def _forget_rows(self) -> None:
        """Take the rows that were looked at out of this process, not out of the system's cache.

        Each brings its neighbours in the file with it, so that what is mapped would grow by some
        50 MB with each search.
        """
        self._advise("MADV_DONTNEED")

    def _advise(self, name: str) -> None:
        advice = getattr(mmap, name, None)  # not everywhere
        for rows, _, _ in self._parts:
            mapped = getattr(rows.base, "_mmap", None)
            if mapped is not None and advice is not None and rows.nbytes >= _LARGE:
                mapped.madvise(advice)

    def place(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Part and row in it of rows by number."""
        part = np.searchsorted(self._starts, numbers, side="right") - 1
        return part, numbers - self._starts[part]

    @contextlib.contextmanager
    def _named(self, queries: NDArray[Any]) -> Iterator[None]:
        try:
            yield
        except _core.BadMassError as bad:
            if bad.which == 0:
                _validate.explain_bad_mass("rows", queries, bad.row)
            part, row = self.place(np.array([bad.row]))
            raise IndexCorruptError(
                f"{self._names[int(part[0])]}: row {int(row[0])} is empty"
            ) from None


def wrong_codes(
    name: str, rows: Any, codes: NDArray[np.uint8], coder: _core.Metric | None
) -> list[str]:
    """Name rows whose code is not what encoding gives: they would be overlooked."""
    if coder is None:
        return []
    n = len(rows)
    step = max(1, PIECE // (rows.itemsize * coder.bins))
    for start in range(0, n, step):
        piece = np.ascontiguousarray(rows[start : start + step])
        made = np.empty(len(piece) * _core.CODE_BYTES, np.uint8)
        try:
            _core.encode_rows(coder, piece, made, 1)
        except _core.BadMassError as bad:
            return [f"{name}: row {start + bad.row} is empty"]
        at = 0
        for first, width in ((0, 8), (8 * n, _core.CODE_BYTES - 8)):
            size = width * len(piece)
            kept = codes[first + start * width :][:size]
            if (kept != made[at : at + size]).any():
                return [f"{name}: codes of rows {start} to {start + len(piece) - 1} are not theirs"]
            at += size
    return []
