"""Filling an index: find files, describe what is new in threads, publish in commits.

The pipeline is ordered: files are planned in walk order, described by workers in small groups, and
taken back in the same order. So ids and segments do not depend on the number of threads, and what
has been committed is always a prefix of the work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core
from imgsim_fast.index.catalog import Catalog, ImageRecord
from imgsim_fast.index.coding import encoded
from imgsim_fast.index.describing import Describer, Outcome, Task
from imgsim_fast.index.segments import (
    SegmentRecord,
    open_segment,
    remove_orphans,
    warn_of_small_segments,
    write_segment,
)
from imgsim_fast.measures.base import Measure
from imgsim_fast.rows import PickedRows, Rows, as_rows

Progress = Callable[[int], None]

_COMMIT_ROWS = 16384
CODED_ROWS = 16384  # of a segment whose rows get codes: below, a search reads the rows as quickly
_SMALL_ROWS = 65536  # of a small segment; more than _MANY_SMALL of them are merged
_SMALL_BYTES = 1 << 25  # and what its rows take; or this part of the index, where that is more:
_PARTS_OF_ALL = 64
_MANY_SMALL = 16


@dataclass(frozen=True, slots=True)
class AddReport:
    """What `add` or `refresh` did, as numbers of files.

    Attributes
    ----------
    added, updated, unchanged, removed : int
        New images; images whose contents had changed; images that were there already; images whose
        file has gone (`refresh` only).
    skipped : list of (str, str)
        Files that could not be read, with the reason. Names that are not valid text hold
        surrogates, as everywhere in ``os``.
    seconds : float
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0


