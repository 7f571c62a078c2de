"""All pairs of rows within a threshold: blocks of queries in threads, far pairs left out unseen.

Memory is O(rows) beyond the pairs, which are given a block at a time: a query's values are computed
for a piece of the rows at a time.
Measures that have lower bound keys (the mean, for Wasserstein distances) are asked only for the
pairs whose keys are near enough; the pairs found are the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import IndexCorruptError, InvalidInputError
from imgsim_fast.index.search import Snapshot, rows_of, sound_row
from imgsim_fast.index.segments import Segment
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import Row

MOST_PAIRS = 10_000_000  # to be confirmed; 24 bytes each until then
_PIECE = 1024  # rows whose values are computed at once: they stay in the cache
_RAGGED_PIECE = 32  # of measures that take long for each: a worker stops after a piece
_BLOCK = 16  # queries per task
_SLACK = 1e-9  # of the keys: far more than their rounding errors

Nodes = NDArray[np.int64]
Progress = Callable[[int], None]


class Pairs(NamedTuple):
    """Pairs of nodes, sorted by (first, second), with their values."""

    first: Nodes
    second: Nodes
    values: NDArray[np.float64]

    def where(self, keep: NDArray[np.bool_] | Nodes | slice) -> Pairs:
        """Return some of them, by a mask or by position."""
        return Pairs(self.first[keep], self.second[keep], self.values[keep])


@dataclass(slots=True)
class _Part:
    """The rows of one segment that take part, ascending, and the nodes they stand for."""

    segment: Segment
    rows: NDArray[np.int64]
    nodes: Nodes
    keys: NDArray[np.float64] | None = None  # ascending
    order: NDArray[np.int64] | None = None  # of the keys


class Table:
    """Rows of an index by node number; nodes are numbered in the order of ids.

    Parameters
    ----------
    snapshot : Snapshot
    ids : ndarray of int64, shape (n,)
        Ascending: image ``ids[i]`` is node ``first + i``.
    taking_part : ndarray of bool, shape (n,)
        The others are neither queries nor found.
    first : int
    """

    def __init__(
        self, snapshot: Snapshot, ids: Nodes, taking_part: NDArray[np.bool_], first: int
    ) -> None:
        self._measure = snapshot.measure
        self.parts: list[_Part] = []
        self._part_of = np.full(len(ids), -1, np.int32)
        self._row_of = np.zeros(len(ids), np.int64)
        self._first = first
        self._keys: NDArray[np.float64] | None = None
        for segment in snapshot.segments:
            rows = snapshot.alive_rows(segment)
            own = np.asarray(segment.ids)[rows]
            # An image that came or went between two readings is in one of them only.
            at = np.minimum(np.searchsorted(ids, own), max(len(ids) - 1, 0))
            known = (ids[at] == own) & taking_part[at] if len(ids) else np.zeros(len(own), bool)
            rows, at = rows[known], at[known]
            self._part_of[at] = len(self.parts)
            self._row_of[at] = rows
            self.parts.append(_Part(segment, rows, first + at))
        self.nodes = first + np.flatnonzero(self._part_of >= 0)

    def row(self, node: int) -> Row:
        """Return the descriptor of a node."""
        at = node - self._first
        segment = self.parts[self._part_of[at]].segment
        return sound_row(self._measure, segment, int(self._row_of[at]))

    def make_keys(self, measure: Measure) -> None:
        """Sort the rows by the measure's lower bound keys, where it has such."""
        keys_of = np.empty(len(self._row_of))
        for part in self.parts:
            for at in _pieces(np.arange(len(part.rows)), _PIECE):
                keys = measure.lower_bound_keys(part.segment.rows[part.rows[at]])
                if keys is None:
                    return
                keys_of[part.nodes[at] - self._first] = keys
        for part in self.parts:
            keys = keys_of[part.nodes - self._first]
            if not np.isfinite(keys).all():
                bad = part.rows[np.flatnonzero(~np.isfinite(keys))[0]]
                raise IndexCorruptError(f"{part.segment.record.name}: row {bad} is no distribution")
            part.order = np.argsort(keys, kind="stable")
            part.keys = keys[part.order]
        self._keys = keys_of

    def key(self, node: int) -> float | None:
        """Return the lower bound key of a node, if there are any."""
        return None if self._keys is None else float(self._keys[node - self._first])


def near_pairs(
    measure: Measure,
    queries: Table,
    others: Table | None,
    threshold: float,
    threads: int,
    progress: Progress | None,
) -> Iterator[Pairs]:
    """Find all pairs whose value reaches or beats the threshold, in order, a block at a time.

    Parameters
    ----------
    measure : Measure
    queries : Table
        The first of a pair.
    others : Table or None
        Where the second of a pair is from; None: from `queries`, with a higher node.
    threshold : float
    threads : int
        The pairs do not depend on it.
    progress : callable or None
        Called with the number of queries dealt with.

    Raises
    ------
    IndexCorruptError
        A row is no descriptor.
    """
    if not measure.higher_is_better:
        for table in {id(t): t for t in (queries, others) if t is not None}.values():
            table.make_keys(measure)
    seeker = _Seeker(measure, queries, others, threshold)
    done = 0
    for block, pairs in _in_order(seeker, list(_pieces(queries.nodes, _BLOCK)), threads):
        yield pairs
        done += len(block)
        if progress is not None:
            progress(done)


