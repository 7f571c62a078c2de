"""The catalogue of an index: a SQLite file that names every image and every segment.

One transaction publishes a commit, so crash safety and snapshots are SQLite's. Paths are stored as
the bytes of the file system; those below the directory that holds the index are stored relative to
it, so that a folder and its index can move together.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from imgsim_fast.errors import IndexCorruptError, IndexVersionError, InvalidInputError
from imgsim_fast.index.histogram_segments import HistogramSegment
from imgsim_fast.index.segments import SegmentRecord

FORMAT = 1
_CODES_IN_ORDER_OF_ROWS = 2  # what 1 is, and two more tables
FORMAT_WITH_CODES = 3  # codes may be arranged as well (csrc/imgsim/code_tree.hpp)
_FORMATS = (FORMAT, _CODES_IN_ORDER_OF_ROWS, FORMAT_WITH_CODES)
FILE = "catalog.sqlite"
UNFINISHED = f"{FILE}.new"
_APPLICATION_ID = 0x696D6773  # "imgs"

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE segments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_crc INTEGER NOT NULL,
    ids_bytes INTEGER NOT NULL, ids_crc INTEGER NOT NULL);
CREATE TABLE images (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 BLOB NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL,
    segment INTEGER NOT NULL REFERENCES segments (id), row INTEGER NOT NULL);
CREATE TABLE dead_rows (
    segment INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (segment, row)) WITHOUT ROWID;
CREATE TABLE skipped (path BLOB PRIMARY KEY, reason TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE folders (path BLOB PRIMARY KEY) WITHOUT ROWID;
"""

_CODES_SCHEMA = (
    """
CREATE TABLE codes (
    segment INTEGER PRIMARY KEY REFERENCES segments (id), bytes INTEGER NOT NULL,
    crc INTEGER NOT NULL)""",
    """
CREATE TABLE histograms (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,
    first_id INTEGER NOT NULL, last_id INTEGER NOT NULL,
    rows_bytes INTEGER NOT NULL, rows_crc INTEGER NOT NULL,
    codes_bytes INTEGER NOT NULL, codes_crc INTEGER NOT NULL,
    ids_bytes INTEGER NOT NULL, ids_crc INTEGER NOT NULL)""",
)


_SELECT_IMAGES = "SELECT id, path, size, mtime_ns, sha256, width, height, segment, row FROM images"


class ImageRecord(NamedTuple):
    """One image file: where it is, what it was when read, where its descriptor is."""

    id: int
    path: bytes
    size: int
    mtime_ns: int
    sha256: bytes
    width: int
    height: int
    segment: int
    row: int


