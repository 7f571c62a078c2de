"""Reading the newest commit of an index, while other processes write to it."""

from __future__ import annotations

import os
import threading
import time
import weakref
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


_READERS: weakref.WeakSet[Reader] = weakref.WeakSet()
_PATIENCE = 1.0  # seconds
# Connections of parents; to close them here would be to use them.
_OF_PARENTS: list[Catalog] = []


class Reader:
    """A catalogue and its segments, read by one thread at a time, always of one commit.

    Catalogue and segments are read one after the other, and a commit may come between the two:
    what was found is then looked for again. A child that is forked meanwhile opens the catalogue
    again: SQLite allows no connection to be used there.
    """

    def __init__(self, catalog: Catalog, measure: Measure) -> None:
        self._catalog = catalog
        self.measure = measure
        self.lock = threading.RLock()
        self._is_inherited = self._is_closed = False
        self._snapshot: Snapshot | None = None
        self._histograms: HistogramReader | None = None
        _READERS.add(self)

    @property
    def catalog(self) -> Catalog:
        """The open catalogue."""
        if self._is_inherited and not self._is_closed:
            self._catalog = Catalog(self._catalog.folder)
            self._is_inherited = False
        return self._catalog

    def inherit(self) -> None:
        """Begin anew in a child: another thread of the parent may have held the lock."""
        self.lock = threading.RLock()
        self._snapshot = self._histograms = None
        self._is_inherited = True
        _OF_PARENTS.append(self._catalog)

    def close(self) -> None:
        """Close the catalogue."""
        with self.lock:
            self._snapshot = self._histograms = None
            self._is_closed = True
            if not self._is_inherited:
                self._catalog.close()

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


# Locks that a thread holds while it forks.
_HELD: dict[int, list[threading.RLock]] = {}


def _before_fork() -> None:
    # A child can do nothing about a connection that is in use: SQLite would believe for ever that
    # the file is being read. So wait until none is; but not for long searches.
    held = _HELD[threading.get_ident()] = []
    until = time.monotonic() + _PATIENCE
    for reader in list(_READERS):
        lock = reader.lock
        if lock.acquire(timeout=max(0.0, until - time.monotonic())):
            held.append(lock)


def _in_parent() -> None:
    for lock in _HELD.pop(threading.get_ident()):
        lock.release()


def _in_child() -> None:
    _HELD.clear()
    for reader in list(_READERS):
        reader.inherit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
