"""Immutable segment files: plain ``.npy`` arrays of descriptor rows and image ids.

Rows of one length are a matrix. Ragged rows are one array of bytes: ``n + 1`` little-endian int64
offsets, in numbers of the row's type, then the numbers themselves.

A segment is written once, made durable, and only then named by the catalogue, which also keeps the
length and CRC-32 of each file. Nothing here ever changes a file that has been published.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
import re
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core
from imgsim_fast.errors import IndexCorruptError, IndexTruncatedError, IndexWarning
from imgsim_fast.rows import PickedRows, RaggedRows, Rows

_NAME = re.compile(r"segment-[0-9]{8,19}")
_ANY_NAME = re.compile(r"(segment|histograms)-[0-9]{8,19}")
_PARTS = ("rows", "ids")


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """What the catalogue knows of a segment."""

    id: int
    name: str
    rows: int
    rows_bytes: int
    rows_crc: int
    ids_bytes: int
    ids_crc: int
    codes_bytes: int = 0  # 0: rows without codes
    codes_crc: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """The arrays of a segment, mapped into memory; `ids` ascend."""

    record: SegmentRecord
    rows: Rows
    ids: NDArray[np.int64]
    codes: NDArray[np.uint8] | None = None


def write_segment(
    folder: str,
    number: int,
    rows: Rows | PickedRows,
    ids: NDArray[np.int64],
    codes_of: Callable[[NDArray[Any]], NDArray[np.uint8]] | None = None,
) -> SegmentRecord:
    """Write and make durable the files of a new segment; on any error they are removed again.

    codes_of: makes the codes of all rows at once; they are read from their file for that.

    Takes O(rows) memory besides them, and of picked rows a few megabytes, or the longest row.
    """
    name = f"segment-{number:08d}"
    written: list[str] = []
    sizes: dict[str, tuple[int, int]] = {}
    try:
        for part, array in zip(_PARTS, (_laid_out(rows), _laid_out(ids)), strict=True):
            path = part_file(folder, name, part)
            written.append(path)
            sizes[part] = _write_array(path, array)
        codes = (0, 0)
        if codes_of is not None:
            path = part_file(folder, name, "codes")
            written.append(path)
            made = codes_of(np.load(part_file(folder, name, "rows"), mmap_mode="r"))
            codes = _write_array(path, _laid_out(made))
        sync_folder(folder)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise
    return SegmentRecord(number, name, len(ids), *sizes["rows"], *sizes["ids"], *codes)


def open_segment(
    folder: str,
    record: SegmentRecord,
    dtype: np.dtype[Any],
    row_length: int | None,
    *,
    whole: bool = False,
) -> Segment:
    """Map a segment, after checking its length, its checksum and the shape of its arrays.

    Segments with codes are large: they open at once, and their checksums are for `whole`.
    """
    _check_name(record)
    file = part_file(folder, record.name, "rows")
    size = record.rows_bytes
    read = whole or not record.codes_bytes
    crc = record.rows_crc if read else None
    rows: Rows
    if row_length is None:
        packed = open_array(file, size, crc, np.dtype(np.uint8), None)
        rows = _as_ragged(record, packed, dtype)
    else:
        rows = open_array(file, size, crc, dtype, (record.rows, row_length))
    codes = None
    if record.codes_bytes:
        file = part_file(folder, record.name, "codes")
        crc = record.codes_crc if read else None
        codes = open_codes(file, record.codes_bytes, crc, record.rows)
    return Segment(record, rows, _open_ids(folder, record, read), codes)


def open_any_segment(folder: str, record: SegmentRecord) -> Segment:
    """Map a segment of a measure that is not at hand: its rows are whatever array is there."""
    _check_name(record)
    file = part_file(folder, record.name, "rows")
    rows = open_array(file, record.rows_bytes, record.rows_crc, None, None)
    if rows.ndim != 1 and len(rows) != record.rows:
        raise IndexCorruptError(f"{record.name}.rows.npy holds {len(rows)}, not {record.rows} rows")
    return Segment(record, rows, _open_ids(folder, record, True))


def _check_name(record: SegmentRecord) -> None:
    if _NAME.fullmatch(record.name) is None:
        raise IndexCorruptError(f"the catalogue names a segment {record.name!r}")
    if record.rows == 0:
        raise IndexCorruptError(f"the catalogue says that {record.name} is empty")


def _open_ids(folder: str, record: SegmentRecord, read: bool) -> NDArray[np.int64]:
    file = part_file(folder, record.name, "ids")
    crc = record.ids_crc if read else None
    return open_array(file, record.ids_bytes, crc, np.dtype(np.int64), (record.rows,))


class _Array(NamedTuple):
    """An array to be written: its pieces follow each other in the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Iterable[NDArray[Any]]


def _laid_out(rows: Rows | PickedRows) -> _Array:
    """Lay out equal rows as a matrix, ragged ones as their offsets and their numbers."""
    if isinstance(rows, np.ndarray):
        return _Array(rows.dtype, rows.shape, [rows])
    if isinstance(rows, RaggedRows):
        values = rows.values[rows.offsets[0] : rows.offsets[-1]]
        return _ragged(np.diff(rows.offsets), values.dtype, [values])
    first = rows.first_part
    if isinstance(first, RaggedRows):
        return _ragged(rows.lengths(), first.values.dtype, rows.pieces())
    return _Array(first.dtype, (len(rows), first.shape[1]), rows.pieces())


