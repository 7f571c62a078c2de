"""The index: every damage is reported, none gives a wrong answer."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import sqlite3
import struct
import zlib

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.errors import (
    ImgsimError,
    IndexCorruptError,
    IndexTruncatedError,
    IndexVersionError,
)
from imgsim_fast.index import Index
from tests.image_files import sample
from tests.index_tools import DAMAGE, GREY, answers, execute

# ---- damage ------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("INSERT INTO dead_rows VALUES (2, 3)", "uses the dead row"),
        ("DELETE FROM images WHERE id = 3", "is of image 3, which the catalogue does not have"),
        ("DELETE FROM images WHERE id > 2", "likewise 8 more rows"),
        ("DELETE FROM images", "is of image 1, which the catalogue does not have"),
    ],
)
def test_every_call_sees_that_images_and_rows_differ_in_number(two_segments, statement, words):
    """Also a search for which the odd one is too far away."""
    path, _, _ = two_segments
    execute(path, statement)
    with Index.open(path) as index:
        assert any(words in text for text in index.verify())
        for call in (
            lambda: index.search(GREY, 1),
            lambda: index.range_search(GREY, 0),
            index.duplicates,
            lambda: isf.evaluate(index, lambda path: path[-5]),
            lambda: index.images([1]),
        ):
            with pytest.raises(IndexCorruptError, match=r"hold \d+ images, its catalogue \d+"):
                call()


def test_an_image_in_the_place_of_another(two_segments):
    path, _, _ = two_segments
    execute(path, "UPDATE images SET id = 99 WHERE id = 3")
    with Index.open(path) as index:
        assert any("image 99" in text and "of another" in text for text in index.verify())
        with pytest.raises(IndexCorruptError, match="a segment holds image 3"):
            index.search(GREY, 10**6)
        with pytest.raises(IndexCorruptError, match="other images than the catalogue"):
            isf.evaluate(index, lambda path: path[-5])


def test_a_path_that_none_can_be(two_segments):
    path, _, _ = two_segments
    for statement, words in (
        (("UPDATE images SET path = ? WHERE id = 3", (b"a\0b",)), r"image 3 at b'a\x00b'"),
        (("UPDATE images SET path = ? WHERE id = 3", (b"",)), "image 3 at b''"),
        (("INSERT INTO skipped VALUES (?, 'no')", (b"\0",)), r"a skipped file at b'\x00'"),
        (("INSERT INTO folders VALUES (?)", (b"x\0",)), r"a folder at b'x\x00'"),
    ):
        execute(path, statement)
        with Index.open(path) as index:
            assert any(f"has {words}, which no path can be" in text for text in index.verify())
            if "image" in words:
                for call in (
                    lambda: index.search(GREY, 10**6),
                    lambda: index.images([3]),
                    index.duplicates,
                    lambda: isf.evaluate(index, lambda path: path[-5]),
                    lambda: index.refresh(),
                ):
                    with pytest.raises(IndexCorruptError, match="which no path can be"):
                        call()
            else:
                with pytest.raises(IndexCorruptError, match="which no path can be"):
                    index.stats()
        execute(path, ("UPDATE images SET path = ? WHERE id = 3", (b"c.png",)),
                "DELETE FROM skipped WHERE reason = 'no'")  # fmt: skip


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
    for version in (0, 4, 1000, -1):
        catalogue.write_bytes(original)
        execute(path, f"PRAGMA user_version = {version}")
        with pytest.raises(IndexVersionError, match=f"format {version}; this version reads 1 to 3"):
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


def test_a_table_out_of_order_ends(two_segments, monkeypatch):
    """A flipped bit in an id: SQLite finds the same images after the last one again and again."""
    path = two_segments[0]
    with Index.open(path) as index:
        rows = index._reader.catalog._rows
        damaged = {3: 13}

        def shuffled(query, values=()):
            found = rows(query, values)
            if "ORDER BY id LIMIT" not in query:
                return found
            return [(damaged.get(row[0], row[0]), *row[1:]) for row in found]

        monkeypatch.setattr(index._reader.catalog, "_rows", shuffled)
        with pytest.raises(IndexCorruptError, match="image 4 after 13"):
            list(index._reader.catalog.images())
