"""Searching the segments of an index, and what a search gives back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import IndexCorruptError, InvalidInputError, InvalidTypeError
from imgsim_fast.index.catalog import Catalog, ImageRecord
from imgsim_fast.index.coding import CodedParts, Part
from imgsim_fast.index.records import IndexedImage
from imgsim_fast.index.segments import Segment, open_segment
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import RaggedRows, Row, Rows

_PIECE = 65536  # rows whose values are computed at once in a range search


class _Ranking(NamedTuple):
    distances: NDArray[np.float64]
    ids: NDArray[np.int64]
    paths: list[str]


class Matches(_Ranking):
    """Images found, best first; equal values are ordered by id. Unpacks as three.

    Attributes
    ----------
    distances : ndarray of float64, shape (k,)
        Values of the measure; of the other measure where the search was re-ranked.
    ids : ndarray of int64, shape (k,)
        The numbers of the images in the index.
    paths : list of str
        Absolute paths; names that are not valid text hold surrogates, as everywhere in ``os``.
    """

    def __new__(
        cls,
        distances: NDArray[np.float64],
        ids: NDArray[np.int64],
        paths: list[str],
        skipped: Sequence[tuple[str, str]] = (),
        descriptors: Sequence[Row | None] = (),
    ) -> Matches:
        """Make a tuple of three that also knows what was left out, and what was described."""
        matches = super().__new__(cls, distances, ids, paths)
        matches._skipped = tuple(skipped)
        matches._descriptors = tuple(descriptors)
        return matches

    _skipped: tuple[tuple[str, str], ...] = ()
    _descriptors: tuple[Row | None, ...] = ()

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Candidates of a re-ranking that could not be read again, as (path, reason)."""
        return list(self._skipped)

    @property
    def descriptors(self) -> list[Row | None]:
        """What re-ranking described of the best, to be drawn; None where that is large.

        Fewer than there are images, and none where the search was not re-ranked.
        """
        return list(self._descriptors)

    def first(self, k: int) -> Matches:
        """Return the best k of them."""
        return Matches(
            self.distances[:k], self.ids[:k], self.paths[:k], self._skipped, self._descriptors[:k]
        )


