"""Codes arranged as a tree: the same neighbours, and files that are checked."""

import signal
import sqlite3
import time
import zlib

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _core
from imgsim_fast.errors import IndexCorruptError
from imgsim_fast.index.catalog import FILE
from imgsim_fast.index.coding import encoded, wrong_codes

LEAF = _core.LEAF_ROWS
GROUP, BLOCK = 16 * LEAF, 256 * LEAF
BINS = 32
METRIC = _core.Metric(BINS, None, 1.0, 1.0, 0.0)


def photographs(rng, n):
    """One or two hills each, some of them many times."""
    at = rng.uniform(0, BINS, (n, 1, 2))
    width = rng.uniform(1, 8, (n, 1, 2))
    hills = np.exp(-(((np.arange(BINS)[:, None] - at) / width) ** 2)).sum(2)
    rows = np.floor(hills * 1000).astype(np.uint32) + 1
    rows[rng.integers(0, n, n // 7)] = rows[0]
    return rows


def two_kinds(rng, n):
    """Two histograms only: boxes say nothing, ties go to the lower row."""
    rows = np.ones((n, BINS), np.uint32)
    rows[rng.random(n) < 0.4, 5] = 9
    return rows


def points(rng, n):
    """All mass in one bin, of which there are few."""
    rows = np.zeros((n, BINS), np.uint32)
    rows[np.arange(n), rng.integers(0, BINS, n)] = 3
    return rows


KINDS = [photographs, two_kinds, points]
SIZES = [1, 2, LEAF - 1, LEAF, LEAF + 1, 17 * LEAF - 1, GROUP, GROUP + 1, 20001, BLOCK + LEAF + 1]


def in_order(raw):
    """Codes alone."""
    return raw[: len(raw) // _core.RAW_BYTES * _core.CODE_BYTES]


def distances_of(queries, rows):
    return isf.cdist(queries.astype(float), rows.astype(float))


def sorted_all(queries, rows, k):
    distances = distances_of(queries, rows)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


def asked(rng, kind, rows, n):
    return np.concatenate([rows[rng.integers(0, len(rows), n)], kind(rng, n)]).astype(float)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_nearest(eager_threads, isa, kind, n):
    rng = np.random.default_rng(n)
    rows = kind(rng, n)
    queries = asked(rng, kind, rows, 3)
    parts = ((rows, _core.arrange_codes(encoded(METRIC, rows, 2), 2), None, None),)
    for k in (1, 10, 300):
        k = min(k, n)
        distances, order = sorted_all(queries, rows, k)
        for number, threads in ((1, 1), (1, 3), (6, 2)):
            found = [
                _core.nearest_coded(METRIC, queries[i : i + number], parts, k, np.inf, threads)
                for i in range(0, 6, number)
            ]
            np.testing.assert_array_equal(np.concatenate([f[1] for f in found]), order)
            np.testing.assert_array_equal(np.concatenate([f[0] for f in found]), distances)


@pytest.mark.parametrize("worth", [9_000, 12_000, 20_000])
@pytest.mark.parametrize("kind", KINDS)
def test_more_threads_where_much_is_left(isa, kind, worth):
    """A thread for each `worth` of nanoseconds: at first it seems that one will do."""
    rng = np.random.default_rng(worth)
    rows = kind(rng, 30_000)
    queries = asked(rng, kind, rows, 2)
    parts = ((rows, _core.arrange_codes(encoded(METRIC, rows, 2), 2), None, None),)
    before = _core.set_thread_worth(worth)
    try:
        for k in (1, 3):
            distances, order = sorted_all(queries, rows, k)
            for i in range(4):
                found = _core.nearest_coded(METRIC, queries[[i]], parts, k, np.inf, 4)
                np.testing.assert_array_equal(found[0], distances[[i]])
                np.testing.assert_array_equal(found[1], order[[i]])
    finally:
        _core.set_thread_worth(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_few_of_many_equal_rows_are_looked_at(eager_threads, isa, threads):
    """At distance 0 only a lower id gets in, whatever the order of the rows."""
    rng = np.random.default_rng(3)
    rows = photographs(rng, 40_000)
    rows[5_000:35_000] = rows[0]
    ids = rng.permutation(10**6)[: len(rows)]
    parts = ((rows, _core.arrange_codes(encoded(METRIC, rows, 2), 2), None, ids),)
    query = rows[:1].astype(float)
    equal = np.sort(ids[(rows == rows[0]).all(1)])
    for k in (1, 10, 200):
        distances, found, looked, _ = _core.nearest_coded(METRIC, query, parts, k, np.inf, threads)
        assert not distances.any()
        assert found[0].tolist() == equal[:k].tolist()
        assert looked < 3000
    # A little away from all of them, each is looked at.
    query[0, :2] += 1000, 10
    distances, order = sorted_all(query, rows[np.argsort(ids)], 200)
    found = _core.nearest_coded(METRIC, query, parts, 200, np.inf, threads)
    np.testing.assert_array_equal(found[0], distances)
    np.testing.assert_array_equal(found[1], np.sort(ids)[order])


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_within(eager_threads, isa, kind, n):
    rng = np.random.default_rng(n)
    rows = kind(rng, n)
    parts = ((rows, _core.arrange_codes(encoded(METRIC, rows, 2), 2), None, None),)
    for query in asked(rng, kind, rows, 2):
        distances = distances_of(query[None], rows)[0]
        for radius in (0.0, float(np.quantile(distances, 0.02)), float(distances.max())):
            near = np.flatnonzero(distances <= radius)
            near = near[np.argsort(distances[near], kind="stable")]
            for threads in (1, 3):
                found, numbers, *_ = _core.within_coded(METRIC, query[None], parts, radius, threads)
                np.testing.assert_array_equal(numbers, near)
                np.testing.assert_array_equal(found, distances[near])


def test_parts_of_either_kind_and_rows_left_out(eager_threads, isa):
    rng = np.random.default_rng(5)
    rows = photographs(rng, 30000)
    parts, left_out = [], []
    for number, some in enumerate(np.split(rows, [7, 9000, 9300, 22000])):
        codes = encoded(METRIC, some, 1)
        skip = None
        if number % 3 != 1:
            skip = (rng.random(len(some)) < 0.5).astype(np.uint8)
        left_out.append(np.zeros(len(some), np.uint8) if skip is None else skip)
        parts.append(
            (some, in_order(codes) if number % 2 else _core.arrange_codes(codes, 1), skip, None)
        )
    kept = np.flatnonzero(np.concatenate(left_out) == 0)
    queries = rows[::3000].astype(float)
    distances, order = sorted_all(queries, rows[kept], 40)
    for threads in (1, 2):
        found = _core.nearest_coded(METRIC, queries, tuple(parts), 40, np.inf, threads)
        np.testing.assert_array_equal(found[0], distances)
        np.testing.assert_array_equal(found[1], kept[order])
        radius = float(distances[0, 20])
        near = _core.within_coded(METRIC, queries[:1], tuple(parts), radius, threads)
        count = int((distances_of(queries[:1], rows[kept]) <= radius).sum())
        assert len(near[1]) == count >= 21
        np.testing.assert_array_equal(near[1][:21], kept[order[0, :21]])


@pytest.mark.parametrize("trees", [95, 96, 97, 98])
@pytest.mark.parametrize("kind", KINDS)
def test_many_trees(eager_threads, isa, kind, trees):
    """From 96 pieces on, where a search begins is chosen from a third of them."""
    rng = np.random.default_rng(trees)
    rows = kind(rng, 12000)
    parts = tuple(
        (some, _core.arrange_codes(encoded(METRIC, some, 1), 1), None, None)
        for some in np.array_split(rows, trees)
    )
    queries = np.concatenate([rows[[0, 130, 260, 11999]], kind(rng, 2)]).astype(float)
    for k in (1, 10, 5000):
        distances, order = sorted_all(queries, rows, k)
        for number, threads in ((1, 1), (2, 3), (6, 3)):
            found = _core.nearest_coded(METRIC, queries[:number], parts, k, np.inf, threads)
            np.testing.assert_array_equal(found[0], distances[:number])
            np.testing.assert_array_equal(found[1], order[:number])


@pytest.mark.parametrize("n", [300, 2 * LEAF, GROUP + 1, 30000])
def test_all_that_is_near_is_left_out(eager_threads, n):
    """The leaves that a search begins with have few rows that count, or none."""
    rng = np.random.default_rng(n)
    rows = photographs(rng, n)
    codes = _core.arrange_codes(encoded(METRIC, rows, 1), 1)
    query = rows[:1].astype(float)
    distances = distances_of(query, rows)[0]
    order = np.argsort(distances, kind="stable")
    for left_out in (1, LEAF // 2, 2 * LEAF - 5, n - 3, n):
        skip = np.zeros(n, np.uint8)
        skip[order[:left_out]] = 1
        kept = order[left_out:]
        for k, threads in ((1, 1), (5, 3), (600, 2)):
            found = _core.nearest_coded(
                METRIC, query, ((rows, codes, skip, None),), k, np.inf, threads
            )
            want = kept[:k]
            np.testing.assert_array_equal(found[1][0][: len(want)], want)
            np.testing.assert_array_equal(found[0][0][: len(want)], distances[want])
            assert (found[1][0][len(want) :] == -1).all()


def test_an_interrupt_is_noticed_where_nothing_is_found():
    """All rows are left out, so that no leaf can be ruled out and none is looked at."""
    rows = np.tile(photographs(np.random.default_rng(0), 1000), (600, 1))
    codes = _core.arrange_codes(encoded(METRIC, rows, 2), 2)
    parts = ((rows, codes, np.ones(len(rows), np.uint8), None),) * 20
    query = rows[:1].astype(float)

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        start = time.perf_counter()
        _core.nearest_coded(METRIC, query, parts, 10, np.inf, 1)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, whole / 10)
        with pytest.raises(KeyboardInterrupt):
            _core.nearest_coded(METRIC, query, parts, 10, np.inf, 1)
        assert time.perf_counter() - start < whole / 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_ties_go_to_the_lower_id(eager_threads, isa):
    """Not to the lower row: an image that has changed keeps its id and has its row elsewhere."""
    rng = np.random.default_rng(3)
    rows = two_kinds(rng, 9000)
    ids = rng.permutation(9000) * 5
    parts = []
    for part in np.split(np.arange(9000), [4000, 4500]):
        part = part[np.argsort(ids[part])]
        codes = _core.arrange_codes(encoded(METRIC, rows[part], 1), 1)
        parts.append((rows[part], codes, None, ids[part]))
    query = rows[:1].astype(float)
    distances = distances_of(query, rows)[0]
    order = np.lexsort((ids, distances))
    for k, threads in ((1, 1), (40, 2), (7000, 2)):
        found = _core.nearest_coded(METRIC, query, tuple(parts), k, np.inf, threads)
        np.testing.assert_array_equal(found[1][0], ids[order[:k]])
        np.testing.assert_array_equal(found[0][0], distances[order[:k]])
    near = _core.within_coded(METRIC, query, tuple(parts), 0.0, 2)
    np.testing.assert_array_equal(near[1], ids[order][: len(near[1])])
    assert len(near[1]) == (distances == 0).sum()


@pytest.mark.parametrize("n", [0, *SIZES, 3 * BLOCK + 5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_arrangement(eager_threads, kind, n):
    """One code of each row, boxes that fit, whatever the number of threads."""
    rows = kind(np.random.default_rng(n), n) if n else np.empty((0, BINS), np.uint32)
    codes = encoded(METRIC, rows, 2)
    made = [_core.arrange_codes(codes, threads) for threads in (1, 2, 5)]
    assert len(made[0]) == _core.arranged_bytes(n)
    assert n == 0 or len(made[0]) != len(in_order(codes))
    for one in made[1:]:
        np.testing.assert_array_equal(made[0], one)
    if n:
        assert wrong_codes("a", rows, made[0], METRIC) == []


def test_leaves_are_small():
    """What is near lies in few leaves: else a search would read everything."""
    n = BLOCK
    codes = _core.arrange_codes(encoded(METRIC, photographs(np.random.default_rng(0), n), 2), 2)
    boxes = codes[n * 22 :].view("<u2").reshape(-1, 8, 2, 16).astype(int)
    assert len(boxes) == 16 + 1
    assert (boxes[:, :, 0] <= boxes[:, :, 1]).all()
    leaves = (boxes[:16, :, 1] - boxes[:16, :, 0]).sum(1)
    all_rows = (boxes[16, :, 1].max(1) - boxes[16, :, 0].min(1)).sum()
    assert np.median(leaves) < 0.35 * all_rows


@pytest.mark.parametrize(
    ("at", "problem"),
    [
        (3, "codes 0 to 999 are not those of their rows"),
        (12000, "codes 0 to 999 are not those of their rows"),
        (18000, "the codes are not one of each row"),
        (22001, "the boxes of the codes are not theirs"),
        (-1, "the boxes of the codes are not theirs"),
    ],
)
def test_damaged_codes_are_named(at, problem):
    rows = photographs(np.random.default_rng(1), 1000)
    codes = _core.arrange_codes(encoded(METRIC, rows, 1), 1)
    codes[at] ^= 1
    assert wrong_codes("a", rows, codes, METRIC) == [f"a: {problem}"]


def replace_codes(folder, codes, version=3):
    path = folder / "histograms-00000001.codes.npy"
    np.save(path, codes)
    with sqlite3.connect(folder / FILE) as db:
        db.execute(
            "UPDATE histograms SET codes_crc = ?, codes_bytes = ?",
            (zlib.crc32(codes.tobytes()), path.stat().st_size),
        )
        db.execute(f"PRAGMA user_version = {version}")


def test_rows_that_are_not_there(tmp_path):
    """A damaged order is an error of the search that comes across it, not a crash."""
    rows = photographs(np.random.default_rng(1), 1000)
    with isf.Index.create(tmp_path / "index", bins=BINS) as index:
        index.add_histograms(rows)
    codes = np.load(tmp_path / "index" / "histograms-00000001.codes.npy")
    codes[18 * 1000 :][: 4 * 1000] = 255
    replace_codes(tmp_path / "index", codes)
    with isf.Index.open(tmp_path / "index") as index:
        for search in (
            lambda: index.search_histograms(rows[3], k=5),
            lambda: index.search_histograms(rows[:3], k=5),
            lambda: index.search_histograms(rows[3], k=None, max_distance=1e3),
        ):
            with pytest.raises(IndexCorruptError, match="histograms-00000001: the codes name rows"):
                search()
        assert index.verify() == ["histograms-00000001: the codes are not one of each row"]


def test_codes_in_the_order_of_rows_are_read(tmp_path):
    """Format 2: what it has is searched; what is added later is arranged."""
    rng = np.random.default_rng(1)
    rows = photographs(rng, 2000)
    with isf.Index.create(tmp_path / "index", bins=BINS) as index:
        index.add_histograms(rows[:1200])
    replace_codes(tmp_path / "index", in_order(encoded(METRIC, rows[:1200], 1)), version=2)
    with isf.Index.open(tmp_path / "index") as index:
        _, order = sorted_all(rows[:9].astype(float), rows[:1200], 7)
        found = index.search_histograms(rows[:9], k=7)
        np.testing.assert_array_equal(found.indices, order)
        assert index.verify() == []
        index.add_histograms(rows[1200:])
        distances, order = sorted_all(rows[:9].astype(float), rows, 7)
        found = index.search_histograms(rows[:9], k=7)
        np.testing.assert_array_equal(found.indices, order)
        np.testing.assert_array_equal(found.distances, distances * 8)  # grey levels of a bin
        assert index.verify() == []
    with sqlite3.connect(tmp_path / "index" / FILE) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 3


def test_arguments_of_the_core():
    codes = encoded(METRIC, two_kinds(np.random.default_rng(0), 10), 1)
    for wrong in (codes[:-1], codes.astype(np.int8), codes[::-1], codes.reshape(2, -1)[:, ::2]):
        with pytest.raises(TypeError, match="codes must be"):
            _core.arrange_codes(wrong, 1)
    rows = np.ones((9, BINS))
    for size in (0, 9 * 18 - 1, 9 * 22, 9 * 22 + 1023, 9 * 26):
        part = (rows, np.zeros(size, np.uint8), None, None)
        with pytest.raises(TypeError, match="codes must be"):
            _core.nearest_coded(METRIC, rows, (part,), 1, 1.0, 1)
    codes = in_order(encoded(METRIC, rows, 1))
    for ids in (np.arange(8), np.arange(9, dtype=np.int32), np.arange(18)[::2]):
        with pytest.raises(TypeError, match="ids must be 9 of int64"):
            _core.nearest_coded(METRIC, rows, ((rows, codes, None, ids),), 1, 1.0, 1)