def _ragged(
    lengths: NDArray[np.int64], dtype: np.dtype[Any], pieces: Iterable[NDArray[Any]]
) -> _Array:
    offsets = np.zeros(len(lengths) + 1, "<i8")
    np.cumsum(lengths, out=offsets[1:])
    little = dtype.newbyteorder("<")
    size = offsets.nbytes + int(offsets[-1]) * dtype.itemsize
    numbers = (piece.astype(little, copy=False) for piece in pieces)
    return _Array(np.dtype(np.uint8), (size,), itertools.chain([offsets], numbers))


def _as_ragged(
    record: SegmentRecord, packed: NDArray[np.uint8], dtype: np.dtype[Any]
) -> RaggedRows:
    head = 8 * (record.rows + 1)
    length = len(packed) - head
    if length >= 0 and length % dtype.itemsize == 0:
        offsets = packed[:head].view("<i8").astype(np.int64)
        values = packed[head:].view(dtype.newbyteorder("<"))
        ends = (offsets[0], offsets[-1]) == (0, len(values))
        if ends and (offsets[1:] >= offsets[:-1]).all():
            return RaggedRows(values, offsets)
    raise IndexCorruptError(f"{record.name}.rows.npy does not hold {record.rows} rows of {dtype}")


def remove_orphans(folder: str, known: set[str]) -> None:
    """Delete the files of segments that no catalogue names: what an interrupted writer left."""
    for entry in os.listdir(folder):
        name = entry.split(".")[0]
        if _ANY_NAME.fullmatch(name) and name not in known:
            with contextlib.suppress(OSError):  # Windows keeps files that a reader has mapped
                os.unlink(os.path.join(folder, entry))


def warn_of_small_segments(folder: str, error: Exception, stacklevel: int) -> None:
    """Say that merging failed, which is no error: what was asked for has been published before.

    The segments stay as they are. The next writer tries again: with all of images; with those of
    histograms behind which no large one has come.
    """
    warnings.warn(
        f"{folder!r}: what was given has been added, but many small segments could not be merged "
        f"(verify() says whether all are sound): {str(error) or type(error).__name__}",
        IndexWarning,
        stacklevel=stacklevel,
    )


def sync_folder(folder: str) -> None:
    """Make the names in a directory durable (where the system can)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def part_file(folder: str, name: str, part: str) -> str:
    """Return the path of one array of a segment."""
    return os.path.join(folder, f"{name}.{part}.npy")


def write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the head of an array; its length does not depend on the number of rows."""
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, header)


def _write_array(path: str, array: _Array) -> tuple[int, int]:
    """Return length and CRC-32 of the file."""
    try:
        with open(path, "xb") as file:
            write_header(file, array.dtype, array.shape)
            for piece in array.pieces:
                file.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        with open(path, "rb") as file:
            return _length_and_crc(file)
    except OSError as error:
        if error.filename is None and error.errno is not None:  # full disks name no file
            raise type(error)(error.errno, error.strerror, path) from error
        raise


def _length_and_crc(file: BinaryIO) -> tuple[int, int]:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        return 0, 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return size, zlib.crc32(view)


def open_array(
    path: str,
    size: int,
    crc: int | None,
    dtype: np.dtype[Any] | None,
    shape: tuple[int, ...] | None,
) -> NDArray[Any]:
    """Map an array; it is not read where `crc` is None.

    A shape of None stands for one dimension of any length, or for any.
    The latter with a dtype of None, which stands for any numbers.
    """
    name = os.path.basename(path)
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise IndexCorruptError(f"{name} is missing") from error
        # All through one descriptor: a merge may take the name away meanwhile.
        actual = os.fstat(file.fileno()).st_size
        if actual != size:
            raise IndexTruncatedError(f"{name} has {actual} bytes; the catalogue says {size}")
        computed = crc if crc is None else _length_and_crc(file)[1]
        if computed != crc:
            raise IndexCorruptError(
                f"{name} is damaged: CRC-32 {computed:08x}; the catalogue says {crc:08x}"
            )
        found_shape, fortran, found_dtype = _header_of(file, name)
        start = file.tell()
        if dtype is None:
            shape, dtype = found_shape or (-1,), found_dtype
            if dtype.hasobject or dtype.itemsize == 0:
                raise IndexCorruptError(f"{name} holds {dtype}")
        if shape is None:
            shape = found_shape if len(found_shape) == 1 else (-1,)
        length = math.prod(shape) * dtype.itemsize
        if (found_shape, fortran, found_dtype, start + length) != (shape, False, dtype, size):
            raise IndexCorruptError(
                f"{name} holds {found_shape} of {found_dtype}; not {shape} of {dtype}"
            )
        return np.asarray(np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape))


def open_codes(path: str, size: int, crc: int | None, rows: int) -> NDArray[np.uint8]:
    """Map the codes of so many rows, in their order or arranged."""
    codes = open_array(path, size, crc, np.dtype(np.uint8), None)
    if len(codes) not in (_core.arranged_bytes(rows), rows * _core.CODE_BYTES):
        raise IndexCorruptError(
            f"{os.path.basename(path)} holds {len(codes)} bytes; not the codes of {rows} rows"
        )
    return codes


def _header_of(file: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and dtype; leaves the file where the data begin. Unpickles nothing.

    Raises
    ------
    IndexCorruptError
        It is no array.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"version {version} of the format")
        return np.lib.format.read_array_header_1_0(file)
    # The header is Python text: a damaged one can raise anything, up to RecursionError.
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise IndexCorruptError(f"{name} is not an array: {what}"[:300]) from error
