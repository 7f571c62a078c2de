"""Adding histograms that no image file is behind to an index: what may be added, and faults."""

from __future__ import annotations

import contextlib
import sqlite3
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    IndexLockedError,
    IndexWarning,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.index import histograms as store
from imgsim_fast.index.catalog import FILE, Catalog
from imgsim_fast.index.histogram_segments import SegmentWriter
from imgsim_fast.index.lock import writer_lock
from tests.index_tools import execute
from tests.test_index_histograms import KINDS, counts, wanted


@pytest.fixture
def index(tmp_path):
    with isf.Index.create(tmp_path / "index", bins=64) as made:
        yield made


def test_ids(index):
    rows = counts(KINDS[2], 30, 64)
    index.add_histograms(rows[:10])
    index.add_histograms(rows[10:20], ids=range(100, 200, 10))
    index.add_histograms(rows[20:], ids=range(1000, 1010))
    ids = [*range(10), *range(100, 200, 10), *range(1000, 1010)]
    found = index.search_histograms(rows[25], 30)
    assert sorted(found.indices.tolist()) == ids
    _, order = wanted(rows[25:26], rows, 30, 64)
    assert found.indices.tolist() == [ids[row] for row in order[0]]
    for bad, at in (([1009, 1010], 0), ([-1, 5], 0), ([2001, 2000], 1), ([2**62, 2**62], 1)):
        with pytest.raises(InvalidInputError, match=rf"ids must ascend.* ids\[{at}\] is {bad[at]}"):
            index.add_histograms(rows[:2], ids=bad)
    for bad in (range(2000, 2003), range(2000, 2001)):
        with pytest.raises(InvalidInputError, match="ids must be one for each"):
            index.add_histograms(rows[:2], ids=bad)
    with pytest.raises(InvalidInputError, match="one-dimensional"):
        index.add_histograms(rows[:2], ids=[[2000, 2001]])
    with pytest.raises(InvalidTypeError, match="ids"):
        index.add_histograms(rows[:2], ids=["a", "b"])
    assert index.stats().histograms == 30
    assert index.verify() == []


def test_the_last_ids(index):
    rows = counts(KINDS[2], 3, 64)
    index.add_histograms(rows[:1], ids=[2**63 - 2])
    with pytest.raises(InvalidInputError, match="beyond 2\\*\\*63 - 1"):
        index.add_histograms(rows[:2])
    index.add_histograms(rows[:1])
    for ids, problem in ((None, "the ids of 1 more"), ([2**63 - 1], "ids must ascend")):
        with pytest.raises(InvalidInputError, match=problem):
            index.add_histograms(rows[:1], ids=ids)
    assert index.search_histograms(rows[0]).indices.tolist() == [2**63 - 2, 2**63 - 1]
    assert index.verify() == []


class ArrayLike:
    """As a DataFrame: an array, but iterating it gives something else."""

    def __init__(self, rows):
        self.rows = rows

    def __array__(self, dtype=None, copy=None):
        return self.rows

    def __iter__(self):
        return iter("abc")


def test_what_rows_may_be(index):
    rows = counts(KINDS[0], 40, 64)
    index.add_histograms(rows[:10].astype(np.int64))
    index.add_histograms(rows[10:20].astype(float).tolist())
    index.add_histograms([rows[20:23], rows[23:23], rows[23:30].astype(np.uint16)])
    index.add_histograms(row[None] for row in rows[30:35])
    index.add_histograms(np.asfortranarray(rows)[35:37])
    index.add_histograms(ArrayLike(rows[37:39]))
    index.add_histograms(rows[39:].astype(np.float16))
    assert index.add_histograms(rows[:0]) == 0
    assert index.add_histograms(iter([])) == 0
    there = np.concatenate([one.rows for one in index._reader.histograms().segments])
    np.testing.assert_array_equal(there, rows)


BAD = [
    (np.full((3, 64), -1), r"rows\[0\]\[0\] is -1"),
    (np.full((3, 64), 2.5), r"rows\[0\]\[0\] is 2.5.*whole numbers"),
    (np.full((3, 64), 2.0**32), r"rows\[0\]\[0\] is 4294967296.0"),
    (np.full((3, 64), np.nan), "NaN|nan"),
    (np.ones((3, 63)), r"rows must have shape \(n, 64\)"),
    (np.ones(64), r"rows must have shape \(n, 64\)"),
    (np.eye(64)[:3] * [[1], [1], [0]], r"rows\[2\]: the masses must not all be 0"),
]