def all_of(blocks: Iterable[Pairs], threshold: float) -> Pairs:
    """Join blocks of pairs.

    Raises
    ------
    InvalidInputError
        More than `MOST_PAIRS` pairs.
    """
    found: list[Pairs] = []
    total = 0
    for pairs in blocks:
        total += len(pairs.first)
        if total > MOST_PAIRS:
            raise InvalidInputError(
                f"more than {MOST_PAIRS:,} pairs, too many to be confirmed, are within the "
                f"threshold {threshold:g}: choose a stricter one"
            )
        found.append(pairs)
    return joined(found)


def _in_order(
    seeker: _Seeker, blocks: Sequence[Nodes], threads: int
) -> Iterator[tuple[Nodes, Pairs]]:
    """Pairs of each block of queries, in order."""
    if threads == 1:
        for block in blocks:
            yield block, seeker(block)
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="imgsim") as pool:
        waiting: deque[tuple[Nodes, Future[Pairs]]] = deque()
        try:
            for block in blocks:
                waiting.append((block, pool.submit(seeker, block)))
                if len(waiting) > 3 * threads:
                    first, pairs = waiting.popleft()
                    yield first, pairs.result()
            while waiting:
                first, pairs = waiting.popleft()
                yield first, pairs.result()
        finally:  # after an error or Ctrl-C: no worker begins another query
            seeker.stop.set()


class _Seeker:
    """Finds the pairs of some queries; may run in several threads."""

    def __init__(
        self, measure: Measure, queries: Table, others: Table | None, threshold: float
    ) -> None:
        self.stop = threading.Event()
        self._measure = measure
        self._queries = queries
        self._others = queries if others is None else others
        self._upwards = others is None
        self._threshold = threshold
        self._piece = _PIECE if measure.row_length is not None else _RAGGED_PIECE

    def __call__(self, block: Nodes) -> Pairs:
        found: list[Pairs] = []
        for node in block.tolist():
            query, key = self._queries.row(node), self._queries.key(node)
            for part in self._others.parts:
                if self.stop.is_set():
                    break
                start = int(np.searchsorted(part.nodes, node, "right")) if self._upwards else 0
                found += [
                    Pairs(np.full(len(nodes), node), nodes, values)
                    for nodes, values in self._near(query, key, part, start)
                ]
        every = joined(found)
        return every.where(np.lexsort((every.second, every.first)))

    def _near(
        self, query: Row, key: float | None, part: _Part, start: int
    ) -> Iterator[tuple[Nodes, NDArray[np.float64]]]:
        """Nodes of a part from a position on that are near enough, and their values."""
        if key is None or part.keys is None or part.order is None:
            yield from self._of_span(query, part, start)
            return
        reach = self._threshold * (1 + _SLACK) + _SLACK * (abs(key) + 1)
        low = int(np.searchsorted(part.keys, key - reach, "left"))
        high = int(np.searchsorted(part.keys, key + reach, "right"))
        window = part.order[low:high]
        for at in _pieces(np.sort(window[window >= start]), self._piece):
            if self.stop.is_set():
                return
            with rows_of(self._measure, part.segment, part.rows[at]) as rows:
                values = self._measure.values(query, rows, 1)
            keep = self._inside(values)
            yield part.nodes[at[keep]], values[keep]

    def _of_span(
        self, query: Row, part: _Part, start: int
    ) -> Iterator[tuple[Nodes, NDArray[np.float64]]]:
        """Values of neighbouring rows are computed in place, whoever takes part."""
        numbers, nodes = part.rows[start:], part.nodes[start:]
        if not len(numbers):
            return
        for first in range(int(numbers[0]), int(numbers[-1]) + 1, self._piece):
            low, high = np.searchsorted(numbers, (first, first + self._piece))
            if low == high or self.stop.is_set():
                continue
            piece = slice(first, int(numbers[high - 1]) + 1)
            with rows_of(self._measure, part.segment, piece) as rows:
                values = self._measure.values(query, rows, 1)
            values = values[numbers[low:high] - first]
            keep = self._inside(values)
            yield nodes[low:high][keep], values[keep]

    def _inside(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        higher = self._measure.higher_is_better
        return values >= self._threshold if higher else values <= self._threshold


def joined(found: Sequence[Pairs]) -> Pairs:
    """Put pairs one after the other."""
    if not found:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    return Pairs(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _pieces(items: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (items[start : start + size] for start in range(0, len(items), size))
