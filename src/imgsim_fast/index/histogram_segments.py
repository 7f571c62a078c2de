"""Segment files of histograms that no image file is behind: rows, their codes, their ids.

Plain ``.npy`` arrays like those of images (segments.py), but written as a stream and opened without
being read: a CRC-32 of the data of each is for ``verify``. Codes (csrc/imgsim/cdf_codes.hpp) are
arranged as a tree (csrc/imgsim/code_tree.hpp), 22 bytes a row. Ids that follow each other take no
file.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core
from imgsim_fast.errors import IndexCorruptError
from imgsim_fast.index.coding import PIECE, encoded, joined, wrong_codes
from imgsim_fast.index.segments import (
    open_array,
    open_codes,
    part_file,
    sync_folder,
    write_header,
)

NAME = "histograms-{:08d}"
ROWS = np.dtype(np.uint32)


class HistogramSegment(NamedTuple):
    """What the catalogue knows of a segment; `ids_bytes` is 0 where ids follow each other."""

    id: int
    name: str
    rows: int
    first_id: int
    last_id: int
    rows_bytes: int
    rows_crc: int
    codes_bytes: int
    codes_crc: int
    ids_bytes: int
    ids_crc: int


@dataclass(frozen=True, slots=True)
class Histograms:
    """The arrays of a segment, mapped into memory. `ids` ascend; None: from `first_id` on."""

    record: HistogramSegment
    rows: NDArray[np.uint32]
    codes: NDArray[np.uint8]
    ids: NDArray[np.int64] | None

    def ids_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ids of rows by number."""
        return self.record.first_id + rows if self.ids is None else self.ids[rows]

    def all_ids(self) -> NDArray[np.int64]:
        """Return the ids of all rows."""
        return self.ids_of(np.arange(self.record.rows))