@pytest.mark.parametrize("rows", [5, None, "text", [[1] * 64, [1]], [[1, [2]], [1, 2]]], ids=str)
def test_what_rows_cannot_be(index, rows):
    with pytest.raises(InvalidTypeError, match="rows"):
        index.add_histograms(rows)


@pytest.mark.parametrize(("rows", "text"), BAD)
def test_bad_rows_leave_nothing(index, rows, text, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_SEGMENT_ROWS", 4)
    good = counts(KINDS[0], 9, 64)
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    with pytest.raises(InvalidInputError, match=text):
        index.add_histograms(rows)
    text = text.replace(r"rows\[0\]", r"rows\[9\]").replace(r"rows\[2\]", r"rows\[11\]")
    with pytest.raises(InvalidInputError, match=text):
        index.add_histograms([good, rows])
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    assert index.stats().histograms == 0
    assert index.add_histograms(good) == 9


def test_an_error_of_the_caller_leaves_nothing(index, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_SEGMENT_ROWS", 4)

    def rows():
        yield counts(KINDS[0], 9, 64)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        index.add_histograms(rows())
    assert not [path for path in (tmp_path / "index").iterdir() if "histograms" in path.name]


def test_a_full_disk_leaves_nothing(index, tmp_path, monkeypatch):
    def fail(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SegmentWriter, "finish", fail)
    with pytest.raises(OSError, match="No space left"):
        index.add_histograms(counts(KINDS[0], 9, 64))
    assert not [path for path in (tmp_path / "index").iterdir() if "histograms" in path.name]


def test_a_disk_that_stays_full_leaves_nothing(index, tmp_path, monkeypatch):
    """What is buffered cannot be written when the file is closed either."""

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def flush(self):
            raise OSError(28, "No space left on device")

        def close(self):
            self.file.close()
            self.flush()

    class OnFullDisk(SegmentWriter):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self._file = Full(self._file)

    monkeypatch.setattr(store, "SegmentWriter", OnFullDisk)
    with pytest.raises(OSError, match="No space left"):
        index.add_histograms(counts(KINDS[0], 9, 64))
    assert not [path for path in (tmp_path / "index").iterdir() if "histograms" in path.name]


@pytest.mark.parametrize("committed", [True, False])
def test_an_interrupt_during_the_commit_keeps_what_is_published(
    index, tmp_path, monkeypatch, committed
):
    """Ctrl-C during the fsync of a commit is raised after it: the files have their names."""
    transaction = Catalog.transaction

    @contextlib.contextmanager
    def interrupted(catalog, *, write):
        with transaction(catalog, write=write):
            yield
            if write and not committed:
                raise KeyboardInterrupt
        if write:
            raise KeyboardInterrupt

    rows = counts(KINDS[0], 9, 64)
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "transaction", interrupted)
        with pytest.raises(KeyboardInterrupt):
            index.add_histograms(rows)
    assert index.stats().histograms == (9 if committed else 0)
    assert len(index.search_histograms(rows[0], 20).indices) == (9 if committed else 0)
    assert index.verify() == []
    left = [path for path in (tmp_path / "index").iterdir() if "histograms" in path.name]
    assert len(left) == (2 if committed else 0)


def test_memory_does_not_grow_with_segments(index, monkeypatch):
    monkeypatch.setattr(store, "_SEGMENT_ROWS", 1000)
    rows = counts(KINDS[0], 1000, 64)

    def peak(segments):
        tracemalloc.start()
        index.add_histograms(rows for _ in range(segments))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    few = peak(2)
    assert peak(40) < few + 300_000  # codes and ids of 38 more: 988,000 bytes


def test_what_a_killed_writer_left_goes(index, tmp_path):
    left = tmp_path / "index" / "histograms-00000007.rows.npy"
    left.write_bytes(b"half")
    index.add_histograms(counts(KINDS[0], 9, 64))
    assert not left.exists()
    assert index.verify() == []


def test_one_writer_at_a_time(index, tmp_path):
    with writer_lock(str(tmp_path / "index")), pytest.raises(IndexLockedError):
        index.add_histograms(counts(KINDS[0], 9, 64))


def test_small_additions_are_put_together(index, tmp_path):
    rows = counts(KINDS[0], 200, 64)
    with isf.Index.open(tmp_path / "index") as reader:
        for start in range(0, 200, 4):
            index.add_histograms(rows[start : start + 4], ids=range(2 * start, 2 * start + 4))
            assert reader.stats().histograms == start + 4
            found = reader.search_histograms(rows[start], 1)
            assert found.indices.tolist() == [2 * start]
        assert reader.stats().segments < 10
        ids = np.concatenate([np.arange(2 * start, 2 * start + 4) for start in range(0, 200, 4)])
        _, order = wanted(rows[:5], rows, 200, 64)
        found = reader.search_histograms(rows[:5], 200)
        np.testing.assert_array_equal(found.indices, ids[order])
    assert index.verify() == []
    files = [path for path in (tmp_path / "index").iterdir() if "histograms" in path.name]
    assert len(files) <= 3 * index.stats().segments


def test_a_merge_that_fails_loses_nothing(index, tmp_path, monkeypatch):
    """What was asked for has been published before."""
    rows = counts(KINDS[0], 30, 64)
    for start in range(8):
        index.add_histograms(rows[[start]])

    class OnFullDisk(SegmentWriter):
        def finish(self):
            if self.rows > 1:
                raise OSError(28, "No space left on device")
            return super().finish()

    monkeypatch.setattr(store, "SegmentWriter", OnFullDisk)
    for there in (9, 10):
        with pytest.warns(
            IndexWarning, match=r"has been added.* not be merged.*No space"
        ) as warned:
            assert index.add_histograms(rows[[there - 1]]) == 1
        assert warned[0].filename == __file__
        assert index.stats().histograms == index.stats().segments == there
        assert index.verify() == []
        assert index.search_histograms(rows[there - 1], 1).indices.tolist() == [there - 1]
    monkeypatch.undo()
    index.add_histograms(rows[10:])
    assert index.stats().segments == 1
    assert index.verify() == []
    order = wanted(rows[:5], rows, 30, 64)[1]
    np.testing.assert_array_equal(index.search_histograms(rows[:5], 30).indices, order)


@pytest.mark.parametrize("part", ["rows", "codes", "ids"])
def test_putting_together_does_not_hide_damage(index, tmp_path, part):
    """The new files would get checksums of their own, which would fit."""
    rows = counts(KINDS[0], 9, 64)
    for start in range(0, 80, 10):
        index.add_histograms(rows[:1].repeat(2, axis=0), ids=[start, start + 5])
    path = tmp_path / "index" / f"histograms-00000003.{part}.npy"
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    with pytest.warns(IndexWarning, match=f"histograms-00000003.{part}.npy is damaged"):
        assert index.add_histograms(rows[:1]) == 1
    assert index.stats().histograms == 17
    assert any(path.name in problem for problem in index.verify())


def test_an_empty_row_is_not_put_together_with_others(index, tmp_path):
    """It has a checksum that fits, as somebody forged both."""
    rows = counts(KINDS[0], 9, 64)
    for start in range(8):
        index.add_histograms(rows[[start]])
    path = tmp_path / "index" / "histograms-00000003.rows.npy"
    data = path.read_bytes()[: -4 * 64] + bytes(4 * 64)
    path.write_bytes(data)
    execute(
        tmp_path / "index",
        f"UPDATE histograms SET rows_crc = {zlib.crc32(bytes(256))} WHERE id = 3",
    )
    with pytest.warns(IndexWarning, match=r"row 2 of those from histograms-00000001 on is empty"):
        assert index.add_histograms(rows[8:]) == 1
    assert index.stats().histograms == index.stats().segments == 9


def test_images_and_histograms_live_apart(tmp_path):
    rows = counts(KINDS[0], 20, 64)
    image = (np.arange(64 * 64).reshape(64, 64) % 251).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    Image.fromarray(image).save(tmp_path / "photos" / "one.png")
    with isf.Index.create(tmp_path / "index", bins=64) as index:
        index.add(tmp_path / "photos")
        index.add_histograms(rows)
        assert len(index) == 1
        assert index.search(image, k=5).distances.tolist() == [0.0]
        assert len(index.search_histograms(index.describe(image), 5).indices) == 5
        assert index.stats().images == 1
        assert index.stats().histograms == 20
        index.refresh()
        assert index.verify() == []
        assert index.stats().histograms == 20


def test_the_format_changes_with_the_first_histograms(index, tmp_path):
    def version():
        with sqlite3.connect(tmp_path / "index" / FILE) as db:
            return db.execute("PRAGMA user_version").fetchone()[0]

    assert version() == 1
    index.add_histograms(counts(KINDS[0], 9, 64))
    assert version() == 3
    with isf.Index.open(tmp_path / "index") as again:
        assert again.stats().histograms == 9
