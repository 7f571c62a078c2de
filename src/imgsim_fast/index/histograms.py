"""Histograms of an index that no image file is behind: adding them as a stream, searching them.

They are searched by codes (csrc/imgsim/coded_search.hpp): memory holds what the system caches of
22 bytes a histogram, of which a search reads few; rows are read where codes rule nothing out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import IndexCorruptError, InvalidInputError, InvalidTypeError
from imgsim_fast.index.catalog import Catalog
from imgsim_fast.index.coding import CodedParts, coder_of
from imgsim_fast.index.histogram_segments import (
    ROWS,
    Histograms,
    HistogramSegment,
    SegmentWriter,
    open_histograms,
    sound_histograms,
)
from imgsim_fast.index.search import as_limit
from imgsim_fast.index.segments import remove_orphans, warn_of_small_segments
from imgsim_fast.knn import Neighbors
from imgsim_fast.measures.base import Measure

_SEGMENT_ROWS = 1 << 22  # codes of a segment are in memory until it is written: 109 MB
_SMALL_ROWS = 1 << 16  # of a small segment; more than _MANY_SMALL of them at the end are merged
_MANY_SMALL = 8

Chunk = tuple[NDArray[np.uint32], NDArray[np.int64]]


# ---- adding --------------------------------------------------------------------------------------


def add_histograms(
    catalog: Catalog, measure: Measure, rows: Any, ids: ArrayLike | None, threads: int
) -> int:
    """Append histograms in one commit; returns how many. The caller holds the writer lock."""
    coder = coder_of(measure)
    known = catalog.histograms()
    remove_orphans(catalog.folder, catalog.segment_names())
    chunks = _Chunks(rows, ids, coder.bins, known[-1].last_id + 1 if known else 0)
    try:
        _publish(catalog, coder, chunks, threads)
    except _core.BadMassError as bad:
        raise InvalidInputError(f"rows[{bad.row}]: the masses must not all be 0") from None
    if chunks.taken:
        try:
            _merge_small_segments(catalog, coder, threads)
        except (OSError, MemoryError, IndexCorruptError) as error:
            warn_of_small_segments(catalog.folder, error, stacklevel=4)
    return chunks.taken


def _publish(
    catalog: Catalog,
    coder: _core.Metric,
    chunks: Iterable[Chunk],
    threads: int,
    replaced: Sequence[HistogramSegment] = (),
) -> None:
    """Write rows, if there are any, and publish them in one commit, instead of other segments.

    Raises
    ------
    BadMassError
        Row `row` of all is empty.
    """
    number = catalog.next_id("histograms")
    written: list[HistogramSegment] = []
    before = 0  # rows of the pieces that are done
    with contextlib.ExitStack() as undo:
        writer: SegmentWriter | None = None
        for piece, ids in chunks:
            start = 0
            while start < len(piece):
                if writer is None:
                    writer = SegmentWriter(catalog.folder, number, coder, threads)
                    undo.callback(writer.discard)
                    number += 1
                end = start + _SEGMENT_ROWS - writer.rows
                try:
                    writer.add(np.ascontiguousarray(piece[start:end]), ids[start:end])
                except _core.BadMassError as bad:
                    raise _core.BadMassError(bad.which, before + start + bad.row) from None
                start = end
                if writer.rows == _SEGMENT_ROWS:
                    written.append(writer.finish())
                    writer = None
            before += len(piece)
        if writer is not None:
            written.append(writer.finish())
        # From here on only the catalogue knows whether they are published: Ctrl-C during the last
        # fsync of the commit arrives after it.
        undo.pop_all()
        try:
            if written:
                with catalog.transaction(write=True):
                    catalog.put_histograms(written, replaced=[record.id for record in replaced])
        except BaseException:
            with contextlib.suppress(OSError):
                remove_orphans(catalog.folder, catalog.segment_names())
            raise


def _merge_small_segments(catalog: Catalog, coder: _core.Metric, threads: int) -> None:
    """Make one of many small segments at the end, so that many small additions make few."""
    small: list[HistogramSegment] = []
    for record in reversed(catalog.histograms()):
        if record.rows >= _SMALL_ROWS:
            break
        small.insert(0, record)
    if len(small) <= _MANY_SMALL:
        return
    # Checksums are made anew: what is damaged must not get one that fits.
    segments = (sound_histograms(catalog.folder, record, coder.bins) for record in small)
    chunks = ((one.rows, one.all_ids()) for one in segments)
    try:
        _publish(catalog, coder, chunks, threads, replaced=small)
    except _core.BadMassError as bad:
        raise IndexCorruptError(f"row {bad.row} of those from {small[0].name} on is empty") from bad
    remove_orphans(catalog.folder, catalog.segment_names())


class _Chunks:
    """What the caller gives, checked a piece at a time, with ids."""

    _AT_ONCE = 1 << 22  # numbers

    def __init__(self, rows: Any, ids: ArrayLike | None, bins: int, first: int) -> None:
        self._rows = rows
        self._bins = bins
        self._next = first
        self._ids = None if ids is None else _as_ids(ids, first)
        self.taken = 0

    def __iter__(self) -> Iterator[Chunk]:
        for array in self._arrays():
            step = max(1, self._AT_ONCE // self._bins)
            for start in range(0, len(array), step):
                piece = self._checked(array[start : start + step])
                self.taken += len(piece)
                yield piece, self._numbers(len(piece))
        if self._ids is not None and len(self._ids) != self.taken:
            raise InvalidInputError(
                f"ids must be one for each of {self.taken} rows, got {len(self._ids)}"
            )

    def _arrays(self) -> Iterator[NDArray[Any]]:
        given: Iterable[Any] = [self._rows]
        if isinstance(self._rows, (list, tuple)):
            if not (self._rows and _is_row(self._rows[0])):
                given = self._rows
        elif not hasattr(self._rows, "__array__"):  # array, DataFrame, tensor
            try:
                given = iter(self._rows)
            except TypeError as error:
                raise InvalidTypeError(
                    f"rows must be an array or an iterable of arrays, got {self._rows!r}"
                ) from error
        for one in given:
            array = _validate.as_real("rows", one)
            if array.ndim != 2 or array.shape[1] != self._bins:
                raise InvalidInputError(
                    f"rows must have shape (n, {self._bins}), as the index has {self._bins} bins; "
                    f"got {array.shape}"
                )
            yield array

    def _checked(self, piece: NDArray[Any]) -> NDArray[np.uint32]:
        if piece.dtype == ROWS:
            return piece
        if piece.dtype == np.float16:  # 2**32 is beyond it
            piece = piece.astype(np.float32)
        bad = ~((piece >= 0) & (piece < 2**32))
        if piece.dtype.kind == "f":
            bad |= piece != np.floor(piece)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InvalidInputError(
                f"rows[{self.taken + row}][{column}] is {piece[row, column]}: histograms in an "
                "index are counts, whole numbers from 0 to 2**32 - 1; multiply masses by a large "
                "number and round them"
            )
        return piece.astype(ROWS)

    def _numbers(self, n: int) -> NDArray[np.int64]:
        if self._ids is not None:
            if self.taken > len(self._ids):
                raise InvalidInputError(
                    f"ids must be one for each row, got {len(self._ids)} for {self.taken} rows "
                    "or more"
                )
            return self._ids[self.taken - n : self.taken]
        if self._next + n > 2**63:
            raise InvalidInputError(
                f"rows: the ids of {n} more, from {self._next} on, would go beyond 2**63 - 1"
            )
        self._next += n
        return self._next - n + np.arange(n)


def _is_row(value: Any) -> bool:
    try:
        return np.ndim(value) == 1
    except ValueError:  # ragged: to be refused with the others
        return True


def _as_ids(ids: ArrayLike, first: int) -> NDArray[np.int64]:
    numbers = _validate.as_integers("ids", ids)
    if numbers.ndim != 1:
        raise InvalidInputError(f"ids must be one-dimensional, got shape {numbers.shape}")
    if len(numbers) and numbers[0] < first:
        raise InvalidInputError(
            f"ids must ascend, beginning with {first} at least: those below are taken, or may be; "
            f"ids[0] is {numbers[0]}"
        )
    descends = numbers[1:] <= numbers[:-1]
    if descends.any():
        at = int(descends.argmax()) + 1
        raise InvalidInputError(
            f"ids must ascend: ids[{at}] is {numbers[at]} after {numbers[at - 1]}"
        )
    return numbers


# ---- searching -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistogramQuery:
    """What is looked for: masses of shape (queries, bins), from one query or several."""

    masses: NDArray[np.float64]
    single: bool
    k: int | None
    radius: float

    @classmethod
    def of(
        cls, measure: Measure, rows: ArrayLike, k: int | None, max_distance: float | None
    ) -> HistogramQuery:
        """Check the arguments of a search."""
        bins = coder_of(measure).bins
        radius = np.inf
        if max_distance is not None:
            radius = as_limit("max_distance", max_distance, higher_is_better=False)
        number = None if k is None else _validate.as_count("k", k)
        masses = _validate.as_masses("rows", rows)
        if masses.ndim > 2 or masses.shape[-1:] != (bins,):
            raise InvalidInputError(
                f"rows must have shape ({bins},) or (queries, {bins}), got {masses.shape}"
            )
        if number is None and (masses.ndim != 1 or max_distance is None):
            raise InvalidInputError("k=None is for one query, with max_distance")
        many = np.ascontiguousarray(masses.reshape(-1, bins))
        return cls(many, masses.ndim == 1, number, radius)

    def search(self, there: HistogramReader, threads: int) -> Neighbors:
        """Find what is near."""
        if self.k is None:
            return there.within(self.masses, self.radius, threads)
        found = there.nearest(self.masses, self.k, self.radius, threads)
        if not self.single:
            return found
        sure = found.indices[0] >= 0
        return Neighbors(found.distances[0][sure], found.indices[0][sure])


class HistogramReader:
    """The segments of one commit, mapped."""

    def __init__(self, catalog: Catalog, measure: Measure, before: HistogramReader | None) -> None:
        self.version = catalog.version()
        self._coder = coder_of(measure)
        kept = {} if before is None else {one.record: one for one in before.segments}
        with catalog.transaction(write=False):
            records = catalog.histograms()
        self.segments: list[Histograms] = [
            kept.get(record) or open_histograms(catalog.folder, record, self._coder.bins)
            for record in records
        ]
        ends = [-1]
        for record in records:
            if record.first_id <= ends[-1]:
                raise IndexCorruptError(
                    f"the catalogue has histograms {tuple(record)} after others"
                )
            ends.append(record.last_id)
        self._parts = CodedParts(
            self._coder,
            [(one.rows, one.codes, None, None) for one in self.segments],
            [record.name for record in records],
        )

    def __len__(self) -> int:
        return len(self._parts)

    def nearest(
        self, queries: NDArray[np.float64], k: int, radius: float, threads: int
    ) -> Neighbors:
        """Return the k nearest within the radius, shape (queries, min(k, all))."""
        distances, rows = self._parts.nearest(queries, min(k, len(self)), radius, threads)
        return Neighbors(distances, self._ids(rows))

    def within(self, query: NDArray[np.float64], radius: float, threads: int) -> Neighbors:
        """Return all within the radius of one query, nearest first."""
        distances, rows = self._parts.within(query, radius, threads)
        return Neighbors(distances, self._ids(rows))

    def _ids(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return ids of rows by their number in all segments; -1 stays."""
        ids = np.full(rows.shape, -1, np.int64)
        found = rows >= 0
        part, row = self._parts.place(rows[found])
        numbers = np.empty(len(row), np.int64)
        for number in np.unique(part):
            here = part == number
            numbers[here] = self.segments[number].ids_of(row[here])
        ids[found] = numbers
        return ids
