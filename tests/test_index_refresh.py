"""The index: incremental refresh, hostile names and files."""

from __future__ import annotations

import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from imgsim_fast.errors import (
    InvalidInputError,
)
from imgsim_fast.index import Index
from tests.image_files import jpeg_header, png, sample
from tests.index_tools import GREY, answers, as_list, brute_force, made, numbers, write

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
        report = index.refresh()
        assert numbers(report) == (0, 0, 40, 0, 1)
        assert report.skipped == [
            (str(folder / "sub"), "the folder cannot be listed: Permission denied")
        ]
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