class Builder:
    """One writing session on a catalogue; the caller holds the writer lock."""

    def __init__(
        self,
        catalog: Catalog,
        measure: Measure,
        threads: int,
        progress: Progress | None,
        commit_seconds: float,
    ) -> None:
        self.catalog = catalog
        self._measure = measure
        self._threads = threads
        self._describer = Describer(measure, threads)
        self._progress = progress
        self._commit_seconds = commit_seconds
        self._pending: list[Outcome] = []
        self._skipped: list[Outcome] = []
        self._touched: list[Outcome] = []
        self._folders: list[bytes] = []
        self._counts = {"added": 0, "updated": 0, "unchanged": 0, "removed": 0}
        self._reasons: list[tuple[str, str]] = []
        self._done = 0
        self._started = self._last_commit = time.monotonic()
        remove_orphans(catalog.folder, catalog.segment_names())

    def report(self) -> AddReport:
        """Summarise the session so far."""
        seconds = time.monotonic() - self._started
        return AddReport(**self._counts, skipped=self._reasons, seconds=seconds)

    # ---- adding --------------------------------------------------------------------------------

    def add(self, paths: Iterable[bytes], *, checksum: bool) -> None:
        """Describe the files that are new or changed; publish as it goes.

        On any error, and on Ctrl-C, what has been described so far is published before the error
        goes on.
        """
        try:
            for outcomes in self._describer.outcomes(self._planned(paths, checksum)):
                for outcome in outcomes:
                    self._take(outcome)
                late = time.monotonic() - self._last_commit >= self._commit_seconds
                if late or len(self._pending) >= _COMMIT_ROWS:
                    self.commit()
        finally:
            self.commit()

    def _planned(self, paths: Iterable[bytes], checksum: bool) -> Iterator[Task]:
        fresh = self.catalog.count() == 0  # no path is given twice
        for path in paths:
            known = None if fresh else self.catalog.image(path)
            if known is not None and not checksum:
                try:
                    status = os.stat(path)
                except OSError:
                    pass  # the reader will say what is wrong
                else:
                    if (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns):
                        self._counts["unchanged"] += 1
                        self._advance(1)
                        continue
            yield Task(path, known)

    def remember_folder(self, path: bytes) -> None:
        """Publish a folder for `refresh`, with the next images."""
        self._folders.append(path)

    def skip_folder(self, path: bytes, error: OSError) -> None:
        """Report a directory that cannot be listed."""
        reason = error.strerror or str(error)
        self._reasons.append((os.fsdecode(path), f"the folder cannot be listed: {reason}"))

    def _take(self, outcome: Outcome) -> None:
        if outcome.reason:
            self._skipped.append(outcome)
            self._reasons.append((os.fsdecode(outcome.task.path), outcome.reason))
        elif outcome.row is None:
            self._touched.append(outcome)
            self._counts["unchanged"] += 1
        else:
            self._pending.append(outcome)
            self._counts["added" if outcome.task.known is None else "updated"] += 1
        self._advance(1)

    def _advance(self, files: int) -> None:
        self._done += files
        if self._progress is not None:
            self._progress(self._done)

    # ---- publishing ----------------------------------------------------------------------------

    def commit(self) -> None:
        """Publish everything pending: a durable segment first, then one transaction."""
        self._last_commit = time.monotonic()
        if not (self._pending or self._skipped or self._touched or self._folders):
            return
        # Taken out first: if publishing fails, it is not tried again on the way out.
        pending, self._pending = self._pending, []
        skipped, self._skipped = self._skipped, []
        touched, self._touched = self._touched, []
        folders, self._folders = self._folders, []
        catalog = self.catalog
        records = []
        segment = None
        if pending:
            number = catalog.next_id("segments")
            records = self._numbered(pending, number)
            measure = self._measure
            rows = as_rows([row for _, row in records], measure.row_dtype, measure.row_length)
            ids = np.array([record.id for record, _ in records], dtype=np.int64)
            segment = write_segment(catalog.folder, number, rows, ids, self._codes_of(len(ids)))
        with catalog.transaction(write=True):
            for folder in folders:
                catalog.add_folder(folder)
            if segment is not None:
                catalog.add_segment(segment)
            if records:
                replaced = [o.task.known.id for o in pending if o.task.known is not None]
                catalog.put_images((record for record, _ in records), replaced=replaced)
            for outcome in touched:
                if outcome.task.known is not None:
                    catalog.touch_image(outcome.task.known.id, outcome.size, outcome.mtime_ns)
            for outcome in skipped:
                if outcome.task.known is not None:  # it was an image, now it is none
                    catalog.remove_image(outcome.task.known.id)
                catalog.put_skipped(outcome.task.path, outcome.reason)

    def _codes_of(self, rows: int) -> Callable[[NDArray[Any]], NDArray[np.uint8]] | None:
        """Return what makes the codes of a segment; None where it is small or has none."""
        coder = self._measure.coder
        if coder is None or rows < CODED_ROWS:
            return None
        return lambda rows: _core.arrange_codes(encoded(coder, rows, self._threads), self._threads)

    def _numbered(
        self, pending: list[Outcome], segment: int
    ) -> list[tuple[ImageRecord, NDArray[Any]]]:
        """Pending images with their ids, ascending; a changed image keeps its id."""
        fresh = self.catalog.next_id("images")
        numbered = []
        for outcome in pending:
            if outcome.task.known is not None:
                number = outcome.task.known.id
            else:
                number, fresh = fresh, fresh + 1
            numbered.append((number, outcome))
        numbered.sort(key=lambda pair: pair[0])
        records = []
        for row, (number, outcome) in enumerate(numbered):
            record = ImageRecord(
                number, outcome.task.path, outcome.size, outcome.mtime_ns, outcome.sha256,
                outcome.width, outcome.height, segment, row,
            )  # fmt: skip
            if outcome.row is not None:
                records.append((record, outcome.row))
        return records

    # ---- removing and merging ------------------------------------------------------------------

    def remove(self, ids: Iterable[int], gone_skipped: Iterable[bytes] = ()) -> None:
        """Forget images, and notes about files that were skipped and have gone."""
        with self.catalog.transaction(write=True):
            for number in ids:
                self.catalog.remove_image(number)
                self._counts["removed"] += 1
            for path in gone_skipped:
                self.catalog.remove_skipped(path)

    def merge_small_segments(self) -> None:
        """Keep the number of segments small: many small ones become one, without dead rows.

        A merge that the system refuses is an IndexWarning.
        """
        try:
            self._merge_small_segments()
        except (OSError, MemoryError) as error:
            warn_of_small_segments(self.catalog.folder, error, stacklevel=4)

    def _merge_small_segments(self) -> None:
        catalog = self.catalog
        small = _small(catalog.segments())
        if len(small) <= _MANY_SMALL:
            return
        number = catalog.next_id("segments")
        merged, ids = self._merged(small, number)
        with catalog.transaction(write=True):
            if merged is not None:
                catalog.add_segment(merged)
            for row, image in enumerate(ids.tolist()):
                catalog.move_image(image, number, row)
            for record in small:
                catalog.drop_segment(record.id)
        remove_orphans(catalog.folder, catalog.segment_names())

    def _merged(
        self, small: list[SegmentRecord], number: int
    ) -> tuple[SegmentRecord | None, NDArray[np.int64]]:
        """Write the rows that images use into one segment; and the ids of these images."""
        catalog = self.catalog
        dead = set(catalog.dead_rows())
        parts: list[Rows] = []
        part_of, row_of, ids = [], [], []
        for record in small:
            # Checksums are made anew: what is damaged must not get one that fits.
            segment = open_segment(
                catalog.folder, record, self._measure.row_dtype, self._measure.row_length,
                whole=True,
            )  # fmt: skip
            alive = np.array(
                [row for row in range(record.rows) if (record.id, row) not in dead], np.intp
            )
            part_of.append(np.full(len(alive), len(parts), np.intp))
            row_of.append(alive)
            ids.append(segment.ids[alive])
            parts.append(segment.rows)
        merged_ids = np.concatenate(ids)
        order = np.argsort(merged_ids, kind="stable")
        merged_ids = merged_ids[order]
        rows = PickedRows(parts, np.concatenate(part_of)[order], np.concatenate(row_of)[order])
        if not len(order):
            return None, merged_ids
        codes_of = self._codes_of(len(order))
        return write_segment(catalog.folder, number, rows, merged_ids, codes_of), merged_ids


def _small(segments: list[SegmentRecord]) -> list[SegmentRecord]:
    """Segments that are worth copying.

    A segment grows out of that by rows or by bytes, so that no image is copied again and again;
    and in a large index by more bytes, so that the number of segments stays bounded.
    """
    total = sum(record.rows_bytes for record in segments)
    most = max(_SMALL_BYTES, total // _PARTS_OF_ALL)
    return [r for r in segments if r.rows < _SMALL_ROWS and r.rows_bytes <= most]