class SegmentWriter:
    """Writes one segment, piece by piece; its files are gone unless `finish` comes to its end."""

    def __init__(self, folder: str, number: int, metric: _core.Metric, threads: int) -> None:
        self._folder = folder
        self._number = number
        self._metric = metric
        self._threads = threads
        self._codes: list[NDArray[np.uint8]] = []
        self._ids: list[NDArray[np.int64]] = []
        self._crc = 0
        self.rows = 0
        # Open until `finish` or `discard`.
        self._file = open(self._path("rows"), "xb")  # noqa: SIM115
        write_header(self._file, ROWS, (0, metric.bins))

    def _path(self, part: str) -> str:
        return part_file(self._folder, NAME.format(self._number), part)

    def add(self, rows: NDArray[np.uint32], ids: NDArray[np.int64]) -> None:
        """Append rows of shape (n, bins), C-contiguous.

        Raises
        ------
        BadMassError
            Row `row` of these is empty; of the segment nothing is to be used then.
        """
        step = max(1, PIECE // (rows.itemsize * rows.shape[1]))
        for start in range(0, len(rows), step):
            piece = rows[start : start + step]
            try:
                codes = encoded(self._metric, piece, self._threads)
            except _core.BadMassError as bad:
                raise _core.BadMassError(bad.which, start + bad.row) from None
            data = piece.reshape(-1).view(np.uint8).data
            self._crc = zlib.crc32(data, self._crc)
            self._file.write(data)
            self._codes.append(codes)
        self._ids.append(ids)
        self.rows += len(rows)

    def finish(self) -> HistogramSegment:
        """Make everything durable."""
        bins = self._metric.bins
        self._file.seek(0)
        write_header(self._file, ROWS, (self.rows, bins))
        self._close()
        size = os.path.getsize(self._path("rows"))
        raw = joined(self._codes)
        self._codes = []  # 109 MB
        codes = self._write("codes", _core.arrange_codes(raw, self._threads))
        del raw
        ids = np.concatenate(self._ids)
        self._ids = []  # whoever may still discard this keeps none of it for that
        follow = int(ids[-1]) - int(ids[0]) == len(ids) - 1
        kept = (0, 0) if follow else self._write("ids", ids)
        sync_folder(self._folder)
        return HistogramSegment(
            self._number, NAME.format(self._number), self.rows, int(ids[0]), int(ids[-1]),
            size, self._crc, *codes, *kept,
        )  # fmt: skip

    def _write(self, part: str, array: NDArray[Any]) -> tuple[int, int]:
        with open(self._path(part), "xb") as file:
            write_header(file, array.dtype, array.shape)
            data = np.ascontiguousarray(array).view(np.uint8).data
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            return file.tell(), zlib.crc32(data)

    def _close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Remove what has been written."""
        with contextlib.suppress(OSError):  # a full disk refuses what is buffered once more
            self._file.close()
        for part in ("rows", "codes", "ids"):
            with contextlib.suppress(OSError):
                os.unlink(self._path(part))


def open_histograms(folder: str, record: HistogramSegment, bins: int | None) -> Histograms:
    """Map a segment; its lengths, shapes and types are checked, its data are not read.

    bins: None where the measure is not at hand.
    """
    n = record.rows
    more = record.last_id - record.first_id - (n - 1)  # ids than rows
    sound = record.first_id >= 0 and (more >= 0 if record.ids_bytes else more == 0)
    if record.name != NAME.format(record.id) or n < 1 or not sound:
        raise IndexCorruptError(f"the catalogue has histograms {tuple(record)}")

    def opened(part: str, size: int, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        return open_array(part_file(folder, record.name, part), size, None, np.dtype(dtype), shape)

    if bins is None:
        file = part_file(folder, record.name, "rows")
        rows = open_array(file, record.rows_bytes, None, None, None)
        if rows.ndim != 2 or len(rows) != n or rows.dtype != ROWS:
            raise IndexCorruptError(f"{record.name}.rows.npy holds {rows.shape} of {rows.dtype}")
    else:
        rows = opened("rows", record.rows_bytes, ROWS, (n, bins))
    file = part_file(folder, record.name, "codes")
    codes = open_codes(file, record.codes_bytes, None, n)
    ids = opened("ids", record.ids_bytes, np.int64, (n,)) if record.ids_bytes else None
    return Histograms(record, rows, codes, ids)


def sound_histograms(folder: str, record: HistogramSegment, bins: int) -> Histograms:
    """Map a segment that is to be copied: its checksums are checked, as they will be made anew."""
    found = open_histograms(folder, record, bins)
    for problem in _damage(found):
        raise IndexCorruptError(problem)
    return found


def problems_of_histograms(
    folder: str, record: HistogramSegment, metric: _core.Metric | None
) -> list[str]:
    """Read every byte of a segment; what is wrong, nothing when sound.

    Without a metric nobody can say whether the codes are those of the rows.
    """
    try:
        found = open_histograms(folder, record, None if metric is None else metric.bins)
    except (IndexCorruptError, OSError) as error:
        return [str(error)]
    problems = _damage(found)
    if found.ids is not None:
        ends = (int(found.ids[0]), int(found.ids[-1])) != (record.first_id, record.last_id)
        if ends or (found.ids[1:] <= found.ids[:-1]).any():
            problems.append(f"{record.name}: ids do not ascend as the catalogue says")
    if not problems:
        problems += wrong_codes(record.name, found.rows, found.codes, metric)
    return problems


def _damage(found: Histograms) -> list[str]:
    """Read every byte and name the files that do not fit their checksum."""
    record = found.record
    parts: list[tuple[str, NDArray[Any] | None, int]] = [
        ("rows", found.rows, record.rows_crc),
        ("codes", found.codes, record.codes_crc),
        ("ids", found.ids, record.ids_crc),
    ]
    return [
        f"{record.name}.{part}.npy is damaged: CRC-32 of its data {actual:08x}; "
        f"the catalogue says {crc:08x}"
        for part, array, crc in parts
        if array is not None and (actual := _crc(array)) != crc
    ]


def _crc(array: NDArray[Any]) -> int:
    crc = 0
    flat = array.reshape(-1).view(np.uint8)
    for start in range(0, len(flat), PIECE):
        crc = zlib.crc32(flat[start : start + PIECE].data, crc)
    return crc