class Catalog:
    """An open catalogue. Methods that write must run inside `transaction`."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        # Through a link to the index, paths stay relative to where the index really is.
        here = os.path.realpath(self.folder) if os.path.islink(self.folder) else self.folder
        self._base = os.fsencode(os.path.dirname(here))
        separator = os.fsencode(os.sep)
        self._prefix = self._base.rstrip(separator) + separator
        file = os.path.join(self.folder, FILE)
        if not os.path.isfile(file):
            if os.path.exists(self.folder) and not os.path.isdir(self.folder):
                raise IndexVersionError(f"{folder!r} is a file: an index is a directory")
            if not os.path.isdir(self.folder):
                raise IndexVersionError(f"there is no index {folder!r}: no such directory")
            inside = os.path.join(folder, ".imgsim")
            hint = (
                f"; its index is {inside!r}" if os.path.isfile(os.path.join(inside, FILE)) else ""
            )
            raise IndexVersionError(f"{folder!r} is not an imgsim index: it has no {FILE}{hint}")
        self._db = _connect(file)
        try:
            self._check_format(folder)
        except BaseException:
            self._db.close()
            raise

    def _check_format(self, folder: str) -> None:
        with corruption_named(folder):
            application = self._db.execute("PRAGMA application_id").fetchone()[0]
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if application != _APPLICATION_ID:
                raise IndexVersionError(f"{folder!r} is not an imgsim index")
            if version not in _FORMATS:
                raise IndexVersionError(
                    f"{folder!r} has index format {version}; this version reads 1 to {_FORMATS[-1]}"
                )
            meta = dict(self._db.execute("SELECT key, value FROM meta"))
        try:
            if meta["checksum"] != _checksum(meta):
                raise ValueError("measure, options and decoder do not fit their checksum")
            self.measure: str = meta["measure"]
            self.options: dict[str, Any] = json.loads(meta["options"])
            self.decoder: dict[str, Any] = json.loads(meta["decoder"])
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise IndexCorruptError(f"{folder!r}: the catalogue's meta data: {error!r}") from error

    @staticmethod
    def create(
        folder: str, measure: str, options: Mapping[str, Any], decoder: Mapping[str, Any]
    ) -> None:
        """Write a new, empty catalogue; it appears in the folder complete or not at all.

        The caller holds the writer lock, so what an interrupted creation left can go.
        """
        file = os.path.join(folder, FILE)
        temporary = os.path.join(folder, UNFINISHED)
        for left in (temporary, f"{temporary}-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(left)
        meta = {
            "measure": measure,
            "options": json.dumps(dict(options), sort_keys=True),
            "decoder": json.dumps(dict(decoder), sort_keys=True),
        }
        meta["checksum"] = _checksum(meta)
        with corruption_named(folder):
            db = sqlite3.connect(temporary, isolation_level=None)
        try:
            # Nobody sees the file before it has its name: it needs no journal, and one fsync.
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.executescript(f"BEGIN; {_SCHEMA}")
            db.executemany("INSERT INTO meta VALUES (?, ?)", list(meta.items()))
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
            db.close()
            with open(temporary, "rb+") as made:
                os.fsync(made.fileno())
            os.replace(temporary, file)
        except BaseException as error:
            db.close()
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            if isinstance(error, sqlite3.Error):
                raise OSError(f"{file!r}: {error}") from error
            raise

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self, *, write: bool) -> Iterator[None]:
        """All that happens inside is one snapshot; writes are published together or not at all."""
        with corruption_named(self.folder):
            self._db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite itself rolls back after some errors
                    self._db.execute("ROLLBACK")
                raise

    def version(self) -> tuple[int, int]:
        """Return a value that changes whenever this or another process has committed."""
        with corruption_named(self.folder):
            changes = self._db.total_changes
        return self._rows("PRAGMA data_version")[0][0], changes

    # ---- paths ---------------------------------------------------------------------------------

    def stored(self, path: bytes) -> bytes:
        """Return the form of an absolute path that is kept."""
        return b"." if path == self._base else path.removeprefix(self._prefix)

    def absolute(self, stored: bytes) -> bytes:
        """Return the absolute path of a stored one."""
        return self._base if stored == b"." else os.path.join(self._base, stored)

    # ---- reading -------------------------------------------------------------------------------

    def _rows(self, query: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        with corruption_named(self.folder):
            return self._db.execute(query, parameters).fetchall()

    def segments(self) -> list[SegmentRecord]:
        """All segments in the order of their ids."""
        codes = "codes.bytes, codes.crc" if self._has_codes() else "0, 0"
        joined = "LEFT JOIN codes ON codes.segment = segments.id" if self._has_codes() else ""
        rows = self._rows(
            "SELECT id, name, rows, rows_bytes, rows_crc, ids_bytes, ids_crc, "
            f"{codes} FROM segments {joined} ORDER BY id"
        )
        found = []
        for row in rows:
            row = (*row[:7], row[7] or 0, row[8] or 0)
            if not (isinstance(row[1], str) and all(_is_count(n) for n in (row[0], *row[2:]))):
                raise IndexCorruptError(f"the catalogue of {self.folder!r} has a segment {row}")
            found.append(SegmentRecord(*row))
        return found

    def histograms(self) -> list[HistogramSegment]:
        """All segments of histograms in the order of their ids."""
        if not self._has_codes():
            return []
        rows = self._rows("SELECT * FROM histograms ORDER BY id")
        for row in rows:
            if not (isinstance(row[1], str) and all(_is_count(n) for n in (row[0], *row[2:]))):
                raise IndexCorruptError(f"the catalogue of {self.folder!r} has histograms {row}")
        return [HistogramSegment(*row) for row in rows]

    def _format(self) -> int:
        return int(self._rows("PRAGMA user_version")[0][0])

    def _has_codes(self) -> bool:
        """Whether the tables are there: the number of a damaged format must not hide them."""
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'histograms'"))

    def segment_names(self) -> set[str]:
        """Names of all segments, of images and of histograms."""
        return {one.name for one in self.segments()} | {one.name for one in self.histograms()}

    def dead_rows(self) -> list[tuple[int, int]]:
        """(segment, row) of rows whose image was removed or described anew."""
        rows = self._rows("SELECT segment, row FROM dead_rows")
        for row in rows:
            if not all(_is_count(number) for number in row):
                raise IndexCorruptError(f"the catalogue of {self.folder!r} has a dead row {row}")
        return sorted(rows)

    def image(self, path: bytes) -> ImageRecord | None:
        """Look up an image by absolute path."""
        return self._one_image("path", self.stored(path))

    def image_of(self, number: int) -> ImageRecord | None:
        """Look up an image by id."""
        return self._one_image("id", number) if abs(number) < 2**63 else None

    def _one_image(self, column: str, value: bytes | int) -> ImageRecord | None:
        found = self._rows(f"{_SELECT_IMAGES} WHERE {column} = ?", (value,))
        return self._image(found[0]) if found else None

    def _image(self, row: tuple[Any, ...]) -> ImageRecord:
        number, path, size, mtime_ns, sha256, *places = row
        sound = isinstance(path, bytes) and isinstance(sha256, bytes) and isinstance(mtime_ns, int)
        if not (sound and all(_is_count(count) for count in (number, size, *places))):
            raise IndexCorruptError(f"the catalogue of {self.folder!r} has an image {row}")
        self._check_path(f"image {number}", path)
        return ImageRecord(*row)

    def _check_path(self, what: str, path: bytes) -> None:
        if not path or b"\0" in path:
            raise IndexCorruptError(
                f"the catalogue of {self.folder!r} has {what} at {path!r}, which no path can be"
            )

    def images(self) -> Iterator[ImageRecord]:
        """All images by id, a bounded number in memory."""
        after = -1
        while rows := self._rows(f"{_SELECT_IMAGES} WHERE id > ? ORDER BY id LIMIT 4096", (after,)):
            for row in rows:
                record = self._image(row)
                if record.id <= after:  # SQLite takes the order of a damaged table for granted
                    raise IndexCorruptError(
                        f"the catalogue of {self.folder!r} has image {record.id} after {after}"
                    )
                after = record.id
                yield record

    def paths_of(self, ids: Iterable[int]) -> list[bytes]:
        """Absolute paths of images by id, in the order given."""
        found = []
        for number in ids:
            record = self.image_of(number)
            if record is None:
                raise IndexCorruptError(f"a segment holds image {number}, the catalogue does not")
            found.append(self.absolute(record.path))
        return found

    def count(self) -> int:
        """Return the number of images."""
        return int(self._rows("SELECT count(*) FROM images")[0][0])

    def skipped(self) -> list[tuple[bytes, str]]:
        """(absolute path, reason) of files that could not be read."""
        rows = self._rows("SELECT path, reason FROM skipped ORDER BY path")
        for row in rows:
            if not (isinstance(row[0], bytes) and isinstance(row[1], str)):
                raise IndexCorruptError(f"the catalogue of {self.folder!r} skipped {row}")
            self._check_path("a skipped file", row[0])
        return [(self.absolute(path), reason) for path, reason in rows]

    def folders(self) -> list[bytes]:
        """Absolute paths of the folders that were added."""
        rows = self._rows("SELECT path FROM folders ORDER BY path")
        for row in rows:
            if not isinstance(row[0], bytes):
                raise IndexCorruptError(f"the catalogue of {self.folder!r} has a folder {row}")
            self._check_path("a folder", row[0])
        return [self.absolute(path) for (path,) in rows]

    def next_id(self, table: str) -> int:
        """Return the id that the next new row will have; ids are never used twice."""
        rows = self._rows("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        return int(rows[0][0]) + 1 if rows else 1

    def integrity(self) -> list[str]:
        """SQLite's own findings about the file; empty when it is sound."""
        return [text for (text,) in self._rows("PRAGMA integrity_check(20)") if text != "ok"]

    # ---- writing (inside a transaction) ----------------------------------------------------------

    def add_folder(self, path: bytes) -> None:
        """Remember a folder for `refresh`."""
        self._db.execute("INSERT OR IGNORE INTO folders VALUES (?)", (self.stored(path),))

    def add_segment(self, record: SegmentRecord) -> None:
        """Publish a segment."""
        self._db.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                record.id, record.name, record.rows, record.rows_bytes, record.rows_crc,
                record.ids_bytes, record.ids_crc,
            ),
        )  # fmt: skip
        if record.codes_bytes:
            self._need_codes()
            self._db.execute(
                "INSERT INTO codes VALUES (?, ?, ?)",
                (record.id, record.codes_bytes, record.codes_crc),
            )

    def put_histograms(
        self, records: Iterable[HistogramSegment], *, replaced: Iterable[int] = ()
    ) -> None:
        """Publish segments of histograms instead of others."""
        self._need_codes()
        for number in replaced:
            self._db.execute("DELETE FROM histograms WHERE id = ?", (number,))
        marks = ", ".join("?" * len(HistogramSegment._fields))
        self._db.executemany(f"INSERT INTO histograms VALUES ({marks})", list(records))

    def _need_codes(self) -> None:
        if not self._has_codes():
            for table in _CODES_SCHEMA:
                self._db.execute(table)
        if self._format() != FORMAT_WITH_CODES:
            self._db.execute(f"PRAGMA user_version = {FORMAT_WITH_CODES}")

    def drop_segment(self, number: int) -> None:
        """Forget a segment that no image uses any more."""
        self._db.execute("DELETE FROM dead_rows WHERE segment = ?", (number,))
        if self._has_codes():
            self._db.execute("DELETE FROM codes WHERE segment = ?", (number,))
        self._db.execute("DELETE FROM segments WHERE id = ?", (number,))

    def put_images(self, records: Iterable[ImageRecord], *, replaced: Iterable[int] = ()) -> None:
        """Insert images; those of the `replaced` ids are there already, and their old rows die."""
        for number in replaced:
            self._kill_row_of(number)
            self._db.execute("DELETE FROM images WHERE id = ?", (number,))
        stored = self.stored
        self._db.executemany(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(record.id, stored(record.path), *record[2:]) for record in records],
        )
        # Few are skipped: each is looked up among the images, not the other way round.
        self._db.execute(
            "DELETE FROM skipped WHERE EXISTS (SELECT 1 FROM images WHERE path = skipped.path)"
        )

    def move_image(self, number: int, segment: int, row: int) -> None:
        """Point an image to its copy in another segment."""
        self._db.execute(
            "UPDATE images SET segment = ?, row = ? WHERE id = ?", (segment, row, number)
        )

    def touch_image(self, number: int, size: int, mtime_ns: int) -> None:
        """Note that the file looks different but its contents are the same."""
        self._db.execute(
            "UPDATE images SET size = ?, mtime_ns = ? WHERE id = ?", (size, mtime_ns, number)
        )

    def remove_image(self, number: int) -> None:
        """Forget an image; its row dies."""
        self._kill_row_of(number)
        self._db.execute("DELETE FROM images WHERE id = ?", (number,))

    def put_skipped(self, path: bytes, reason: str) -> None:
        """Note that a file could not be read."""
        self._db.execute(
            "INSERT OR REPLACE INTO skipped VALUES (?, ?)", (self.stored(path), reason)
        )

    def remove_skipped(self, path: bytes) -> None:
        """Forget such a note."""
        self._db.execute("DELETE FROM skipped WHERE path = ?", (self.stored(path),))

    def _kill_row_of(self, number: int) -> None:
        self._db.execute(
            "INSERT INTO dead_rows SELECT segment, row FROM images WHERE id = ?", (number,)
        )


