"""Segments of many images have codes: searches must not show it, and damage must not hide."""

from __future__ import annotations

import os
import sqlite3
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import IndexCorruptError, IndexTruncatedError
from imgsim_fast.index import build
from imgsim_fast.index.catalog import FILE

IMAGES = 60


@pytest.fixture
def photos(tmp_path):
    """Sixty pictures, some of them equal."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(IMAGES):
        centre = rng.integers(30, 220)
        pixels = rng.normal(centre, 25, (12, 12)).clip(0, 255).astype(np.uint8)
        if number % 7 == 3:
            pixels = np.full((12, 12), 100, np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


def made(path, photos, monkeypatch, coded, **options):
    monkeypatch.setattr(build, "CODED_ROWS", 8 if coded else 10**9)
    index = isf.Index.create(path, **options)
    index.add(sorted(photos.iterdir())[:40])
    index.add(sorted(photos.iterdir())[40:44])  # too few for codes
    index.add(photos)
    return index


@pytest.fixture
def both(tmp_path, photos, monkeypatch):
    """The same index with codes and without."""
    with (
        made(tmp_path / "coded", photos, monkeypatch, True) as coded,
        made(tmp_path / "plain", photos, monkeypatch, False) as plain,
    ):
        monkeypatch.setattr(build, "CODED_ROWS", 8)
        assert len(coded._reader.current()._large) == 2
        assert len(coded._reader.current()._small) == 1
        assert not plain._reader.current()._large
        yield coded, plain


def same(coded, plain, query):
    for k in (1, 5, 44, 100):
        ours, theirs = coded.search(query, k), plain.search(query, k)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_array_equal(ours.distances, theirs.distances)
        for limit in (0.0, float(theirs.distances[-1])):
            ours = coded.search(query, k, max_distance=limit, threads=2)
            theirs = plain.search(query, k, max_distance=limit)
            np.testing.assert_array_equal(ours.ids, theirs.ids)
            np.testing.assert_array_equal(ours.distances, theirs.distances)
    for radius in (0, 3.5, 50, 1000, np.inf):
        ours, theirs = coded.range_search(query, radius), plain.range_search(query, radius)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_array_equal(ours.distances, theirs.distances)


def test_the_same_with_codes(both, photos, isa):
    for number in (0, 3, 41, 59):
        same(*both, photos / f"{number:03d}.png")
    groups = [
        [[image.path for image in group.images] for group in index.duplicates(2.0).groups]
        for index in both
    ]
    assert groups[0] == groups[1] != []
    assert both[0].verify() == []


def test_removed_and_changed_images(both, photos):
    gone = [1, 3, 10, 41, 50]
    for index in both:
        assert index.remove(gone) == 5
    same(*both, photos / "003.png")
    for number in (2, 20, 55):
        Image.new("L", (12, 12), 3 * number).save(photos / f"{number:03d}.png")
    for number in (7, 8):
        (photos / f"{number:03d}.png").unlink()
    for index in both:
        index.refresh()
    same(*both, photos / "003.png")
    assert both[0].verify() == []


def test_merging_does_not_hide_damage(tmp_path, photos, monkeypatch):
    """The merged file gets a checksum of its own, which would fit."""
    monkeypatch.setattr(build, "_MANY_SMALL", 3)
    with made(tmp_path / "coded", photos, monkeypatch, True) as coded:
        path = tmp_path / "coded" / "segment-00000001.rows.npy"
        data = bytearray(path.read_bytes())
        data[-8] ^= 1
        path.write_bytes(data)
        Image.new("L", (5, 5), 40).save(photos / "more.png")
        with pytest.raises(IndexCorruptError, match=f"{path.name} is damaged"):
            coded.add(photos / "more.png")
        assert any(path.name in problem for problem in coded.verify())


def test_merged_segments(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(build, "_MANY_SMALL", 3)
    with (
        made(tmp_path / "coded", photos, monkeypatch, True) as coded,
        made(tmp_path / "plain", photos, monkeypatch, False) as plain,
    ):
        monkeypatch.setattr(build, "CODED_ROWS", 8)
        for number in range(6):
            path = photos / f"more{number}.png"
            Image.new("L", (5, 5), 40 * number).save(path)
            coded.add(path)
            plain.add(path)
        assert coded.stats().segments <= 5
        assert coded._reader.current()._large
        same(coded, plain, photos / "003.png")
        assert coded.verify() == []
        with sqlite3.connect(tmp_path / "coded" / FILE) as db:
            codes = {number for (number,) in db.execute("SELECT segment FROM codes")}
            assert codes <= {number for (number,) in db.execute("SELECT id FROM segments")}


def test_format(both):
    versions = []
    for index in both:
        with sqlite3.connect(f"{index.path}/{FILE}") as db:
            versions.append(db.execute("PRAGMA user_version").fetchone()[0])
    assert versions == [3, 1]


@pytest.mark.parametrize("options", [{"p": 2}, {"bins": 1}, {"measure": "intersection"}], ids=str)
def test_measures_without_codes(tmp_path, photos, monkeypatch, options):
    with made(tmp_path / "index", photos, monkeypatch, True, **options) as index:
        assert not index._reader.current()._large
        assert not list((tmp_path / "index").glob("*codes*"))


def test_ties_of_images_that_changed(both, photos, monkeypatch):
    """They keep their ids in a later segment: a lower id goes first, wherever its row is."""
    for number in range(12):
        path = photos / f"{number:03d}.png"
        Image.new("L", (9, 9), 100).save(path)
        os.utime(path, (1, 1 + number))
    for index, rows in zip(both, (8, 10**9), strict=True):
        monkeypatch.setattr(build, "CODED_ROWS", rows)
        assert index.refresh().updated == 12
    same(*both, photos / "003.png")
    ids = both[0].search(photos / "003.png", k=14).ids
    assert len(both[0]._reader.current()._large) >= 2
    assert ids.tolist() == sorted(ids)


def test_images_and_histograms(both, photos):
    coded, plain = both
    for index in both:
        index.add_histograms(np.eye(256)[:30] * 7)
    same(coded, plain, photos / "003.png")
    for ours, theirs in zip(
        coded.search_histograms(np.eye(256)[3]),
        plain.search_histograms(np.eye(256)[3]),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("part", ["rows", "codes", "ids"])
def test_damage(both, photos, part):
    """Segments with codes are not read on opening: their length is, and `verify` reads them."""
    coded = both[0]
    path = next((photos.parent / "coded").glob(f"segment-00000001.{part}.npy"))
    sound = path.read_bytes()
    path.write_bytes(sound[:-9] + bytes([sound[-9] ^ 4]) + sound[-8:])
    with isf.Index.open(coded.path) as again:
        assert any(path.name in problem for problem in again.verify())
    path.write_bytes(sound[:-1])
    with isf.Index.open(coded.path) as again, pytest.raises(IndexTruncatedError):
        again.search(photos / "003.png")
    path.write_bytes(sound)
    assert coded.verify() == []


def test_an_empty_row_is_named(both, photos):
    path = photos.parent / "coded" / "segment-00000001.rows.npy"
    rows = np.load(path)
    rows[3] = 0
    np.save(path, rows)
    with (
        isf.Index.open(both[0].path) as again,
        pytest.raises(IndexCorruptError, match="segment-00000001: row 3 is empty"),
    ):
        again.search(photos / "003.png")


def test_codes_of_other_rows(both):
    path = f"{both[0].path}/segment-00000001.codes.npy"
    codes = np.load(path)
    codes[0] ^= 1
    np.save(path, codes)
    with sqlite3.connect(f"{both[0].path}/{FILE}") as db:
        with open(path, "rb") as file:
            crc = zlib.crc32(file.read())
        db.execute("UPDATE codes SET crc = ? WHERE segment = 1", (crc,))
    assert both[0].verify() == ["segment-00000001: codes 0 to 39 are not those of their rows"]


@pytest.mark.parametrize("change", ["bytes = bytes + 1", "bytes = 'x'", "crc = -1", "bytes = -8"])
def test_a_damaged_catalogue(both, photos, change):
    with sqlite3.connect(f"{both[0].path}/{FILE}") as db:
        db.execute(f"UPDATE codes SET {change}")
    with isf.Index.open(both[0].path) as again, pytest.raises(IndexCorruptError):
        again.search(photos / "003.png")
