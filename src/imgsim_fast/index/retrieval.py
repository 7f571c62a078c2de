"""How well an index finds images of the same label."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _threads, _validate, folders
from imgsim_fast.errors import IndexCorruptError, InvalidInputError, InvalidTypeError
from imgsim_fast.evaluation import LabelledDatabase, RankingScores
from imgsim_fast.index.describing import described
from imgsim_fast.index.index import Index
from imgsim_fast.index.pairs import Table
from imgsim_fast.index.paths import PathLike, absolute_bytes
from imgsim_fast.index.rerank import second_measure
from imgsim_fast.index.search import Collection
from imgsim_fast.labels import Labels, labels_of
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import Row, as_rows

__all__ = ["Evaluation", "evaluate"]

_MOST_BYTES = 2**30  # of descriptors of the other measure that are kept for later queries

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What the rankings of an index are worth.

    Attributes
    ----------
    scores : RankingScores
        P@k, recall@k, mAP and k-NN accuracy, also of each query; see
        ``imgsim_fast.evaluation`` for their definitions.
    measure : str
    options : dict
        The index's.
    images : int
        In the index.
    search_seconds : float
        Mean time to rank all images for one query, its descriptor and those of the images at hand.
    describe_seconds : float
        Mean time to read and describe a query file; 0 where images of the index are the queries.
    rerank : str or None
        Name of the other measure.
    rerank_options : dict
    candidates : int
        How many it ranked for each query; 0 without it.
    skipped : list of (str, str)
        Files that could not be read or described: queries that were left out, candidates that kept
        the place after the others.
    """

    scores: RankingScores
    measure: str
    options: dict[str, Any]
    images: int
    search_seconds: float
    describe_seconds: float
    rerank: str | None = None
    rerank_options: dict[str, Any] = field(default_factory=dict)
    candidates: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def queries(self) -> int:
        """How many queries there were."""
        return self.scores.queries

    @property
    def precision(self) -> dict[int, float]:
        """Mean P@k for each k."""
        return self.scores.precision

    @property
    def recall(self) -> dict[int, float]:
        """Mean recall@k for each k."""
        return self.scores.recall

    @property
    def mean_average_precision(self) -> float:
        """Return the mean average precision over the whole ranking, mAP."""
        return self.scores.mean_average_precision