def _connect(file: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(file))}"
    for mode in ("rw", "ro"):  # an index on a read-only medium can still be searched
        db = sqlite3.connect(
            f"{uri}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=30,
        )
        try:
            with corruption_named(os.path.dirname(file)):
                db.execute("PRAGMA schema_version")
                db.execute("PRAGMA synchronous = EXTRA")
            return db
        except OSError:
            db.close()
            if mode == "ro":
                raise
        except BaseException:
            db.close()
            raise
    raise AssertionError("unreachable")


@contextlib.contextmanager
def corruption_named(folder: str) -> Iterator[None]:
    """SQLite's complaint about a damaged file becomes ours; its I/O errors become OSError."""
    file = os.path.join(folder, FILE)
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise InvalidInputError(f"the index {folder!r} has been closed") from error
    except sqlite3.OperationalError as error:
        # A query of ours that makes no sense to SQLite, or text that is none: not ours any more.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code & 0xFF == sqlite3.SQLITE_ERROR:
            raise IndexCorruptError(f"{file!r} is damaged: {error}") from error
        raise OSError(f"{file!r}: {error}") from error
    except (sqlite3.DatabaseError, UnicodeDecodeError, OverflowError) as error:
        raise IndexCorruptError(f"{file!r} is damaged: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _checksum(meta: Mapping[str, str]) -> str:
    """CRC-32 of what every row of the index depends on."""
    text = "\n".join(meta[key] for key in ("measure", "options", "decoder"))
    return f"{zlib.crc32(text.encode()):08x}"
