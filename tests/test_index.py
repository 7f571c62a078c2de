"""The index: exact answers, incremental refresh, durable commits, and damage reported."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pickle
import shutil
import sqlite3
import struct
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import (
    ImageDecodeError,
    ImgsimError,
    IndexCorruptError,
    IndexLockedError,
    IndexMismatchError,
    IndexTruncatedError,
    IndexVersionError,
    InvalidInputError,
    InvalidTypeError,
)
from imgsim_fast.index import Index, build, segments
from imgsim_fast.index import index as index_module
from imgsim_fast.index.search import Snapshot
from tests.image_files import jpeg_header, png, sample

GREY = np.array([[90, 100, 130]], np.uint8)  # a query


def pixels(seed, height=5, width=6):
    rng = np.random.default_rng(seed)
    low = int(rng.integers(0, 200))
    return rng.integers(low, low + 56, (height, width), dtype=np.uint8)


def write(path, seed, mtime=None):
    Image.fromarray(pixels(seed)).save(path, "PNG")
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


@pytest.fixture
def folder(tmp_path):
    """Forty images, of which the ten last repeat the ten first."""
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(40):
        write(top / f"{number:03d}.png", number % 30)
    return top


def made(path, source, **options):
    """Make an index of a folder and give it open."""
    index = Index.create(path, **options)
    index.add(source, threads=2)
    return index


def brute_force(index, query, p=1):
    """(distances, ids, paths) of everything, sorted by (distance, id)."""
    bins, edges = index.options["bins"], index.options["range"]
    width = (edges[1] - edges[0]) / bins
    count = len(index)
    index.search(query, 1)
    with sqlite3.connect(os.path.join(index.path, "catalog.sqlite")) as db:
        rows = db.execute("SELECT id, path FROM images ORDER BY id").fetchall()
    db.close()
    assert len(rows) == count
    base = os.path.dirname(index.path)
    wanted = np.histogram(query, bins, edges)[0]
    found = []
    for number, path in rows:
        path = os.path.join(os.fsencode(base), path)
        with open(path, "rb") as file:
            grey = isf.decode(file.read(), mode="grey")
        counts = np.histogram(grey, bins, edges)[0]
        found.append((isf.wasserstein_1d(wanted, counts, p=p) * width, number, os.fsdecode(path)))
    found.sort(key=lambda item: item[:2])
    return found


def as_list(matches):
    distances, ids, paths = matches
    assert distances.dtype == np.float64
    assert ids.dtype == np.int64
    return list(zip(distances.tolist(), ids.tolist(), paths, strict=True))


def answers(index):
    """Everything a search can say."""
    return as_list(index.search(GREY, 10**6))


def numbers(report):
    return report.added, report.updated, report.unchanged, report.removed, len(report.skipped)


def execute(index_path, *statements):
    """Change the catalogue behind the library's back."""
    db = sqlite3.connect(os.path.join(index_path, "catalog.sqlite"))
    with db:
        for statement in statements:
            db.execute(*statement) if isinstance(statement, tuple) else db.execute(statement)
    db.close()


# ---- making, opening, looking ------------------------------------------------------------------


def test_create_add_open_look(tmp_path, folder):
    path = tmp_path / "index"
    with Index.create(path, bins=64, range=(0, 256), p=1) as index:
        assert len(index) == 0
        assert Index.exists(path)
        report = index.add(folder)
        assert numbers(report) == (40, 0, 0, 0, 0)
        assert report.seconds > 0
        assert len(index) == 40
    with Index.open(str(path)) as index:
        stats = index.stats()
        assert (stats.path, stats.measure, stats.images) == (str(path), "wasserstein", 40)
        assert stats.options == index.options == {"bins": 64, "range": [0, 256], "p": 1}
        assert (stats.dead_rows, stats.skipped, stats.folders) == (0, [], [str(folder)])
        assert stats.bytes == sum(entry.stat().st_size for entry in os.scandir(path))
        assert index.measure == "wasserstein"
        assert str(path) in repr(index)
        assert index.verify() == []


def test_index_imports_lazily_as_isf_names():
    assert isf.Index is Index
    assert issubclass(isf.Matches, tuple)
    assert isf.AddReport is build.AddReport


def test_create_refuses_a_folder_with_something_in_it(tmp_path, folder):
    with pytest.raises(FileExistsError, match=r"not empty: it holds '\d+\.png'"):
        Index.create(folder)
    made(tmp_path / "index", folder).close()
    with pytest.raises(FileExistsError):
        Index.create(tmp_path / "index")
    with Index.open(tmp_path / "index") as index:
        assert len(index) == 40


def test_create_takes_an_empty_folder_and_what_a_killed_create_left(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    Index.create(empty).close()
    left = tmp_path / "left"
    left.mkdir()
    (left / "lock").touch()
    (left / "catalog.sqlite.new-1").write_bytes(b"half")
    (left / "catalog.sqlite.new-1-journal").write_bytes(b"half")
    with Index.create(left) as index:
        assert index.verify() == []


def test_create_after_a_killed_one_of_the_same_process_id(tmp_path):
    """In a container every run has the same number; the finished file was not yet in its place."""
    with Index.create(tmp_path / "other"):
        pass
    left = tmp_path / "left"
    left.mkdir()
    shutil.copy(tmp_path / "other" / "catalog.sqlite", left / f"catalog.sqlite.new-{os.getpid()}")
    with Index.create(left) as index:
        assert len(index) == 0


def test_two_creators_do_not_replace_each_others_index(tmp_path, folder, monkeypatch):
    """The other one comes between the look at the folder and the lock."""
    path = tmp_path / "index"
    lock = index_module.writer_lock

    @contextlib.contextmanager
    def after_another(where):
        monkeypatch.setattr(index_module, "writer_lock", lock)
        made(path, folder).close()
        with lock(where):
            yield

    monkeypatch.setattr(index_module, "writer_lock", after_another)
    with pytest.raises((FileExistsError, IndexLockedError)):
        Index.create(path).close()
    with Index.open(path) as index:
        assert len(index) == 40


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"measure": "nope"}, InvalidInputError),
        ({"bins": 0}, InvalidInputError),
        ({"colour": 1}, InvalidTypeError),
    ],
)
def test_create_with_bad_options_leaves_nothing(tmp_path, options, error):
    with pytest.raises(error):
        Index.create(tmp_path / "index", **options)
    assert os.listdir(tmp_path) == []


