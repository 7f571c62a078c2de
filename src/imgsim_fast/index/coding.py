"""Searching and checking rows that have codes."""

from __future__ import annotations

import contextlib
import itertools
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import IndexCorruptError, InvalidInputError
from imgsim_fast.measures.base import Measure

# Rows, their codes, which of them are to be left out (nonzero), if any, and what they are called,
# if not by their number in all parts.
Part = tuple[NDArray[Any], NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.int64] | None]
_LARGE = 1 << 26  # bytes of rows
_MANY_LOOKED = 128
_PLANES = (0, 8, _core.CODE_BYTES, _core.RAW_BYTES)  # ends of what `encoded` gives, a row
_PLACES = 1 << 16  # codes that are compared together
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


def encoded(coder: _core.Metric, rows: NDArray[Any], threads: int) -> NDArray[np.uint8]:
    """Return the codes of rows and what `_core.arrange_codes` needs beside them, 26 bytes a row.

    Raises
    ------
    BadMassError
        A row is empty.
    """
    raw = np.empty(len(rows) * _core.RAW_BYTES, np.uint8)
    _core.encode_rows(coder, rows, raw, threads)
    return raw


def joined(pieces: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return what `encoded` gave for several pieces as for one."""
    sizes = [len(piece) // _core.RAW_BYTES for piece in pieces]
    raw = np.empty(sum(sizes) * _core.RAW_BYTES, np.uint8)
    start = 0
    for first, last in itertools.pairwise(_PLANES):
        for size, piece in zip(sizes, pieces, strict=True):
            part = piece[first * size : last * size]
            raw[start : start + len(part)] = part
            start += len(part)
    return raw


class CodedParts:
    """Rows of several segments, numbered through, and their codes."""

    def __init__(self, coder: _core.Metric, parts: Sequence[Part], names: Sequence[str]) -> None:
        self._coder = coder
        self._parts = tuple(parts)
        self._names = names
        self._looked = 0  # rows since they were forgotten
        self._starts = np.cumsum([0, *(len(part[0]) for part in parts)])
        self._advise("MADV_RANDOM")  # one row here, one there: what follows it is not worth reading

    def __len__(self) -> int:
        return int(self._starts[-1])

    def nearest(self, queries: NDArray[Any], k: int, radius: float, threads: int) -> _Found:
        """Distances and ids of the k nearest of each query; inf and -1 where there are fewer.

        queries: float64 or uint32, shape (n, bins).
        """
        with self._named(queries):
            distances, rows, looked, _ = _core.nearest_coded(
                self._coder, queries, self._parts, k, radius, threads
            )
        self._forget_rows(looked)
        return distances, rows

    def within(self, query: NDArray[Any], radius: float, threads: int) -> _Found:
        """Distances and ids of all within the radius of the only query."""
        with self._named(query):
            distances, rows, looked, _ = _core.within_coded(
                self._coder, query, self._parts, radius, threads
            )
        self._forget_rows(looked)
        return distances, rows

    def _forget_rows(self, looked: int) -> None:
        """Now and then take the rows that were looked at out of this process, not out of the cache.

        Each brings its neighbours in the file with it, 64 KB of them, so that what is mapped would
        grow without end.
        """
        self._looked += looked
        if self._looked >= _MANY_LOOKED:
            self._looked = 0
            self._advise("MADV_DONTNEED")

    def _advise(self, name: str) -> None:
        advice = getattr(mmap, name, None)  # not everywhere
        for rows, *_ in self._parts:
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
        except _core.DamagedCodesError as bad:
            raise IndexCorruptError(
                f"{self._names[bad.part]}: the codes name rows that are not there"
            ) from None


def wrong_codes(
    name: str, rows: Any, codes: NDArray[np.uint8], coder: _core.Metric | None
) -> list[str]:
    """Say what is wrong with codes: rows whose code is not what encoding gives are overlooked.

    Takes some 60 bytes of memory a row.
    """
    if coder is None:
        return []
    pieces: list[NDArray[np.uint8]] = []
    step = max(1, PIECE // (rows.itemsize * coder.bins))
    for start in range(0, len(rows), step):
        try:
            pieces.append(encoded(coder, np.ascontiguousarray(rows[start : start + step]), 1))
        except _core.BadMassError as bad:
            return [f"{name}: row {start + bad.row} is empty"]
    n = len(rows)
    raw = joined(pieces)
    pieces.clear()
    order: NDArray[Any] = np.arange(n)
    boxes = None
    if len(codes) != n * _core.CODE_BYTES:
        tree = codes[n * _core.CODE_BYTES :]
        order, boxes = tree[: 4 * n].view("<u4"), tree[4 * n :]
        named = np.zeros(n, bool)
        named[order[order < n]] = True
        if not named.all():
            return [f"{name}: the codes are not one of each row"]
    planes = [
        raw[first * n : last * n].reshape(n, -1) for first, last in itertools.pairwise(_PLANES)
    ]
    for start in range(0, n, _PLACES):
        there = slice(start, min(n, start + _PLACES))
        for plane, first in zip(planes[:2], _PLANES, strict=False):
            kept = codes[first * n :][: plane.size].reshape(plane.shape)[there]
            if (plane[order[there]] != kept).any():
                return [f"{name}: codes {start} to {there.stop - 1} are not those of their rows"]
    if boxes is not None and (boxes != _boxes(planes[0][order], planes[2][order])).any():
        return [f"{name}: the boxes of the codes are not theirs"]
    return []


def _boxes(coarse: NDArray[np.uint8], remainders: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the boxes around codes (csrc/imgsim/code_tree.hpp): of leaves, then of groups."""
    parts = np.maximum(coarse.astype(np.int16) * 32 + remainders - 17, 0)
    made = []
    for size in (_core.LEAF_ROWS, 16 * _core.LEAF_ROWS):
        starts = np.arange(0, len(parts), size)
        boxes = np.zeros((-(-len(parts) // (16 * size)) * 16, 2, 8), "<u2")
        boxes[: len(starts), 0] = np.minimum.reduceat(parts, starts)
        boxes[: len(starts), 1] = np.maximum.reduceat(parts, starts) + 1
        made.append(boxes.reshape(-1, 16, 2, 8).transpose(0, 3, 2, 1).ravel())
    return np.concatenate(made).view(np.uint8)