class Snapshot:
    """The segments of one commit, mapped, with the rows that no image uses any more."""

    def __init__(self, catalog: Catalog, measure: Measure) -> None:
        self.version = catalog.version()  # before the reading: a commit meanwhile makes it stale
        with catalog.transaction(write=False):
            records = catalog.segments()
            dead = catalog.dead_rows()
            images = catalog.count()
        self.measure = measure
        self.segments = [
            open_segment(catalog.folder, record, measure.row_dtype, measure.row_length)
            for record in records
        ]
        self._skip: dict[int, NDArray[np.uint8]] = {}
        rows = {record.id: record.rows for record in records}
        for segment, row in dead:
            if segment in rows:
                if row >= rows[segment]:
                    raise IndexCorruptError(
                        f"segment {segment} has {rows[segment]} rows, none of them the dead {row}"
                    )
                mask = self._skip.setdefault(segment, np.zeros(rows[segment], dtype=np.uint8))
                mask[row] = 1
        self._large: list[Segment] = []  # those searched by codes
        self._small: list[Segment] = []
        parts: list[Part] = []
        for one in self.segments:
            if measure.coder is None or one.codes is None or isinstance(one.rows, RaggedRows):
                self._small.append(one)
            else:
                self._large.append(one)
                parts.append((one.rows, one.codes, self._skip.get(one.record.id), one.ids))
        self._coded: CodedParts | None = None
        if measure.coder is not None and parts:
            names = [one.record.name for one in self._large]
            self._coded = CodedParts(measure.coder, parts, names)
        alive = sum(map(self.alive, self.segments))
        if alive != images:
            raise IndexCorruptError(
                f"the segments of {catalog.folder!r} hold {alive} images, its catalogue {images}; "
                "verify() names them"
            )

    def alive(self, segment: Segment) -> int:
        """Return the number of rows of a segment that images use."""
        mask = self._skip.get(segment.record.id)
        return len(segment.ids) - (0 if mask is None else int(mask.sum()))

    def alive_rows(self, segment: Segment) -> NDArray[np.int64]:
        """Rows of a segment that images use, ascending."""
        mask = self._skip.get(segment.record.id)
        if mask is None:
            return np.arange(len(segment.ids))
        return np.flatnonzero(mask == 0)

    def indexed(self, catalog: Catalog, number: int, record: ImageRecord | None) -> IndexedImage:
        """Return an image, with its row, of which the catalogue has this record."""
        if record is None:
            raise InvalidInputError(f"image {number} is not in the index")
        segment = next((s for s in self.segments if s.record.id == record.segment), None)
        if (
            segment is None
            or record.row >= len(segment.ids)
            or segment.ids[record.row] != record.id
        ):
            raise IndexCorruptError(
                f"image {number} is not in row {record.row} of segment {record.segment}"
            )
        path = os.fsdecode(catalog.absolute(record.path))
        row = sound_row(self.measure, segment, record.row)
        return IndexedImage(record.id, path, record.width, record.height, row)

    def nearest(
        self, query: Row, k: int, threads: int, limit: float | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values and ids of the k best images, ties to the lower id; only those within a limit."""
        values, ids = self._from_codes(query, k, limit, threads)
        for segment in self._small:
            wanted = min(k, self.alive(segment))
            if wanted == 0:
                continue
            mask = self._skip.get(segment.record.id)
            with rows_of(self.measure, segment, slice(None)) as rows:
                found = self.measure.nearest(query, rows, mask, wanted, threads)
            values.append(found.distances)
            ids.append(segment.ids[found.indices])
        best, numbers = self._best(np.concatenate(values), np.concatenate(ids), k)
        keep = reaches(best, limit, higher_is_better=self.measure.higher_is_better)
        return best[keep], numbers[keep]

    def within(
        self, query: Row, limit: float, threads: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Values and ids of all images whose value reaches or beats a limit."""
        values, ids = self._from_codes(query, None, limit, threads)
        for segment, piece in self._pieces():
            with rows_of(self.measure, segment, piece) as rows:
                found = self.measure.values(query, rows, threads)
            keep = reaches(found, limit, higher_is_better=self.measure.higher_is_better)
            mask = self._skip.get(segment.record.id)
            if mask is not None:
                keep &= mask[piece] == 0
            values.append(found[keep])
            ids.append(segment.ids[piece][keep])
        found, numbers = np.concatenate(values), np.concatenate(ids)
        return self._best(found, numbers, len(found))

    def _from_codes(
        self, query: Row, k: int | None, limit: float | None, threads: int
    ) -> tuple[list[NDArray[np.float64]], list[NDArray[np.int64]]]:
        """Values and ids from segments with codes: the k best, or all, within the limit."""
        parts = self._coded
        if parts is None:
            return [np.empty(0)], [np.empty(0, dtype=np.int64)]
        radius = np.inf if limit is None else limit
        if k is None:
            found, ids = parts.within(query[None], radius, threads)
            return [found], [ids]
        wanted = min(k, sum(map(self.alive, self._large)))
        (found,), (ids,) = parts.nearest(query[None], wanted, radius, threads)
        return [found[ids >= 0]], [ids[ids >= 0]]

    def _pieces(self) -> Iterator[tuple[Segment, slice]]:
        for segment in self._small:
            for start in range(0, len(segment.ids), _PIECE):
                yield segment, slice(start, min(start + _PIECE, len(segment.ids)))

    def _best(
        self, values: NDArray[np.float64], ids: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        key = -values if self.measure.higher_is_better else values
        order = np.lexsort((ids, key))[:k]
        return values[order], ids[order]


# An image of an index by id, with its absolute path; None where it has gone.
Lookup = Callable[[int], "tuple[ImageRecord, bytes] | None"]


class Collection(NamedTuple):
    """Images of one index, by id, as they were at one moment."""

    snapshot: Snapshot
    ids: NDArray[np.int64]
    paths: list[bytes]
    sha256: list[bytes]
    sizes: NDArray[np.int64]  # pixels and bytes, shape (n, 2)
    lookup: Lookup


@contextlib.contextmanager
def rows_of(measure: Measure, segment: Segment, which: slice | NDArray[np.int64]) -> Iterator[Rows]:
    """Give some rows of a segment to be compared; name the one that could not be, if any.

    A damaged row may make a measure fail in any way. That it did is looked into only then: sound
    rows are read once.

    Raises
    ------
    IndexCorruptError
        Comparing failed, and a row is no descriptor.
    """
    rows: Rows = segment.rows[which]
    try:
        yield rows
    except Exception as error:
        bad = measure.first_bad(rows)
        if bad is None:
            raise
        number = np.arange(len(segment.rows))[which][bad[0]]
        raise IndexCorruptError(f"{segment.record.name}: row {number} {bad[1]}") from error


def sound_row(measure: Measure, segment: Segment, row: int) -> Row:
    """Return one row of a segment, to be a query or to be shown.

    Raises
    ------
    IndexCorruptError
        It is no descriptor.
    """
    bad = measure.first_bad(segment.rows[row : row + 1])
    if bad is not None:
        raise IndexCorruptError(f"{segment.record.name}: row {row} {bad[1]}")
    found: Row = segment.rows[row]
    return found


def as_limit(name: str, value: Any, *, higher_is_better: bool) -> float:
    """Return a value that others must reach or beat; distances must not be negative."""
    try:
        if isinstance(value, (str, bytes)):
            raise TypeError("text")
        limit = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{name} must be a number, got {value!r}") from error
    if np.isnan(limit) or (limit < 0 and not higher_is_better):
        raise InvalidInputError(f"{name} must not be negative or NaN, got {value}")
    return limit


def reaches(
    values: NDArray[np.float64], limit: float | None, *, higher_is_better: bool
) -> NDArray[np.bool_]:
    """Tell which values reach or beat a limit; NaN does not, but all do where there is none."""
    if limit is None:
        return np.ones(values.shape, np.bool_)
    return values >= limit if higher_is_better else values <= limit


def as_matches(catalog: Catalog, values: NDArray[np.float64], ids: NDArray[np.int64]) -> Matches:
    """Add the paths."""
    paths = [os.fsdecode(path) for path in catalog.paths_of(ids.tolist())]
    return Matches(values, ids, paths)
