"""Exact nearest neighbours: equal, bit for bit, to sorting all distances by (distance, row)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from tests import reference


def whole_rows(n, cols, seed=0, top=4):
    """Rows of few whole masses: many equal distances, many duplicates."""
    rng = np.random.default_rng((seed, n, cols))
    rows = rng.integers(0, top, (n, cols)).astype(float)
    rows[:, rng.integers(cols)] += 1
    if n > 4:
        rows[rng.integers(0, n, n // 3)] = rows[rng.integers(n)]
    return rows


def check(queries, database, k, **options):
    """Compare with a full sort of `cdist`, for several numbers of threads."""
    asked = {key: value for key, value in options.items() if key != "threads"}
    full = isf.cdist(np.atleast_2d(queries), database, **asked)
    many = [reference.nearest(row.tolist(), k) for row in full]
    for threads in (1, 2, 3, 7, None):
        found = isf.knn(queries, database, k, threads=threads, **asked)
        size = min(k, len(database))
        assert found.distances.shape == found.indices.shape == (*np.shape(queries)[:-1], size)
        assert found.distances.dtype == np.float64
        assert found.indices.dtype == np.int64
        assert np.atleast_2d(found.indices).tolist() == [indices for _, indices in many]
        assert np.atleast_2d(found.distances).tolist() == [distances for distances, _ in many]


GEOMETRIES = {
    "plain": lambda cols: {},
    "arange": lambda cols: {"positions": np.arange(cols)},
    "steps": lambda cols: {"positions": np.arange(cols) * 2.5},
    "positions": lambda cols: {"positions": np.cumsum(np.arange(cols) % 3)},
    "circle": lambda cols: {"circular": True},
    "p=2": lambda cols: {"p": 2},
    "p=inf": lambda cols: {"p": math.inf},
}


@pytest.mark.parametrize("cols", [*range(1, 18), 64, 256])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 37, 300])
def test_equals_a_full_sort(isa, rows, cols):
    database = whole_rows(rows, cols)
    queries = whole_rows(3, cols, seed=1)
    for k in (1, 2, 10, rows, rows + 5):
        check(queries[0], database, k)
    check(queries, database, 4)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("cols", [1, 3, 10, 17, 64])
def test_every_geometry(geometry, cols):
    options = GEOMETRIES[geometry](cols)
    for database in (whole_rows(90, cols), np.random.default_rng(cols).random((90, cols)) + 0.01):
        queries = np.concatenate([database[:2], whole_rows(2, cols, seed=5)])
        check(queries, database, 7, **options)
        check(queries[0], database, 7, **options)


@pytest.mark.parametrize("cols", [2, 10, 16, 17, 64])
def test_many_rows_on_many_threads(isa, cols):
    rng = np.random.default_rng(cols)
    database = rng.random((60000, cols))
    database[rng.integers(0, 60000, 20000)] = database[7]  # thousands of equal distances
    query = database[7] * 2
    distances = isf.cdist([query], database)[0]
    order = np.lexsort((np.arange(60000), distances))
    for k in (1, 10, 5000):
        for threads in (1, 2, 3, 7):
            found = isf.knn(query, database, k, threads=threads)
            np.testing.assert_array_equal(found.indices, order[:k])
            np.testing.assert_array_equal(found.distances, distances[order[:k]])


def test_equal_rows_come_in_their_order():
    database = np.ones((1000, 12))
    for threads in (1, 2, 7):
        found = isf.knn(np.arange(12.0), database, 100, threads=threads)
        assert found.indices.tolist() == list(range(100))
        assert len(set(found.distances.tolist())) == 1
    database[500:] *= 3  # other totals, the same distributions
    assert isf.knn(np.ones(12), database, 1000).indices.tolist() == list(range(1000))


@pytest.mark.parametrize("cols", [3, 10, 16, 17, 64])
def test_quick_and_slow_paths_agree(cols):
    database = np.random.default_rng(cols).random((50, cols))
    query = database[3][::-1].copy()
    quick = isf.knn(query, database, 9)
    for other in (
        isf.knn(query, database, 9, threads=1),
        isf.knn(query, database, 9, positions=np.arange(cols)),
        isf.knn(query, database, 9, positions=np.arange(cols) + 0.0, p=1.0, threads=2),
        isf.knn(query, database, np.int64(9)),
        isf.knn(query.tolist(), database.tolist(), 9),
        isf.knn(query, np.asfortranarray(database), 9),
        isf.knn(query[None], database, 9),
    ):
        assert other.distances.ravel().tolist() == quick.distances.tolist()
        assert other.indices.ravel().tolist() == quick.indices.tolist()


@pytest.mark.parametrize("cols", [1, 10, 17, 256])
@pytest.mark.parametrize("n", [1, 9, 2000])
def test_uint32_counts_are_read_in_place(isa, cols, n):
    counts = whole_rows(n, cols, top=70000).astype(np.uint32)
    counts[0, 0] = 2**32 - 1
    for query in (counts[-1], counts[-1].astype(float), counts[:3]):
        for threads in (1, 2):
            ours = isf.knn(query, counts, 6, threads=threads)
            floats = isf.knn(query, counts.astype(float), 6)
            assert ours.distances.tolist() == floats.distances.tolist()
            assert ours.indices.tolist() == floats.indices.tolist()
    strided = np.repeat(counts, 2, axis=1)[:, ::2]
    assert (
        isf.knn(counts[0], strided, 6).indices.tolist() == isf.knn(counts[0], counts, 6)[1].tolist()
    )
    swapped = counts.astype(">u4")
    assert (
        isf.knn(counts[0], swapped, 6).indices.tolist() == isf.knn(counts[0], counts, 6)[1].tolist()
    )


def test_unaligned_and_read_only_rows():
    rows = np.random.default_rng(0).random((30, 7))
    want = isf.knn(rows[3], rows, 5)
    for dtype in (np.float64, np.uint32):
        clean = (rows * 1000).astype(dtype)
        want = isf.knn(clean[3], clean, 5)
        unaligned = np.zeros(clean.nbytes + 1, np.uint8)[1:].view(dtype).reshape(clean.shape)
        unaligned[:] = clean
        unaligned.setflags(write=False)
        found = isf.knn(unaligned[3], unaligned, 5)
        assert found.distances.tolist() == want.distances.tolist()
        assert found.indices.tolist() == want.indices.tolist()


def test_extreme_totals():
    rows = np.random.default_rng(2).random((40, 9))
    want = isf.knn(rows[0], rows, 40)
    scaled = np.ldexp(rows, np.array([-900, 0, 900, -101])[np.arange(40) % 4][:, None])
    found = isf.knn(rows[0], scaled, 40)
    assert found.indices.tolist() == want.indices.tolist()
    np.testing.assert_allclose(found.distances, want.distances, rtol=1e-13)


def test_shapes_and_names():
    database = whole_rows(5, 4)
    found = isf.knn(database, database, k=2)
    assert found.distances.shape == (5, 2)
    assert isinstance(found, isf.Neighbors)
    distances, indices = found
    assert distances is found.distances
    assert indices is found.indices
    assert isf.knn(database[:0], database, 2).indices.shape == (0, 2)
    assert isf.knn(database[:1], database, 2).indices.shape == (1, 2)
    assert isf.knn(database[0], database).indices.shape == (5,)
    assert isf.knn(database[0], database, k=2**40).indices.shape == (5,)


def test_k_larger_than_any_machine_integer():
    database = whole_rows(5, 4)
    assert sorted(isf.knn(database[0], database, k=2**70).indices.tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [np.float64, np.uint32])
def test_empty_database(dtype):
    empty = np.ones((0, 4), dtype)
    for query in (np.ones(4), [1, 2, 3, 4]):
        found = isf.knn(query, empty, 3)
        assert found.distances.shape == found.indices.shape == (0,)
    assert isf.knn(np.ones((2, 4)), empty, 3).indices.shape == (2, 0)


@given(
    st.integers(1, 20).flatmap(
        lambda cols: st.tuples(
            st.lists(
                st.lists(st.integers(0, 3), min_size=cols, max_size=cols).filter(any),
                min_size=1,
                max_size=30,
            ),
            st.lists(st.integers(0, 3), min_size=cols, max_size=cols).filter(any),
        )
    ),
    st.integers(1, 40),
)
def test_any_small_database(data, k):
    database, query = data
    full = [float(reference.w1_line(query, row)) for row in database]
    distances, indices = reference.nearest(full, k)
    found = isf.knn(np.array(query, float), np.array(database, float), k)
    assert found.indices.tolist() == indices
    assert found.distances.tolist() == distances


# ---- mistakes --------------------------------------------------------------------------------

nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize("n", [8, 20, 3000])
@pytest.mark.parametrize("cols", [3, 16, 17])
@pytest.mark.parametrize(
    ("value", "text"),
    [(nan, "NaN"), (inf, "inf"), (-inf, "-inf"), (-1.5, r"-1\.5"), (-5e-324, "-5e-324")],
)
def test_bad_rows_are_named(isa, n, cols, value, text):
    rows = np.ones((n, cols))
    rows[5, 1] = rows[n - 1, 2] = value
    for threads in (None, 1, 2, 7):  # the first bad row, whatever thread meets it
        with pytest.raises(InvalidInputError, match=rf"^database\[5, 1\] is {text}"):
            isf.knn(np.ones(cols), rows, 2, threads=threads)
        with pytest.raises(InvalidInputError, match=rf"^database\[5, 1\] is {text}"):
            isf.knn(np.ones((2, cols)), rows, 2, threads=threads)
        with pytest.raises(InvalidInputError, match=rf"^queries\[5, 1\] is {text}"):
            isf.knn(rows, np.ones((4, cols)), 2, threads=threads)
    with pytest.raises(InvalidInputError, match=rf"^queries\[1\] is {text}"):
        isf.knn(rows[5], np.ones((4, cols)), 2)


@pytest.mark.parametrize("dtype", [np.float64, np.uint32, np.int16])
@pytest.mark.parametrize("n", [8, 3000])
def test_rows_without_mass_are_named(isa, n, dtype):
    rows = np.ones((n, 5), dtype)
    rows[6] = rows[n - 1] = 0
    for threads in (None, 1, 2, 7):
        with pytest.raises(InvalidInputError, match=r"^database\[6\] has no mass"):
            isf.knn(np.ones(5), rows, 2, threads=threads)
    with pytest.raises(InvalidInputError, match=r"^queries has no mass"):
        isf.knn(rows[6], rows, 2)


GOOD = np.ones((4, 3))

MISTAKES = {
    "k 0": (InvalidInputError, "k .*got 0", lambda: isf.knn(GOOD[0], GOOD, 0)),
    "k -1": (InvalidInputError, "k .*got -1", lambda: isf.knn(GOOD[0], GOOD, -1)),
    "k -2**70": (InvalidInputError, "k .*got -1180591", lambda: isf.knn(GOOD[0], GOOD, -(2**70))),
    "k 2.0": (InvalidTypeError, r"k .*2\.0", lambda: isf.knn(GOOD[0], GOOD, 2.0)),
    "k True": (InvalidTypeError, "k .*True", lambda: isf.knn(GOOD[0], GOOD, True)),
    "k None": (InvalidTypeError, "k .*None", lambda: isf.knn(GOOD[0], GOOD, None)),
    "columns": (InvalidInputError, "queries and database .*2 and 3",
                lambda: isf.knn(np.ones(2), GOOD, 1)),
    "database 1-D": (InvalidInputError, r"database .*\(3,\)", lambda: isf.knn(GOOD[0], GOOD[0], 1)),
    "database 3-D": (InvalidInputError, r"database .*\(1, 4, 3\)",
                     lambda: isf.knn(GOOD[0], GOOD[None], 1)),
    "database without bins": (InvalidInputError, r"database has no bins",
                              lambda: isf.knn(GOOD[0], np.ones((4, 0)), 1)),
    "uint32 without bins": (InvalidInputError, r"database has no bins",
                            lambda: isf.knn(GOOD[0], np.ones((4, 0), np.uint32), 1)),
    "queries 3-D": (InvalidInputError, r"queries .*\(1, 4, 3\)",
                    lambda: isf.knn(GOOD[None], GOOD, 1)),
    "query scalar": (InvalidInputError, "queries .*scalar", lambda: isf.knn(1.0, GOOD, 1)),
    "query empty": (InvalidInputError, "queries has no bins", lambda: isf.knn([], GOOD, 1)),
    "complex": (InvalidTypeError, "database .*complex", lambda: isf.knn(GOOD[0], GOOD + 0j, 1)),
    "text": (InvalidTypeError, "queries .*<U", lambda: isf.knn(["a"] * 3, GOOD, 1)),
    "masked": (InvalidInputError, "database is a masked",
               lambda: isf.knn(GOOD[0], np.ma.masked_less(GOOD, 2), 1)),
    "metric": (InvalidInputError, "metric .*'l1'", lambda: isf.knn(GOOD[0], GOOD, 1, "l1")),
    "threads": (InvalidInputError, "threads .*0", lambda: isf.knn(GOOD[0], GOOD, 1, threads=0)),
    "positions": (InvalidInputError, r"positions .*\(2,\)",
                  lambda: isf.knn(GOOD[0], GOOD, 1, positions=[0, 1])),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()
