"""CDF vectors in other engines give the neighbours of `knn`, as far as float32 can tell them."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest

import imgsim_fast as isf

BINS = [1, 3, 10, 16, 17, 64, 256]
K = 10


def faiss():
    return pytest.importorskip("faiss")


@contextlib.contextmanager
def connection(kind):
    """Open a database in memory with sqlite-vec."""
    sqlite_vec = pytest.importorskip("sqlite_vec")
    if kind == "apsw":
        db = pytest.importorskip("apsw").Connection(":memory:")
    else:
        db = sqlite3.connect(":memory:")
        if not hasattr(db, "enable_load_extension"):
            db.close()
            pytest.skip("this Python's sqlite3 cannot load extensions")
    with contextlib.closing(db):
        db.enable_load_extension(True)
        sqlite_vec.load(db)
        yield db


def by_faiss(vectors, asked):
    engine = faiss()
    index = engine.IndexFlat(vectors.shape[1], engine.METRIC_L1)
    index.add(vectors)
    return index.search(asked, K)


def by_sqlite(kind):
    def search(vectors, asked):
        with connection(kind) as db:
            bins = vectors.shape[1]
            db.execute(f"CREATE VIRTUAL TABLE t USING vec0(cdf float[{bins}] distance_metric=L1)")
            rows = ((number, vector.tobytes()) for number, vector in enumerate(vectors))
            with db:
                db.executemany("INSERT INTO t (rowid, cdf) VALUES (?, ?)", rows)
            ask = "SELECT distance, rowid FROM t WHERE cdf MATCH ? AND k = ? ORDER BY distance"
            return answers(db, ask, asked)

    return search


def by_scan(kind):
    def search(vectors, asked):
        with connection(kind) as db:
            db.execute("CREATE TABLE t (number INTEGER PRIMARY KEY, cdf BLOB)")
            rows = ((number, vector.tobytes()) for number, vector in enumerate(vectors))
            with db:
                db.executemany("INSERT INTO t VALUES (?, ?)", rows)
            ask = (
                "SELECT vec_distance_L1(cdf, ?) AS distance, number FROM t "
                "ORDER BY distance, number LIMIT ?"
            )
            return answers(db, ask, asked)

    return search


def answers(db, ask, asked):
    found = [db.execute(ask, (query.tobytes(), K)).fetchall() for query in asked]
    return np.array(found)[..., 0], np.array(found)[..., 1].astype(np.int64)


ENGINES = {
    "faiss": by_faiss,
    "sqlite-vec, apsw": by_sqlite("apsw"),
    "sqlite-vec, sqlite3": by_sqlite("sqlite3"),
    "vec_distance_L1, apsw": by_scan("apsw"),
    "vec_distance_L1, sqlite3": by_scan("sqlite3"),
}


def check(engine, queries, rows, positions=None):
    """Compare with `knn`: all distances, and the rows wherever float32 can tell them apart."""
    vectors = isf.cdf_vectors(rows, positions, dtype=np.float32)
    asked = isf.cdf_vectors(queries, positions, dtype=np.float32)
    distances, numbers = ENGINES[engine](vectors, asked)
    exact = isf.knn(queries, rows, K + 1, positions=positions)
    near = 1e-5 * max(1.0, exact.distances.max())
    np.testing.assert_allclose(distances, exact.distances[:, :K], rtol=0, atol=near)
    true = np.take_along_axis(isf.cdist(queries, rows, positions=positions), numbers, axis=1)
    np.testing.assert_allclose(distances, true, rtol=0, atol=near)
    gaps = np.diff(exact.distances, axis=1, prepend=-np.inf)
    clear = (gaps[:, :-1] > 2 * near) & (gaps[:, 1:] > 2 * near)
    np.testing.assert_array_equal(numbers[clear], exact.indices[:, :K][clear])
    return clear.mean()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bins", BINS)
def test_neighbours_are_those_of_knn(engine, bins):
    rng = np.random.default_rng(bins)
    rows = rng.gamma(0.3, size=(500, bins)) + 1e-9
    queries = rng.gamma(0.3, size=(6, bins)) + 1e-9
    told_apart = check(engine, queries, rows)
    assert told_apart > 0.9 or bins == 1  # of one bin all distances are 0


@pytest.mark.parametrize("engine", ENGINES)
def test_positions_are_in_the_vectors(engine):
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.random(24))
    rows, queries = rng.gamma(0.3, size=(400, 24)), rng.gamma(0.3, size=(5, 24))
    assert check(engine, queries, rows, positions) > 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_rows_are_all_near(engine):
    """Whichever of equal rows an engine names, its distance is right."""
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 3, (300, 5)) + 1
    assert check(engine, rows[:20], rows) < 0.9


@pytest.mark.parametrize("engine", ["faiss", "sqlite-vec, apsw"])
@pytest.mark.parametrize("bins", [10, 64, 256])
def test_photographs(engine, bins, shared_data):
    with np.load(shared_data / "cifar10_test.npz") as data:
        images = data["images"][:2000]
    rows = isf.histograms(images[..., 1], bins=bins)
    check(engine, rows[::100], rows)


def test_parts_of_faiss_are_merged():
    rng = np.random.default_rng(2)
    rows, queries = rng.gamma(0.3, size=(70, 16)), rng.gamma(0.3, size=(4, 16))
    starts = [0, 3, 20, 21, 40, 55, 66]  # parts of 3, of 1 and of 4 rows: FAISS fills up with -1
    asked = isf.cdf_vectors(queries, dtype=np.float32)
    parts = [
        by_faiss(isf.cdf_vectors(part, dtype=np.float32), asked)
        for part in np.split(rows, starts[1:])
    ]
    assert (parts[2][1][:, 1:] == -1).all()
    found = isf.merge_neighbors(parts, K, offsets=starts)
    exact = isf.knn(queries, rows, K)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.distances, exact.distances, rtol=0, atol=1e-5)