def test_open_what_is_no_index(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        assert not Index.exists(path)
        with pytest.raises(IndexVersionError, match="not an imgsim index"):
            Index.open(path)
    with pytest.raises(InvalidTypeError, match="expected a path, got 5"):
        Index.open(5)


def test_a_closed_index_says_that_it_is_closed(tmp_path):
    index = Index.create(tmp_path / "index")
    index.close()
    index.close()
    for call in (lambda: len(index), lambda: index.search(GREY), index.stats, index.verify):
        with pytest.raises(Exception, match=r"(?i)closed") as caught:
            call()
        assert not isinstance(caught.value, IndexCorruptError), "nothing is damaged"


def test_mismatches_name_both(tmp_path, folder):
    path = tmp_path / "index"
    made(path, folder, bins=32, range=(0, 255)).close()
    for wanted in ({}, {"bins": 32}, {"range": [0, 255.0]}, {"measure": "wasserstein", "p": 1.0}):
        Index.open(path, **wanted).close()
    with pytest.raises(IndexMismatchError, match=r"made with bins=32, not bins=64"):
        Index.open(path, bins=64)
    with pytest.raises(
        IndexMismatchError, match=r"range=\[0, 255\], p=1, not range=\[0, 256\], p=2"
    ):
        Index.open(path, range=(0, 256), p=2)
    with pytest.raises(IndexMismatchError, match="has measure 'wasserstein', not 'emd'"):
        Index.open(path, "emd")

    execute(
        path, """UPDATE meta SET value = '{"name": "pillow", "rules": 0}' WHERE key = 'decoder'"""
    )
    with pytest.raises(IndexMismatchError, match=r"'rules': 0.*'rules': 1"):
        Index.open(path)


def test_meta_data_of_another_version_or_damaged(tmp_path, folder):
    path = tmp_path / "index"
    made(path, folder).close()
    for key, value, error in (
        ("measure", "clip", ImgsimError),
        ("options", '{"bins": 128, "range": [0, 256], "p": 1}', IndexCorruptError),
        ("options", '{"bins": 0}', ImgsimError),
        ("options", '{"colour": 1}', ImgsimError),
        ("options", "{", IndexCorruptError),
        ("options", "[]", IndexCorruptError),
        ("options", "3", IndexCorruptError),
        ("decoder", "", IndexCorruptError),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        execute(copy, ("UPDATE meta SET value = ? WHERE key = ?", (value, key)))
        with pytest.raises(error), Index.open(copy) as index:
            index.search(GREY)
        shutil.rmtree(copy)
    execute(path, "DELETE FROM meta WHERE key = 'options'")
    with pytest.raises(IndexCorruptError, match="options"):
        Index.open(path)


# ---- exact search ------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bins": 16}, {"bins": 8, "range": (0, 512), "p": 2}])
def test_search_is_brute_force(tmp_path, folder, options):
    with made(tmp_path / "index", folder, **options) as index:
        for seed in range(6):
            query = pixels(seed * 7)
            expected = brute_force(index, query, options.get("p", 1))
            for k in (1, 2, 7, 39, 40, 41, 10**6):
                assert as_list(index.search(query, k)) == expected[:k]
            distances = [item[0] for item in expected]
            assert len(set(distances)) < len(distances)  # there are ties
            for radius in (-1, 0, distances[3], np.nextafter(distances[20], 0), 1e9, np.inf):
                inside = [item for item in expected if item[0] <= radius]
                assert as_list(index.range_search(query, radius)) == inside


def test_every_form_of_a_query(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        file = folder / "004.png"
        expected = as_list(index.search(pixels(4), 5))
        assert [item[:2] for item in expected[:2]] == [(0.0, 5), (0.0, 35)]
        for source in (str(file), file, file.read_bytes(), np.repeat(pixels(4)[..., None], 3, 2)):
            assert as_list(index.search(source, 5)) == expected
            assert as_list(index.range_search(source, expected[-1][0]))[:5] == expected


def test_bad_arguments_of_searches(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        for k in (0, -1):
            with pytest.raises(InvalidInputError, match=f"k must be at least 1, got {k}"):
                index.search(GREY, k)
        for k in (2.5, "3", None):
            with pytest.raises(InvalidTypeError, match="k must be an integer"):
                index.search(GREY, k)
        with pytest.raises(InvalidInputError, match="radius is NaN"):
            index.range_search(GREY, float("nan"))
        with pytest.raises(InvalidTypeError, match="radius must be a number, got 'x'"):
            index.range_search(GREY, "x")
        with pytest.raises(ImageDecodeError, match=r"missing\.png"):
            index.search(folder / "missing.png")
        with pytest.raises(InvalidInputError, match="threads must be at least 1"):
            index.search(GREY, threads=0)
        with pytest.raises(InvalidInputError, match="commit_seconds must not be negative"):
            index.add(folder, commit_seconds=-1)
        with pytest.raises(InvalidTypeError, match="got 5"):
            index.add(5)
        with pytest.raises(InvalidTypeError, match="expected a path, got 5"):
            index.add([5])
        with pytest.raises(InvalidInputError, match=r"nowhere' does not exist"):
            index.add(folder / "nowhere")
        assert len(index) == 40


def test_an_empty_index_finds_nothing(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with made(tmp_path / "index", empty) as index:
        assert as_list(index.search(GREY)) == []
        assert as_list(index.range_search(GREY, 1e9)) == []
        assert index.verify() == []
        assert index.images([]) == []
        assert numbers(index.refresh()) == (0, 0, 0, 0, 0)


def test_images_gives_what_the_index_holds(tmp_path, folder):
    Image.fromarray(pixels(5, 3, 9)).save(folder / "wide.png")
    with made(tmp_path / "index", folder, bins=32) as index:
        index.search(GREY)
        *_, wide = found = index.images([3, 1, 41])
        assert [image.id for image in found] == [3, 1, 41]
        assert [os.path.basename(image.path) for image in found] == [
            "002.png",
            "000.png",
            "wide.png",
        ]
        assert (wide.width, wide.height) == (9, 3)
        expected = np.histogram(pixels(5, 3, 9), 32, (0, 256))[0]
        np.testing.assert_array_equal(wide.descriptor, expected)
        np.testing.assert_array_equal(index.describe(pixels(5, 3, 9)), expected)
        with pytest.raises(InvalidInputError, match="image 99 is not in the index"):
            index.images([1, 99])


def test_images_of_an_index_that_was_not_searched_before(tmp_path, folder):
    made(tmp_path / "index", folder).close()
    with Index.open(tmp_path / "index") as index:
        assert index.images([2])[0].path == str(folder / "001.png")


def test_the_answer_does_not_depend_on_threads_or_segments(tmp_path, folder):
    with made(tmp_path / "one", folder) as index:
        expected = answers(index)
        # float64 distances bit for bit, for any number of searching threads
        for threads in (2, 3, 16):
            assert as_list(index.search(GREY, 100, threads=threads)) == expected
            within = index.range_search(GREY, expected[17][0], threads=threads)
            assert as_list(within) == [m for m in expected if m[0] <= expected[17][0]]
    for threads in (1, 3):
        with Index.create(tmp_path / f"threads{threads}") as index:
            index.add(folder, threads=threads, commit_seconds=0)
            assert index.stats().segments == 3  # groups of 16
            assert answers(index) == expected
    with Index.create(tmp_path / "pieces") as index:
        names = sorted(folder.iterdir())
        for start in range(0, 40, 5):
            index.add(names[start : start + 5])
        assert index.stats().segments == 8
        assert answers(index) == expected
        assert index.verify() == []


def test_many_small_segments_are_merged(tmp_path, folder):
    names = sorted(folder.iterdir())
    most = 0
    with made(tmp_path / "one", folder) as index:
        expected = answers(index)
    with Index.create(tmp_path / "many") as index, Index.open(tmp_path / "many") as reader:
        for number, name in enumerate(names):
            index.add([name])
            if number == 5:
                index.remove(name)
                index.add([name])  # a new id, behind the others'
            assert len(reader.search(GREY, 100).ids) == number + 1
            most = max(most, index.stats().segments)
        stats = index.stats()
        assert most == 16
        assert stats.segments <= 16
        assert stats.images == 40
        assert index.verify() == []
        assert reader.verify() == []
        found = answers(index)
        assert sorted(m[::2] for m in found) == sorted(m[::2] for m in expected)
        assert [m[0] for m in found] == [m[0] for m in expected]
        assert found == as_list(reader.search(GREY, 100))
        assert found == brute_force(index, GREY)
        files = {name.split(".")[0] for name in os.listdir(index.path) if "segment" in name}
        assert len(files) == stats.segments


def test_merging_drops_dead_rows(tmp_path, folder):
    with Index.create(tmp_path / "index") as index:
        for name in sorted(folder.iterdir())[:16]:
            index.add([name])
        assert index.remove([2, str(folder / "003.png"), 2]) == 2
        assert index.stats().dead_rows == 2
        expected = answers(index)
        assert len(expected) == 14
        index.add([])
        assert answers(index) == expected
        index.add([folder / "020.png"])  # the 17th small segment
        stats = index.stats()
        assert (stats.segments, stats.dead_rows, stats.images) == (1, 0, 15)
        assert [m for m in answers(index) if m[1] != 17] == expected
        assert index.verify() == []


def test_remove(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        before = answers(index)
        assert index.remove(1) == 1
        assert index.remove(os.fsencode(folder / "001.png")) == 1
        assert index.remove([np.int64(3), folder / "003.png"]) == 2
        assert len(index) == 36
        assert answers(index) == [m for m in before if m[1] > 4]
        for missing in (1, 99, str(folder / "000.png"), folder / "no.png"):
            with pytest.raises(InvalidInputError, match="not in the index"):
                index.remove([10, missing])
        assert len(index) == 36  # all or nothing
        assert index.verify() == []
        index.remove(range(5, 41))
        assert answers(index) == []
        assert index.verify() == []
        assert numbers(index.refresh()) == (40, 0, 0, 0, 0)
        assert min(m[1] for m in answers(index)) == 41  # ids are never used twice


def test_methods_from_several_threads(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        expected = answers(index)
        wrong = []

        def search():
            for _ in range(20):
                found = answers(index)
                if found != expected:
                    wrong.append(found)

        threads = [threading.Thread(target=search) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


# ---- incremental refresh -----------------------------------------------------------------------


def test_refresh(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        ids = {os.path.basename(path): number for _, number, path in answers(index)}
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)
        assert numbers(index.add(folder)) == (0, 0, 40, 0, 0)

        write(folder / "new.png", 99)
        write(folder / "000.png", 77, mtime=10**18)  # changed
        os.utime(folder / "001.png", ns=(10**18, 10**18))  # only touched
        (folder / "002.png").unlink()
        (folder / "sub").mkdir()
        (folder / "003.png").rename(folder / "sub" / "moved.png")
        (folder / "004.png").write_bytes(b"broken")
        report = index.refresh()
        assert numbers(report) == (2, 1, 36, 2, 1)
        assert report.skipped[0][0] == str(folder / "004.png")
        assert "not an image" in report.skipped[0][1]
        assert index.stats().skipped == report.skipped

        found = answers(index)
        now = {os.path.basename(path): number for _, number, path in found}
        assert now["000.png"] == ids["000.png"]  # same id, new contents
        assert now["001.png"] == ids["001.png"]
        assert now.keys() == ids.keys() - {"002.png", "003.png", "004.png"} | {
            "new.png",
            "moved.png",
        }
        assert found == brute_force(index, GREY)
        assert index.verify() == []
        # and again: nothing left to do but the broken file
        assert numbers(index.refresh()) == (0, 0, 39, 0, 1)

        write(folder / "004.png", 4)
        assert numbers(index.refresh()) == (1, 0, 39, 0, 0)
        assert index.stats().skipped == []
        (folder / "004.png").write_bytes(b"broken")
        index.refresh()
        (folder / "004.png").unlink()
        index.refresh()
        assert index.stats().skipped == []  # not even a note of a file that has gone
        assert answers(index) == brute_force(index, GREY)
        assert index.verify() == []


def test_same_time_and_size_but_other_contents(tmp_path, folder):
    path = folder / "000.png"
    for seed, mtime in ((0, 10**18), (1, 10**18)):
        path.write_bytes(png(3, 1, 8, 0, bytes([0, 10 + seed, 20, 30])))
        os.utime(path, ns=(mtime, mtime))
        if seed == 0:
            size = path.stat().st_size
            index = made(tmp_path / "index", folder)
    assert path.stat().st_size == size
    with index:
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)
        assert index.search(path, 1).distances[0] > 0
        assert numbers(index.refresh(checksum=True)) == (0, 1, 39, 0, 0)
        assert as_list(index.search(path, 1)) == [(0.0, 1, str(path))]
        assert numbers(index.add(folder, checksum=True)) == (0, 0, 40, 0, 0)


def test_a_folder_that_is_not_there_removes_nothing(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        expected = answers(index)
        folder.rename(tmp_path / "unmounted")
        with pytest.raises(InvalidInputError, match=r"photos' of the index does not exist"):
            index.refresh()
        assert answers(index) == expected
        (tmp_path / "unmounted").rename(folder)
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)


def test_images_of_a_folder_that_cannot_be_listed_are_kept(tmp_path, folder, monkeypatch):
    (folder / "sub").mkdir()
    write(folder / "sub" / "x.png", 50)
    with made(tmp_path / "index", folder) as index:
        (folder / "sub" / "x.png").unlink()
        listdir = os.listdir

        def denied(path="."):
            if os.fsencode(path).endswith(b"sub"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return listdir(path)

        monkeypatch.setattr(os, "listdir", denied)
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)
        assert len(index) == 41
        monkeypatch.undo()
        assert index.refresh().removed == 1


def test_files_added_one_by_one(tmp_path, folder):
    with Index.create(tmp_path / "index") as index:
        chosen = [folder / "007.png", str(folder / "008.png"), os.fsencode(folder / "007.png")]
        assert numbers(index.add(chosen)) == (2, 0, 0, 0, 0)
        assert numbers(index.add(folder / "009.png")) == (1, 0, 0, 0, 0)
        report = index.add([folder / "missing.png", folder])
        assert [os.path.basename(path) for path, _ in report.skipped] == ["missing.png", "photos"]
        assert "directory" in report.skipped[1][1]
        assert index.stats().folders == []
        write(folder / "008.png", 60, mtime=10**18)
        (folder / "009.png").unlink()
        assert numbers(index.refresh())[:4] == (0, 1, 1, 1)
        assert len(index) == 2
        # the folder later: what is known is not added twice
        assert numbers(index.add(folder)) == (37, 0, 2, 0, 0)
        assert index.verify() == []


def test_one_file_by_two_names_is_one_image(tmp_path, folder):
    os.link(folder / "000.png", folder / "900.png")
    os.symlink(folder / "001.png", folder / "901.png")
    with made(tmp_path / "index", folder) as index:
        assert len(index) == 40
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)
        assert len(index) == 40


def test_index_inside_the_folder_moves_with_it(tmp_path, folder):
    with made(folder / ".imgsim", folder) as index:
        assert len(index) == 40
        before = answers(index)
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    folder.rename(moved)
    with Index.open(moved / ".imgsim") as index:
        expected = [(d, i, path.replace(str(folder), str(moved))) for d, i, path in before]
        assert answers(index) == expected
        assert index.verify() == []
        assert numbers(index.add(moved)) == (0, 0, 40, 0, 0)


def test_a_moved_folder_can_be_refreshed(tmp_path, folder):
    made(folder / ".imgsim", folder).close()
    moved = tmp_path / "moved"
    folder.rename(moved)
    with Index.open(moved / ".imgsim") as index:
        assert index.stats().folders == [str(moved)]
        write(moved / "new.png", 70)
        assert numbers(index.refresh()) == (1, 0, 40, 0, 0)


def test_index_with_a_visible_name_inside_the_folder_is_not_walked(tmp_path, folder):
    with made(folder / "index", folder) as index:
        shutil.copy(folder / "000.png", folder / "index" / "stray.png")
        assert numbers(index.refresh()) == (0, 0, 40, 0, 0)


HOSTILE_NAMES = [
    b"bad\xff.png",
    b"new\nline.png",
    b"\x1b[31mred.png",
    "rtl\u202egnp.png".encode(),
    b"-leading.png",
    b"'quo\"tes'.png",
    b"%41%00?#.png",
    "\U0001f600.png".encode(),
    b"x" * 251 + b".png",
]


def test_hostile_names(tmp_path, folder):
    for number, name in enumerate(HOSTILE_NAMES):
        write(os.path.join(os.fsencode(folder), name), 100 + number)
    with made(tmp_path / os.fsdecode(b"in\xff\n?#dex"), folder) as index:
        assert len(index) == 40 + len(HOSTILE_NAMES)
        for name in HOSTILE_NAMES:
            path = os.fsdecode(os.path.join(os.fsencode(folder), name))
            match = index.search(path, 1)
            assert match.distances[0] == 0
            assert match.paths == [path]
            assert index.remove(os.fsencode(path)) == 1
        assert index.refresh().added == len(HOSTILE_NAMES)
        assert index.verify() == []


def test_hostile_files_are_skipped_with_a_reason(tmp_path, folder):
    good = sample("png")
    bad = {
        "bomb.png": png(2**31 - 1, 2**31 - 1, 8, 6),
        "wide.jpg": jpeg_header(65500, 65500),
        "half.png": good[: len(good) // 2],
        "flipped.png": good[:60] + bytes([good[60] ^ 1]) + good[61:],
        "empty.gif": b"",
        "text.jpg": b"<html>nothing here</html>",
        "random.webp": np.random.default_rng(0).bytes(3000),
        "zeros.tif": bytes(3000),
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "fifo.png")
    os.symlink("nowhere", folder / "dangling.png")
    (folder / "folder.png").mkdir()
    (folder / "wrong-name.txt").write_bytes(good)  # an image all the same
    with Index.create(tmp_path / "index") as index:
        report = index.add(folder)
        assert report.added == 41
        reasons = {os.path.basename(path): reason for path, reason in report.skipped}
        assert reasons.keys() == bad.keys() | {"fifo.png", "dangling.png"}
        assert all(reason.isprintable() and reason for reason in reasons.values())
        assert "FIFO" in reasons["fifo.png"]
        assert "limit" in reasons["bomb.png"]
        assert sorted(index.stats().skipped) == sorted(report.skipped)
        again = index.refresh()
        assert sorted(again.skipped) == sorted(report.skipped)
        assert index.verify() == []


def test_a_folder_with_nothing_good(tmp_path):
    top = tmp_path / "bad"
    top.mkdir()
    for number in range(40):
        (top / f"{number}.png").write_bytes(b"no")
    with Index.create(tmp_path / "index") as index:
        report = index.add(top, commit_seconds=0)
        assert numbers(report) == (0, 0, 0, 0, 40)
        assert (len(index), index.stats().segments) == (0, 0)
        assert answers(index) == []
        assert index.verify() == []


def test_images_with_no_level_in_the_range_are_skipped(tmp_path, folder):
    Image.new("L", (4, 4), 255).save(folder / "white.png")
    with Index.create(tmp_path / "index", range=(0, 250)) as index:
        report = index.add(folder)
        assert [os.path.basename(path) for path, _ in report.skipped] == ["white.png"]
        assert "range" in report.skipped[0][1]


def test_progress_counts_every_file(tmp_path, folder):
    (folder / "bad.png").write_bytes(b"no")
    seen = []
    with Index.create(tmp_path / "index") as index:
        index.add(folder, progress=seen.append, threads=2)
        assert seen == list(range(1, 42))
        seen.clear()
        index.refresh(progress=seen.append)
        assert seen == list(range(1, 42))


# ---- several processes -------------------------------------------------------------------------


def run_python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


HOLD_LOCK = """
import sys
from imgsim_fast.index.lock import writer_lock
with writer_lock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_writer_at_a_time(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        with run_python(HOLD_LOCK, index.path) as child:
            assert child.stdout.readline() == "held\n"
            for call in (lambda: index.add(folder), index.refresh, lambda: index.remove(1)):
                with pytest.raises(IndexLockedError, match=rf"process {child.pid} on "):
                    call()
            assert len(answers(index)) == 40  # readers do not care
            assert index.verify() == []
            child.kill()
        assert index.add(folder).unchanged == 40  # a dead process holds nothing


ADD = """
import sys, time
from imgsim_fast.index import Index
with Index.open(sys.argv[1]) as index:
    for line in sys.stdin:
        index.add(
            line.strip(), threads=1, commit_seconds=0, progress=lambda done: time.sleep(0.001)
        )
        print("done", flush=True)
"""


def test_readers_see_whole_commits_while_another_process_writes(tmp_path, folder):
    Index.create(tmp_path / "index").close()
    sizes = set()
    with Index.open(tmp_path / "index") as reader, run_python(ADD, tmp_path / "index") as child:
        for number in range(400):
            write(folder / f"{number:03d}.png", number)
        child.stdin.write(f"{folder}\n")
        child.stdin.close()
        while True:
            ended = child.poll() is not None
            found = reader.search(GREY, 10**6)
            count = len(found.ids)
            # Groups of 16 in the order of the walk: a commit is a prefix.
            assert count % 16 == 0
            assert sorted(found.paths) == [str(folder / f"{n:03d}.png") for n in range(count)]
            assert sorted(found.ids.tolist()) == list(range(1, count + 1))
            sizes.add(count)
            if ended:
                break
        assert child.returncode == 0
        assert count == 400
    assert len(sizes) > 2


def test_a_reader_notices_the_commits_of_others(tmp_path, folder):
    with made(tmp_path / "index", folder) as reader, run_python(ADD, reader.path) as child:
        before = answers(reader)
        write(folder / "new.png", 123)
        child.stdin.write(f"{folder}\n")
        child.stdin.flush()
        assert child.stdout.readline() == "done\n"
        assert len(reader) == 41
        after = answers(reader)
        assert len(after) == 41
        assert [m for m in after if m[1] != 41] == before
        child.stdin.close()


def test_a_search_is_of_one_commit_though_another_removes_what_it_found(
    tmp_path, folder, monkeypatch
):
    """The other process comes between the ranking and the look-up of the names."""
    with made(tmp_path / "index", folder) as reader, Index.open(reader.path) as writer:
        before = answers(reader)
        nearest = Snapshot.nearest

        def slow(*arguments):
            found = nearest(*arguments)
            if len(writer) == 40:
                writer.remove(1)
            return found

        monkeypatch.setattr(Snapshot, "nearest", slow)
        assert answers(reader) in (before, [m for m in before if m[1] != 1])


def test_a_search_survives_a_merge_by_another(tmp_path, folder, monkeypatch):
    """The segments of the commit just looked up are merged away before they are opened."""
    names = sorted(folder.iterdir())
    with Index.create(tmp_path / "index") as writer:
        for name in names[:16]:
            writer.add([name])
        with Index.open(writer.path) as reader:
            from imgsim_fast.index import search

            opened = search.open_segment

            def slow(*arguments):
                monkeypatch.setattr(search, "open_segment", opened)
                writer.add([names[20]])  # the 17th: merges
                assert writer.stats().segments == 1
                return opened(*arguments)

            monkeypatch.setattr(search, "open_segment", slow)
            assert len(answers(reader)) == 17


def test_read_only_index_can_be_searched(tmp_path, folder):
    made(tmp_path / "index", folder).close()
    path = tmp_path / "index"
    for name in os.listdir(path):
        os.chmod(path / name, 0o444)
    os.chmod(path, 0o555)
    try:
        if os.access(path / "catalog.sqlite", os.W_OK):
            pytest.skip("this user may write whatever the mode says")
        with Index.open(path) as index:
            assert len(answers(index)) == 40
            assert index.verify() == []
            with pytest.raises(OSError, match="Permission"):
                index.add(folder)
    finally:
        os.chmod(path, 0o755)


# ---- errors while writing ----------------------------------------------------------------------


class FailingAt:
    """A function that fails at its k-th call, and after it too if the disk stays full."""

    def __init__(self, function, number, code, forever):
        self.function, self.left, self.code, self.forever = function, number, code, forever
        self.failed = 0

    def __call__(self, *arguments, **options):
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.forever):
            self.failed += 1
            raise OSError(self.code, os.strerror(self.code))
        return self.function(*arguments, **options)


@pytest.mark.parametrize("forever", [False, True])
@pytest.mark.parametrize(
    ("owner", "name", "code"),
    [
        (os, "fsync", errno.EIO),
        (np.lib.format, "write_array", errno.ENOSPC),
        (segments, "_write_array", errno.EDQUOT),
        (segments, "sync_folder", errno.EIO),
    ],
)
def test_write_errors_at_every_step(tmp_path, folder, monkeypatch, owner, name, code, forever):
    for attempt in range(1, 30):
        path = tmp_path / f"index-{attempt}"
        with Index.create(path) as index:
            index.add([folder / "000.png"])
            failing = FailingAt(getattr(owner, name), attempt, code, forever)
            monkeypatch.setattr(owner, name, failing)
            raised = None
            try:
                index.add(folder, threads=1, commit_seconds=0)
            except OSError as error:
                raised = error.errno
            monkeypatch.undo()
            if not failing.failed:
                assert raised is None
                break
            assert raised == code
            # What had been committed is there: the first file, and groups of 16 of the others.
            with Index.open(path) as reader:
                count = len(answers(reader))
                assert (count - 1) % 16 in (0, 15)
                assert len(reader) == count
                assert [text for text in reader.verify() if "next writer" not in text] == []
                assert answers(index) == answers(reader)
            # The same object goes on, and leaves nothing behind.
            assert index.add(folder).added == 40 - count
            assert index.verify() == []
            assert len(answers(index)) == 40
    assert attempt > 3


def test_interruption_keeps_what_was_described(tmp_path, folder):
    for stop in (1, 17, 33, 40):

        def interrupt(done, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        for threads in (1, 3):
            with Index.create(tmp_path / f"index-{stop}-{threads}") as index:
                with pytest.raises(KeyboardInterrupt):
                    index.add(folder, threads=threads, progress=interrupt)
                assert len(index) == stop
                assert len(answers(index)) == stop
                assert index.verify() == []
                assert numbers(index.add(folder)) == (40 - stop, 0, stop, 0, 0)
                assert index.verify() == []
                assert answers(index) == brute_force(index, GREY)


def test_orphan_segments_are_ignored_and_removed_by_the_next_writer(tmp_path, folder):
    with made(tmp_path / "index", folder) as index:
        expected = answers(index)
        for name in ("segment-00000099.rows.npy", "segment-00000099.ids.npy"):
            (tmp_path / "index" / name).write_bytes(b"half")
        (tmp_path / "index" / "notes.txt").write_text("mine")
        assert answers(index) == expected
        assert len(index.verify()) == 2
        assert all("segment-00000099" in text for text in index.verify())
        index.add([])
        assert index.verify() == []
        assert (tmp_path / "index" / "notes.txt").exists()


# ---- damage ------------------------------------------------------------------------------------

DAMAGE = (IndexCorruptError, IndexTruncatedError, IndexVersionError)


@pytest.fixture
def two_segments(tmp_path, folder):
    """A closed index of two segments, its files, and what a search must answer."""
    path = tmp_path / "index"
    with Index.create(path, bins=16) as index:
        names = sorted(folder.iterdir())
        index.add(names[:20])
        index.add(names[20:])
        expected = answers(index)
    files = sorted(name for name in os.listdir(path) if name.endswith(".npy"))
    assert len(files) == 4
    return path, files, expected


def check_damage(path, name, errors=DAMAGE):
    """Search and verify must both tell, and name the file."""
    with pytest.raises(errors, match=name), Index.open(path) as index:
        answers(index)
    with Index.open(path) as index:
        assert any(name in text for text in index.verify())
        with pytest.raises(errors, match=name):
            index.range_search(GREY, 1)


def test_every_flipped_bit_is_noticed(two_segments):
    path, files, expected = two_segments
    for name in files:
        original = (path / name).read_bytes()
        for position in range(0, len(original), 7):
            data = bytearray(original)
            data[position] ^= 1 << position % 8
            (path / name).write_bytes(data)
            with pytest.raises(IndexCorruptError, match=name), Index.open(path) as index:
                answers(index)
        check_damage(path, name)
        (path / name).write_bytes(original)
    with Index.open(path) as index:
        assert answers(index) == expected
        assert index.verify() == []


def test_every_other_length_is_noticed(two_segments):
    path, files, _ = two_segments
    for name in files:
        original = (path / name).read_bytes()
        for data in (
            b"", original[:1], original[:64], original[:128], original[:-1], original + b"\0",
            original * 2,
        ):  # fmt: skip
            (path / name).write_bytes(data)
            check_damage(path, name, IndexTruncatedError)
        (path / name).write_bytes(original)


def test_missing_swapped_and_foreign_segments(two_segments):
    path, files, expected = two_segments
    first_ids, first_rows, second_ids, second_rows = (path / name for name in files)
    for name in files:
        (path / name).rename(path / "aside")
        check_damage(path, name, IndexCorruptError)
        os.mkdir(path / name)
        with pytest.raises((*DAMAGE, OSError)), Index.open(path) as index:
            answers(index)
        os.rmdir(path / name)
        (path / "aside").rename(path / name)

    assert first_rows.stat().st_size == second_rows.stat().st_size
    for a, b in ((first_rows, second_rows), (first_ids, second_ids)):
        for _ in range(2):
            check = _ == 0
            a.rename(path / "aside")
            b.rename(a)
            (path / "aside").rename(b)
            if check:
                check_damage(path, "segment-", IndexCorruptError)
    with Index.open(path) as index:
        assert answers(index) == expected


class Bomb:
    """Something whose unpickling would be noticed."""

    def __reduce__(self):
        return (os.mkdir, (os.environ["IMGSIM_TEST_BOMB"],))


def resign(path, name, data):
    """Put data in the place of a segment file and make length and checksum agree with it."""
    (path / name).write_bytes(data)
    segment, part, _ = name.split(".")
    execute(
        path,
        (
            f"UPDATE segments SET {part}_bytes = ?, {part}_crc = ? WHERE name = ?",
            (len(data), zlib.crc32(data), segment),
        ),
    )


def npy(array, allow_pickle=False):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.zeros(3))
    return buffer.getvalue()


def npy_header(text):
    text = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize("signed", [False, True])
def test_nothing_is_unpickled(two_segments, tmp_path, monkeypatch, signed):
    path, files, _ = two_segments
    bomb = tmp_path / "exploded"
    monkeypatch.setenv("IMGSIM_TEST_BOMB", str(bomb))
    payloads = [pickle.dumps(Bomb()), npy(np.array([Bomb()] * 20, dtype=object), allow_pickle=True)]
    for data in payloads:
        if signed:
            resign(path, files[1], data)
        else:
            (path / files[1]).write_bytes(data)
        check_damage(path, files[1], IndexCorruptError)
    assert not bomb.exists()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"text", id="text"),
        pytest.param(npz(), id="npz"),
        pytest.param(npy(np.zeros((20, 16), ">u4")), id="big-endian"),
        pytest.param(npy(np.ones((20, 16), np.float32)), id="float"),
        pytest.param(npy(np.ones((16, 20), np.uint32)), id="transposed"),
        pytest.param(npy(np.asfortranarray(np.ones((20, 16), np.uint32))), id="fortran"),
        pytest.param(npy(np.ones((19, 16), np.uint32)), id="fewer"),
        pytest.param(npy(np.ones((20, 16), np.uint32))[:-4], id="shorter-than-its-header"),
        pytest.param(
            npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (2**62, 16)}"), id="sum"
        ),
        pytest.param(
            npy_header(f"{{'descr': '<u4', 'fortran_order': False, 'shape': ({2**60}, 16)}}"),
            id="huge",
        ),
        pytest.param(
            npy_header("{'descr': '<u4', 'fortran_order': False, 'shape': (-1, 16)}") + bytes(1280),
            id="negative",
        ),
        pytest.param(npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (20,)}"), id="O"),
        pytest.param(npy_header("(" * 900), id="nested"),
        pytest.param(b"\x93NUMPY\x09\x00" + bytes(50), id="version"),
    ],
)
def test_damage_with_a_valid_checksum(two_segments, data):
    path, files, _ = two_segments
    resign(path, files[1], data)
    with Index.open(path) as index:
        with pytest.raises(IndexCorruptError, match=files[1]):
            answers(index)
        assert any(files[1] in text for text in index.verify())


def test_rows_without_mass_with_a_valid_checksum(two_segments):
    """No image has an empty histogram, and the distance to one is not defined."""
    path, files, _ = two_segments
    rows = np.load(path / files[1])
    rows[7] = 0
    resign(path, files[1], npy(rows))
    with Index.open(path) as index:
        assert any("row 7 is empty" in text for text in index.verify())
        for call in (lambda: answers(index), lambda: index.range_search(GREY, 1e9)):
            with pytest.raises(IndexCorruptError):
                call()


def test_ids_with_a_valid_checksum(two_segments):
    path, files, _ = two_segments
    good = np.load(path / files[0])
    unknown, twice, turned = good.copy(), good.copy(), good[::-1].copy()
    unknown[-1] = 2**62
    twice[1] = twice[0]
    for ids in (unknown, twice, turned):
        resign(path, files[0], npy(ids))
        with Index.open(path) as index:
            assert index.verify()
    resign(path, files[0], npy(unknown))
    with Index.open(path) as index, pytest.raises(IndexCorruptError, match=str(2**62)):
        answers(index)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segments SET name = '../photos' WHERE id = 1",
        "UPDATE segments SET name = '/etc/passwd' WHERE id = 1",
        "UPDATE segments SET name = 'segment-1/../../x' WHERE id = 1",
        "UPDATE segments SET name = '' WHERE id = 1",
        "UPDATE segments SET name = 5 WHERE id = 1",
        "UPDATE segments SET name = x'00ff' WHERE id = 1",
        "UPDATE segments SET rows = 19 WHERE id = 1",
        "UPDATE segments SET rows = -1 WHERE id = 1",
        "UPDATE segments SET rows = 9223372036854775807 WHERE id = 1",
        "UPDATE segments SET rows = 'many' WHERE id = 1",
        "UPDATE segments SET rows_bytes = 0 WHERE id = 1",
        "UPDATE segments SET rows_crc = -1 WHERE id = 1",
        "UPDATE segments SET rows_crc = 'x' WHERE id = 1",
        "UPDATE segments SET ids_crc = 1.5 WHERE id = 2",
        "INSERT INTO dead_rows VALUES (1, 20)",
        "INSERT INTO dead_rows VALUES (1, 9223372036854775807)",
        "INSERT INTO dead_rows VALUES (1, -1)",
        "INSERT INTO dead_rows VALUES (1, 'x')",
        "INSERT INTO dead_rows VALUES (1, x'00')",
        "DELETE FROM images WHERE id = 3",
        "UPDATE images SET path = 7 WHERE id = 3",
        "DROP TABLE dead_rows",
        "DROP TABLE segments",
        "DROP TABLE images",
        "ALTER TABLE segments RENAME COLUMN name TO title",
    ],
)
def test_a_catalogue_that_contradicts_the_segments(two_segments, statement):
    path, _, _ = two_segments
    execute(path, statement)
    with Index.open(path) as index, pytest.raises(DAMAGE):
        answers(index)
    try:
        with Index.open(path) as index:
            assert index.verify()
    except DAMAGE:
        pass


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO dead_rows VALUES (2, 3)", "uses the dead row"),
        ("UPDATE images SET row = 3 WHERE id = 3", "shares row"),
        ("UPDATE images SET row = 99 WHERE id = 3", "points to no row"),
        ("UPDATE images SET segment = 9 WHERE id = 3", "points to no row"),
    ],
)
def test_references_that_only_verify_can_check(two_segments, statement, words):
    path, _, _ = two_segments
    execute(path, statement)
    with Index.open(path) as index:
        assert any(words in text for text in index.verify())
        index.search(GREY)
        if words == "points to no row":
            with pytest.raises(IndexCorruptError):
                index.images([3])


def test_other_files_in_the_place_of_the_catalogue(two_segments):
    path, _, expected = two_segments
    catalogue = path / "catalog.sqlite"
    original = catalogue.read_bytes()
    for data in (b"", b"x", b"this is a text file, and a rather long one\n" * 300, bytes(8192),
                 sample("png"), npy(np.zeros((4, 4))), original[:100], original[:4096],
                 original[:-4096]):  # fmt: skip
        catalogue.write_bytes(data)
        found = None
        try:
            with Index.open(path) as index:
                found = answers(index)
        except DAMAGE:
            pass
        assert found is None

    catalogue.unlink()
    execute(path, "CREATE TABLE meta (key TEXT, value TEXT)")
    with pytest.raises(IndexVersionError, match="not an imgsim index"):
        Index.open(path)
    for version in (0, 2, 1000, -1):
        catalogue.write_bytes(original)
        execute(path, f"PRAGMA user_version = {version}")
        with pytest.raises(IndexVersionError, match=f"format {version}; this version reads 1"):
            Index.open(path)
    catalogue.unlink()
    execute(path, f"PRAGMA application_id = {0x696D6773}", "PRAGMA user_version = 1")
    with pytest.raises(DAMAGE):
        Index.open(path)
    catalogue.write_bytes(original)
    with Index.open(path) as index:
        assert answers(index) == expected


def test_flipped_bits_of_the_catalogue_raise_nothing_untyped(two_segments):
    path, _, expected = two_segments
    catalogue = path / "catalog.sqlite"
    original = catalogue.read_bytes()
    rng = np.random.default_rng(0)
    used = np.flatnonzero(np.frombuffer(original, np.uint8))
    untyped, wrong = {}, []
    for position in rng.choice(used, 300, replace=False).tolist():
        data = bytearray(original)
        data[position] ^= 1 << int(rng.integers(8))
        catalogue.write_bytes(data)
        try:
            with Index.open(path) as index:
                same = answers(index) == expected
                if not same and not index.verify():
                    wrong.append(position)
                index.stats()
        except (ImgsimError, OSError):
            pass
        except Exception as error:
            untyped.setdefault(repr(error), position)
    assert wrong == []
    assert untyped == {}


def test_flipped_bits_of_the_stored_options_are_noticed(two_segments):
    """They say how to compare: another order p would rank by another distance."""
    path, _, expected = two_segments
    catalogue = path / "catalog.sqlite"
    original = catalogue.read_bytes()
    start = original.index(b'{"bins"')
    wrong = {}
    for position in range(start, original.index(b"}", start) + 1):
        for bit in range(8):
            data = bytearray(original)
            data[position] ^= 1 << bit
            catalogue.write_bytes(data)
            with contextlib.suppress(ImgsimError, OSError), Index.open(path) as index:
                if answers(index) != expected and not index.verify():
                    wrong[position, bit] = index.options
    assert wrong == {}


def test_other_tools_can_read_the_files(two_segments):
    """Any tool can read the data: plain arrays, one row per image, and JSON options."""
    path, files, expected = two_segments
    ids = np.concatenate([np.load(path / name) for name in files if ".ids." in name])
    rows = np.concatenate([np.load(path / name) for name in files if ".rows." in name])
    assert (rows.dtype, rows.shape) == (np.uint32, (40, 16))
    db = sqlite3.connect(path / "catalog.sqlite")
    assert json.loads(db.execute("SELECT value FROM meta WHERE key='options'").fetchone()[0]) == {
        "bins": 16,
        "range": [0, 256],
        "p": 1,
    }
    db.close()
    query = np.histogram(GREY, 16, (0, 256))[0]
    distances = [isf.wasserstein_1d(query, row) * 16 for row in rows]
    assert sorted(zip(distances, ids.tolist(), strict=True)) == [m[:2] for m in expected]
