"""Reading the newest commit of an index, while other processes write to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from imgsim_fast.errors import IndexCorruptError
from imgsim_fast.index.catalog import Catalog, ImageRecord
from imgsim_fast.index.histograms import HistogramReader
from imgsim_fast.index.records import IndexedImage
from imgsim_fast.index.search import Collection, Matches, Snapshot, as_matches
from imgsim_fast.measures import Measure

_Found = TypeVar("_Found")
_View = TypeVar("_View", Snapshot, HistogramReader)


class Reader:
    """A catalogue and its segments, read by one thread at a time, always of one commit.

    Catalogue and segments are read one after the other, and a commit may come between the two:
    what was found is then looked for again.
    """

    def __init__(self, catalog: Catalog, measure: Measure) -> None:
        self.catalog = catalog
        self.measure = measure
        self.lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._histograms: HistogramReader | None = None

    def close(self) -> None:
        """Close the catalogue."""
        with self.lock:
            self._snapshot = self._histograms = None
            self.catalog.close()

    def count(self) -> int:
        """Return the number of images."""
        with self.lock, self.catalog.transaction(write=False):
            return self.catalog.count()

    def holds(self, folder: bytes) -> bool:
        """Tell whether the absolute path of any image begins so."""
        with self.lock, self.catalog.transaction(write=False):
            absolute = self.catalog.absolute
            return any(absolute(r.path).startswith(folder) for r in self.catalog.images())

    def current(self) -> Snapshot:
        """Return the images of the newest commit."""
        with self.lock:
            self._snapshot = self._newest(
                self._snapshot, lambda _: Snapshot(self.catalog, self.measure)
            )
            return self._snapshot

    def histograms(self) -> HistogramReader:
        """Return the histograms of the newest commit."""
        with self.lock:
            self._histograms = self._newest(
                self._histograms,
                lambda before: HistogramReader(self.catalog, self.measure, before),
            )
            return self._histograms

    def _newest(self, held: _View | None, opened: Callable[[_View | None], _View]) -> _View:
        """Open the newest commit, if it is not held; a writer may merge segments away meanwhile."""
        while True:
            version = self.catalog.version()
            if held is not None and held.version == version:
                return held
            try:
                held = opened(held)
            except IndexCorruptError:
                if self.catalog.version() == version:
                    raise
            else:
                return held

    def matches(self, find: Callable[[Snapshot], tuple[Any, Any]]) -> Matches:
        """Search the newest commit, and again if another one removes what was found."""
        with self.lock:
            while True:
                snapshot = self.current()
                values, ids = find(snapshot)
                try:
                    return as_matches(self.catalog, values, ids)
                except IndexCorruptError:
                    if snapshot.version == self.catalog.version():
                        raise

    def collection(self, wanted: Callable[[bytes], bool] | None = None) -> Collection:
        """Take the images whose absolute path is wanted; None takes all."""

        def read() -> list[tuple[ImageRecord, bytes]]:
            return [
                (record, path)
                for record in self.catalog.images()
                for path in [self.catalog.absolute(record.path)]
                if wanted is None or wanted(path)
            ]

        snapshot, known = self._of_one_commit(read)
        return Collection(
            snapshot,
            np.array([record.id for record, _ in known], np.int64),
            [path for _, path in known],
            [record.sha256 for record, _ in known],
            np.array([(r.width * r.height, r.size) for r, _ in known], np.int64).reshape(-1, 2),
            self.lookup,
        )

    def lookup(self, number: int) -> tuple[ImageRecord, bytes] | None:
        """Return what the catalogue says of an image now, and its absolute path."""
        with self.lock:
            record = self.catalog.image_of(number)
            return None if record is None else (record, self.catalog.absolute(record.path))

    def images(self, numbers: list[int]) -> list[IndexedImage]:
        """Return images with their rows, in the order given."""

        def read() -> list[ImageRecord | None]:
            return [self.catalog.image_of(number) for number in numbers]

        with self.lock:
            snapshot, records = self._of_one_commit(read)
            return [
                snapshot.indexed(self.catalog, number, record)
                for number, record in zip(numbers, records, strict=True)
            ]

    def _of_one_commit(self, read: Callable[[], _Found]) -> tuple[Snapshot, _Found]:
        """Read the catalogue in one transaction, together with the segments of that commit."""
        with self.lock:
            while True:
                snapshot = self.current()
                with self.catalog.transaction(write=False):
                    found = read()
                if snapshot.version == self.catalog.version():
                    return snapshot, found