def evaluate(
    index: Index,
    labels: Labels,
    *,
    queries: PathLike | Iterable[PathLike] | None = None,
    query_labels: Labels | None = None,
    k: int | Iterable[int] = (1, 10),
    rerank: str | Measure | None = None,
    rerank_options: Mapping[str, Any] | None = None,
    candidates: int = 200,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Rank all images of an index for each query, and score the rankings by labels.

    Parameters
    ----------
    index : Index
    labels : "folder", path, mapping or callable
        Label of each image: the name of its folder, a table (CSV, TSV, JSON), a mapping from path,
        or a rule; see ``imgsim_fast.labels.labels_of``.
    queries : path or iterable of paths, optional
        A folder of images, or files. Default: every image of the index is a query once, by the
        descriptor that the index has, and is itself left out of its ranking. A file that the index
        holds is left out of its ranking as well.
    query_labels : optional
        As `labels`, for the queries; default: `labels`.
    k : int or iterable of int
        For P@k, recall@k and k-NN accuracy.
    rerank, rerank_options, candidates
        As in :meth:`Index.search`: the best `candidates` are ranked by the other measure; the rest
        follows in the order of the index's.
    threads : int, optional
    progress : callable, optional
        Called with the number of queries ranked so far.

    Returns
    -------
    Evaluation
        Scores are the same for any number of threads.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An image or query has no label; there is no image or no query that can be read.

    Notes
    -----
    O(q (v + n log n)) for q queries and n images, v the time of n values; O(q + n) memory, up to a
    gigabyte more with `rerank`.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> with isf.Index.open("photos.imgsim") as index:            # doctest: +SKIP
    ...     isf.evaluate(index, "folder").mean_average_precision
    """
    if not isinstance(index, Index):
        raise InvalidTypeError(f"index must be an Index, got {index!r}")
    number = _validate.as_count("candidates", candidates)
    at = _as_at(k)
    other = second_measure("rerank", rerank, rerank_options)
    workers = _threads.resolve(threads)
    collection = index._reader.collection()
    if not len(collection.ids):
        raise InvalidInputError(f"the index {index.path!r} holds no image to rank")
    known = labels_of([os.fsdecode(path) for path in collection.paths], labels)
    if len(known) > 1 and all(label == known[0] for label in known):
        rule = " (the name of the folder that an image lies in)" if labels == "folder" else ""
        raise InvalidInputError(
            f"labels{rule} gives all {len(known)} images of the index the same label, "
            f"{known[0]!r}: every ranking would be perfect"
        )
    second = None if other is None else _Second(other, collection, number, workers)
    asked = _Queries(index._measure, other, collection, queries, workers)
    if queries is None and query_labels is None:
        wanted = known
    else:
        paths = [os.fsdecode(path) for path in asked.paths]
        wanted = labels_of(paths, labels if query_labels is None else query_labels)
    ranker = _Ranker(collection, asked, second, workers, progress)
    scores = LabelledDatabase(len(asked.paths), known, wanted, asked.itself).score(ranker, at)
    return Evaluation(
        scores, index.measure, index.options, len(collection.ids),
        ranker.seconds / len(asked.paths), asked.seconds / len(asked.paths),
        None if other is None else other.name, {} if other is None else dict(other.options),
        0 if other is None else min(number, len(collection.ids)),
        asked.skipped + ([] if second is None else sorted(second.skipped.items())),
    )  # fmt: skip


def _as_at(k: Any) -> tuple[int, ...]:
    try:
        several = tuple(k)
    except TypeError:
        return (_validate.as_count("k", k),)
    if not several:
        raise InvalidInputError("k must hold at least one integer")
    return tuple(_validate.as_count("k", one) for one in several)


class _Queries:
    """The queries: descriptors by both measures, and which image each one is (-1: none)."""

    def __init__(
        self,
        measure: Measure,
        other: Measure | None,
        collection: Collection,
        given: PathLike | Iterable[PathLike] | None,
        threads: int,
    ) -> None:
        self.skipped: list[tuple[str, str]] = []
        self.seconds = 0.0
        self._rows: list[Row] | None = None
        self.second: list[Row] | None = None
        if given is None:
            every = np.ones(len(collection.ids), dtype=bool)
            self._table = Table(collection.snapshot, collection.ids, every, 0)
            self.paths = collection.paths
            self.itself: Integers = np.arange(len(self.paths))
            return
        paths = list(_query_paths(given, self.skipped))
        start = time.perf_counter()
        rows, reasons = described(measure, paths, threads)
        self.seconds = time.perf_counter() - start
        others = list[Row | None](rows)
        if other is not None:
            others, more = described(other, paths, threads)
            reasons = {**more, **reasons}
        self.skipped += [(os.fsdecode(paths[at]), reasons[at]) for at in sorted(reasons)]
        kept = [at for at in range(len(paths)) if at not in reasons]
        self.paths = [paths[at] for at in kept]
        self._rows = [row for at in kept if (row := rows[at]) is not None]
        if other is not None:
            self.second = [row for at in kept if (row := others[at]) is not None]
        if not kept:
            why = ""
            if self.skipped:
                path, reason = self.skipped[0]
                why = f"; {len(self.skipped)} were skipped, the first {path!r}: {reason}"
            raise InvalidInputError(f"queries holds no image that can be read{why}")
        place = {path: at for at, path in enumerate(collection.paths)}
        self.itself = np.array([place.get(path, -1) for path in self.paths], np.int64)

    def row(self, query: int) -> Row:
        """Return the descriptor of a query by the index's measure."""
        if self._rows is not None:
            return self._rows[query]
        return self._table.row(query)


def _query_paths(
    given: PathLike | Iterable[PathLike], skipped: list[tuple[str, str]]
) -> Iterator[bytes]:
    """Absolute paths, each once."""
    if isinstance(given, (str, bytes, os.PathLike)):
        path = absolute_bytes(given)
        if not os.path.isdir(path):
            raise InvalidInputError(f"queries {os.fsdecode(path)!r} is not a folder")

        def note(folder: bytes, error: OSError) -> None:
            reason = f"the folder cannot be listed: {error.strerror or error}"
            skipped.append((os.fsdecode(folder), reason))

        yield from folders.find_images(path, on_error=note)
        return
    try:
        items = list(given)
    except TypeError as error:
        raise InvalidTypeError(
            f"queries must be a folder or an iterable of paths, got {given!r}"
        ) from error
    yield from dict.fromkeys(absolute_bytes(item) for item in items)


class _Second:
    """The other measure: ranks candidates again, remembering their descriptors."""

    def __init__(
        self, measure: Measure, collection: Collection, candidates: int, threads: int
    ) -> None:
        self.measure = measure
        self.skipped: dict[str, str] = {}
        self._collection = collection
        self._candidates = candidates
        self._threads = threads
        self._rows: dict[int, Row | None] = {}
        self._bytes = 0

    def candidates(self, order: Integers) -> Integers:
        """Return those of the best positions that can be described, ascending."""
        wanted = np.sort(order[: self._candidates])
        missing = [at for at in wanted.tolist() if at not in self._rows]
        paths = [self._collection.paths[at] for at in missing]
        rows, reasons = described(self.measure, paths, self._threads)
        for at, reason in reasons.items():
            self.skipped[os.fsdecode(paths[at])] = reason
        self._bytes += _bytes_of(rows)
        if self._bytes > _MOST_BYTES:  # keep what this query needs
            self._rows = {at: self._rows[at] for at in wanted.tolist() if at in self._rows}
            self._bytes = _bytes_of(rows) + _bytes_of(self._rows.values())
        self._rows.update(zip(missing, rows, strict=True))
        return wanted[[self._rows[at] is not None for at in wanted.tolist()]]

    def row(self, position: int) -> Row | None:
        """Return the descriptor of an image of the index."""
        if position not in self._rows:
            self.candidates(np.array([position], np.int64))
        return self._rows[position]

    def rerank(self, query: Row, order: Integers, chosen: Integers) -> Integers:
        """Return the positions with the chosen ones first, best first, ties to the lower."""
        rows = [row for at in chosen.tolist() if (row := self._rows[at]) is not None]
        stacked = as_rows(rows, self.measure.row_dtype, self.measure.row_length)
        found = self.measure.nearest(query, stacked, None, max(1, len(rows)), self._threads)
        first = chosen[found.indices]
        return np.concatenate([first, order[~np.isin(order, first)]])


def _bytes_of(rows: Iterable[Row | None]) -> int:
    return sum(row.nbytes for row in rows if row is not None)


class _Ranker:
    """Ranks the images for one query after the other; positions are in the order of ids."""

    def __init__(
        self,
        collection: Collection,
        asked: _Queries,
        second: _Second | None,
        threads: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.seconds = 0.0
        self._collection = collection
        self._asked = asked
        self._second = second
        self._threads = threads
        self._progress = progress

    def __iter__(self) -> Iterator[Integers]:
        ids, snapshot = self._collection.ids, self._collection.snapshot
        for query in range(len(self._asked.paths)):
            row = self._asked.row(query)
            start = time.perf_counter()
            _, found = snapshot.nearest(row, len(ids), self._threads)
            self.seconds += time.perf_counter() - start
            order = np.searchsorted(ids, found)
            if len(found) != len(ids) or (ids[np.minimum(order, len(ids) - 1)] != found).any():
                raise IndexCorruptError("the segments hold other images than the catalogue")
            order = order[order != self._asked.itself[query]]
            yield order if self._second is None else self._again(query, order, self._second)
            if self._progress is not None:
                self._progress(query + 1)

    def _again(self, query: int, order: Integers, second: _Second) -> Integers:
        given: Sequence[Row] | None = self._asked.second
        row = second.row(int(self._asked.itself[query])) if given is None else given[query]
        chosen = second.candidates(order)
        if row is None or not len(chosen):
            return order
        start = time.perf_counter()
        order = second.rerank(row, order, chosen)
        self.seconds += time.perf_counter() - start
        return order
