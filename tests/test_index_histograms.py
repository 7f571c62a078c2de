"""Histograms that no image file is behind: in and out of an index, and what may go wrong."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import zlib

import numpy as np
import pytest
from PIL import Image

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import (
    ImgsimError,
    IndexCorruptError,
    IndexTruncatedError,
    InvalidInputError,
)
from imgsim_fast.index import histograms as store
from imgsim_fast.index.catalog import FILE
from tests.cli_tools import runner
from tests.test_knn_codes import KINDS

KINDS = [kind for kind in KINDS if kind.__name__ != "tiny"]  # counts


def counts(kind, n, bins, seed=0):
    rows = np.asarray(kind(np.random.default_rng(seed), n, bins))
    return np.ascontiguousarray(np.ceil(rows), np.uint32)


def wanted(queries, rows, k, bins):
    """Brute force in float64, a full sort by (distance, row)."""
    distances = isf.cdist(queries.astype(float), rows.astype(float)) * (256 / bins)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


@pytest.fixture
def index(tmp_path):
    with isf.Index.create(tmp_path / "index", bins=64) as made:
        yield made


# ---- the answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [2, 10, 16, 17, 18, 33, 64, 256, 257])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_a_full_sort(eager_threads, isa, tmp_path, kind, bins, monkeypatch):
    monkeypatch.setattr(store, "_SEGMENT_ROWS", 900)
    rows = counts(kind, 2000, bins)
    queries = np.concatenate([rows[:3], counts(kind, 3, bins, seed=1)])
    with isf.Index.create(tmp_path / "index", bins=bins) as index:
        assert index.add_histograms(rows[:10]) == 10
        assert index.add_histograms(rows[10:]) == 1990
        for k in (1, 10, 100):
            distances, order = wanted(queries, rows, k, bins)
            for threads in (1, 3):
                found = index.search_histograms(queries, k, threads=threads)
                np.testing.assert_array_equal(found.indices, order)
                np.testing.assert_allclose(found.distances, distances, rtol=1e-12, atol=0)
        everything = index.search_histograms(queries[0], 10_000)
        assert everything.indices.tolist() == wanted(queries[:1], rows, 2000, bins)[1][0].tolist()
        limit = float(everything.distances[150])
        near = everything.distances <= limit
        for found in (
            index.search_histograms(queries[0], None, max_distance=limit, threads=2),
            index.search_histograms(queries[0], 2000, max_distance=limit),
        ):
            np.testing.assert_array_equal(found.indices, everything.indices[near])
            np.testing.assert_array_equal(found.distances, everything.distances[near])


def test_the_same_bits_as_knn(index):
    rows = counts(KINDS[0], 3000, 64)
    index.add_histograms(rows)
    assert index.kind.coder is not None
    for row in (0, 17, 2999):
        found = index.search_histograms(rows[row], 7)
        distances, indices = _core.knn(
            index.kind.coder, rows[row : row + 1].astype(float), rows, None, 7, 1
        )
        np.testing.assert_array_equal(found.distances, distances[0])
        np.testing.assert_array_equal(found.indices, indices[0])


def test_several_queries_within_a_distance(index):
    rows = counts(KINDS[0], 500, 64)
    index.add_histograms(rows)
    limit = float(index.search_histograms(rows[0], 4).distances[-1])
    found = index.search_histograms(rows[:5], 10, max_distance=limit)
    assert found.indices.shape == found.distances.shape == (5, 10)
    for query, (distances, ids) in enumerate(zip(*found, strict=True)):
        one = index.search_histograms(rows[query], 10, max_distance=limit)
        n = len(one.indices)
        assert ids[:n].tolist() == one.indices.tolist()
        assert (ids[n:] == -1).all()
        assert np.isposinf(distances[n:]).all()
    assert index.search_histograms(rows[0], 10, max_distance=0.0).distances.tolist() == [0.0]


def test_parts_make_the_whole(tmp_path):
    rows = counts(KINDS[1], 700, 64)  # many ties
    found = []
    with isf.Index.create(tmp_path / "whole", bins=64) as whole:
        whole.add_histograms(rows)
        want = whole.search_histograms(rows[::50], 25)
    for part in range(7):
        with isf.Index.create(tmp_path / str(part), bins=64) as index:
            index.add_histograms(rows[part::7], ids=np.arange(part, 700, 7))
            found.append(index.search_histograms(rows[::50], 25))
    merged = isf.merge_neighbors(found)
    np.testing.assert_array_equal(merged.indices, want.indices)
    np.testing.assert_array_equal(merged.distances, want.distances)


def test_few_rows_are_looked_at(index):
    rows = counts(KINDS[0], 20_000, 64)
    index.add_histograms(rows)
    there = index._reader.histograms()
    looked = [
        _core.nearest_coded(index.kind.coder, row[None], there._parts._parts, 10, np.inf, 1)[2]
        for row in rows[:50].astype(float)
    ]
    assert np.mean(looked) < 100


# ---- what cannot be ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"p": 2}, {"bins": 1}, {"measure": "ssim"}, {"measure": "correlation"}], ids=str
)
def test_other_measures_keep_none(tmp_path, options):
    with isf.Index.create(tmp_path / "index", **options) as index:
        for call in (
            lambda: index.add_histograms(np.ones((2, 4))),
            lambda: index.search_histograms(np.ones(4)),
        ):
            with pytest.raises(InvalidInputError, match="keeps histograms of images only"):
                call()
        assert index.stats().histograms == 0


def test_bad_searches(index):
    index.add_histograms(counts(KINDS[0], 9, 64))
    one = np.ones(64)
    for query in (np.ones(63), np.ones((2, 63)), np.ones((1, 1, 64)), 3.0):
        with pytest.raises(InvalidInputError, match="rows"):
            index.search_histograms(query)
    with pytest.raises(InvalidInputError, match=r"rows\[1\]"):
        index.search_histograms([one, 0 * one])
    for k in (0, -1):
        with pytest.raises(InvalidInputError, match="k must"):
            index.search_histograms(one, k)
    for limit in (-1, np.nan):
        with pytest.raises(InvalidInputError, match="max_distance"):
            index.search_histograms(one, max_distance=limit)
    for query, limit in ((one, None), ([one, one], 3.0)):
        with pytest.raises(InvalidInputError, match="k=None is for one query"):
            index.search_histograms(query, None, max_distance=limit)


def test_an_index_without_any(index):
    assert index.search_histograms(np.ones(64)).indices.shape == (0,)
    assert index.search_histograms(np.ones((3, 64))).indices.shape == (3, 0)
    assert index.search_histograms(np.ones(64), None, max_distance=9).indices.shape == (0,)


# ---- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["rows", "codes", "ids"])
def test_damage_is_found(index, tmp_path, part):
    rows = counts(KINDS[0], 50, 64)
    index.add_histograms(rows, ids=np.arange(50) * 2)
    path = tmp_path / "index" / f"histograms-00000001.{part}.npy"
    sound = path.read_bytes()
    for at in (0, 20, 200, len(sound) // 2, len(sound) - 1):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        with isf.Index.open(tmp_path / "index") as again:
            problems = again.verify()
            assert any(f"histograms-00000001.{part}.npy" in text for text in problems), at
            try:
                again.search_histograms(rows[3])
            except ImgsimError:
                assert at < 128 or part != "ids"  # an empty row, or one that is not there
    path.write_bytes(sound[:-1])
    with isf.Index.open(tmp_path / "index") as again, pytest.raises(IndexTruncatedError):
        again.search_histograms(rows[3])
    path.unlink()
    with (
        isf.Index.open(tmp_path / "index") as again,
        pytest.raises(IndexCorruptError, match="missing"),
    ):
        again.search_histograms(rows[3])
    path.write_bytes(sound)
    assert index.verify() == []


def test_codes_of_other_rows_are_found(index, tmp_path):
    """A file that is whole, with a checksum that fits, but codes that would hide rows."""
    rows = counts(KINDS[0], 50, 64)
    index.add_histograms(rows)
    path = tmp_path / "index" / "histograms-00000001.codes.npy"
    codes = np.load(path)
    codes[7] ^= 64
    np.save(path, codes)
    with sqlite3.connect(tmp_path / "index" / FILE) as db:
        db.execute("UPDATE histograms SET codes_crc = ?", (zlib.crc32(codes.tobytes()),))
    assert index.verify() == ["histograms-00000001: codes 0 to 49 are not those of their rows"]


def test_an_empty_row_is_named(index, tmp_path):
    rows = counts(KINDS[0], 50, 64)
    index.add_histograms(rows)
    path = tmp_path / "index" / "histograms-00000001.rows.npy"
    damaged = np.load(path)
    damaged[7] = 0
    np.save(path, damaged)
    with (
        isf.Index.open(tmp_path / "index") as again,
        pytest.raises(IndexCorruptError, match="histograms-00000001: row 7 is empty"),
    ):
        again.search_histograms(rows[7])


@pytest.mark.parametrize(
    "change",
    [
        "rows = rows + 1", "rows = 0", "rows = -1", "rows = 'x'", "name = '../x'", "first_id = -1",
        "last_id = first_id", "last_id = last_id + 1", "codes_bytes = codes_bytes - 1",
        "ids_bytes = 8", "id = 9",
    ],
)  # fmt: skip
def test_a_damaged_catalogue_is_named(index, tmp_path, change):
    index.add_histograms(counts(KINDS[0], 50, 64))
    with sqlite3.connect(tmp_path / "index" / FILE) as db:
        db.execute(f"UPDATE histograms SET {change}")
    with isf.Index.open(tmp_path / "index") as again:
        with pytest.raises(IndexCorruptError):
            again.search_histograms(np.ones(64))
        with contextlib.suppress(IndexCorruptError):
            assert again.verify() != []


def test_the_number_of_a_damaged_format_hides_nothing(index, tmp_path):
    """3 is 1 but for a bit: the next writer must not remove histograms for that."""
    rows = counts(KINDS[0], 50, 64)
    index.add_histograms(rows)
    with sqlite3.connect(tmp_path / "index" / FILE) as db:
        db.execute("PRAGMA user_version = 1")
    with isf.Index.open(tmp_path / "index") as again:
        assert len(again.search_histograms(rows[7], 99).indices) == 50
        again.add_histograms(rows)
        assert len(again.search_histograms(rows[7], 200).indices) == 100
        assert again.verify() == []


def test_files_are_plain_arrays(index, tmp_path):
    rows = counts(KINDS[0], 50, 64)
    index.add_histograms(rows, ids=np.arange(50) * 3)
    folder = tmp_path / "index"
    np.testing.assert_array_equal(np.load(folder / "histograms-00000001.rows.npy"), rows)
    np.testing.assert_array_equal(
        np.load(folder / "histograms-00000001.ids.npy"), np.arange(50) * 3
    )
    codes = np.load(folder / "histograms-00000001.codes.npy")
    order = codes[50 * 18 :][: 50 * 4].view("<u4")
    assert sorted(order.tolist()) == list(range(50))
    whole = np.empty(50 * 18, np.uint8)
    _core.encode_rows(index.kind.coder, rows, whole, 1)
    for first, width in ((0, 8), (50 * 8, 10)):
        kept, made = (some[first:][: 50 * width].reshape(50, width) for some in (codes, whole))
        np.testing.assert_array_equal(kept, made[order])


def test_stats_on_the_command_line(index, tmp_path, monkeypatch, capsys):
    run = runner(monkeypatch, capsys)
    index.add_histograms(counts(KINDS[0], 50, 64))
    assert "histograms 50" in run("stats", str(tmp_path / "index")).out
    assert run("stats", str(tmp_path / "index"), "--json").json["histograms"] == 50
    assert run("verify", str(tmp_path / "index")).out == "sound: 0 images and 50 histograms\n"
    assert run("verify", str(tmp_path / "index"), "--json").json["histograms"] == 50
    Image.new("L", (8, 8), 9).save(tmp_path / "query.png")
    assert (
        "Index.search_histograms" in run("search", tmp_path / "query.png", tmp_path / "index").out
    )


# ---- photographs -------------------------------------------------------------------------------

EVERY = int(os.environ.get("IMGSIM_FAST_EVERY", "20"))  # 1: all rows are queries, two minutes


def cifar(shared_data):
    with np.load(shared_data / "cifar10_test.npz") as data:
        return data["images"].mean(axis=3).astype(np.uint8)


def corel(shared_data):
    paths = sorted((shared_data / "corel1k" / "images").glob("*.jpg"))
    return [np.asarray(Image.open(path).convert("L")) for path in paths]


@pytest.mark.parametrize("bins", [10, 64, 256])
@pytest.mark.parametrize("photographs", [cifar, corel])
def test_photographs_as_a_full_sort(shared_data, tmp_path, photographs, bins):
    rows = isf.histograms(photographs(shared_data), bins=bins).astype(np.uint32)
    with isf.Index.create(tmp_path / "index", bins=bins) as index:
        index.add_histograms(rows)
        for start in range(0, len(rows), 500 * EVERY):
            queries = rows[start : start + 500 * EVERY : EVERY].astype(float)
            distances, order = wanted(queries, rows, 100, bins)
            for k in (1, 10, 100):
                for found, scale in (
                    (index.search_histograms(queries, k), 1.0),
                    (isf.knn(queries, rows, k), 256 / bins),
                ):
                    np.testing.assert_array_equal(found.indices, order[:, :k])
                    np.testing.assert_array_equal(found.distances * scale, distances[:, :k])
