"""Many queries against many rows: most rows are ruled out by codes, and nothing may show it."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError

ROWS = 2500  # more than where codes begin to pay
QUERIES = 20  # from which codes are made


def photographs(rng, n, bins):
    """Mixtures of a few peaks, as grey levels of photographs have."""
    x = np.arange(bins) / bins
    centres, widths = rng.random((n, 3, 1)), 0.01 + 0.2 * rng.random((n, 3, 1))
    weights = rng.dirichlet([1, 1, 1], n)[:, :, None]
    shape = (weights * np.exp(-(((x - centres) / widths) ** 2)) / widths).sum(1)
    return (
        rng.poisson(2000 * shape / shape.sum(1, keepdims=True))
        + np.eye(bins)[rng.integers(bins, size=n)]
    )


def ties(rng, n, bins):
    """Few whole masses, many duplicates, other totals of the same distributions."""
    rows = (rng.random((n, bins)) < 3 / bins) * rng.integers(1, 3, (n, bins))
    rows[np.arange(n), rng.integers(0, min(3, bins), n)] += 1
    rows[rng.integers(0, n, n // 2)] = rows[rng.integers(0, n, n // 2)]
    rows[: n // 5] *= 3
    return rows


def points(rng, n, bins):
    """All mass in one bin: distances are whole numbers, each of them many times."""
    return np.eye(bins)[rng.integers(0, bins, n)]


def equal(rng, n, bins):
    """One distribution, of several totals."""
    return np.ones((n, bins)) * rng.integers(1, 4, (n, 1))


def two_ends(rng, n, bins):
    """Half at one end, half at the other, but for a little."""
    rows = np.zeros((n, bins))
    rows[np.arange(n), rng.integers(0, 2, n) * (bins - 1)] = 1e6
    return rows + (rng.random((n, bins)) < 0.01)


def tiny(rng, n, bins):
    return photographs(rng, n, bins) * 1e-290


KINDS = [photographs, ties, points, equal, two_ends, tiny]


def sorted_all(queries, database, k, **geometry):
    distances = isf.cdist(queries, database, **geometry)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, order, 1), order


def check(queries, database, ks=(1, 10, 39), threads=(1, 2, 7), **geometry):
    """Whether or not knn holds codes to pay, and by codes whether or not they do."""
    queries = np.ascontiguousarray(queries)
    rows, bins = database.shape
    metric = _validate.as_metric(bins, geometry.get("positions"), 1, False)
    codes = None
    if _core.codes_useful(metric):
        codes = np.empty(rows * _core.CODE_BYTES, np.uint8)
        _core.encode_rows(metric, database, codes, 2)
    for k in ks:
        distances, order = sorted_all(queries, database, k, **geometry)
        for number in threads:
            found = [isf.knn(queries, database, k, threads=number, **geometry)]
            if codes is not None:
                parts = ((database, codes, None, None),)
                found.append(_core.nearest_coded(metric, queries, parts, k, np.inf, number)[:2])
            for found_distances, found_rows in found:
                np.testing.assert_array_equal(found_rows, order)
                np.testing.assert_array_equal(found_distances, distances)


@pytest.mark.parametrize("bins", [32, 33, 49, 64, 255, 256, 257])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_as_a_full_sort(eager_threads, isa, kind, bins):
    rng = np.random.default_rng(bins)
    database = np.asarray(kind(rng, ROWS, bins), float)
    queries = np.concatenate([database[:4], kind(rng, QUERIES - 4, bins)])
    check(queries, database, ks=(10,), threads=(2,))
    if bins == 64:
        check(queries, database)


def uneven(bins):
    return np.cumsum(np.random.default_rng(bins).exponential(size=bins))


PLACES = {
    "uneven": uneven,
    "heaped": lambda bins: np.sort(uneven(bins).round()),
    "a far one": lambda bins: np.concatenate([np.arange(bins - 1), [1e9]]),
    "large": lambda bins: uneven(bins) * 1e300,
    "small": lambda bins: uneven(bins) * 1e-300,
    "one place": lambda bins: np.full(bins, 3.0),
    "two places": lambda bins: np.repeat([0.0, 1.0], [5, bins - 5]),
}


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("bins", [40, 256])
def test_places_of_all_sorts(places, bins):
    rng = np.random.default_rng(bins)
    for kind in (photographs, points):
        database = np.asarray(kind(rng, ROWS, bins), float)
        check(
            database[5 : 5 + QUERIES],
            database,
            ks=(7,),
            threads=(2,),
            positions=PLACES[places](bins),
        )


@pytest.mark.parametrize("bins", [32, 100])
@pytest.mark.parametrize("step", [1e-322, 1e-321, 1e-316])
def test_places_so_close_that_distances_have_few_digits(step, bins):
    rng = np.random.default_rng(bins)
    database = rng.dirichlet(np.ones(bins), 6000)
    queries = rng.dirichlet(np.ones(bins), 40)
    check(queries, database, ks=(1, 10), threads=(1,), positions=np.arange(bins) * step)


def test_counts_are_read_in_place(isa):
    rng = np.random.default_rng(1)
    counts = photographs(rng, ROWS, 256).astype(np.uint32)
    found = isf.knn(counts[:20], counts, 5)
    wanted = isf.knn(counts[:20].astype(float), counts.astype(float), 5)
    np.testing.assert_array_equal(found.indices, wanted.indices)
    np.testing.assert_array_equal(found.distances, wanted.distances)
    assert (found.distances[:, 0] == 0).all()


@pytest.mark.parametrize("kind", [photographs, equal])
def test_rows_that_are_left_out(eager_threads, kind):
    rng = np.random.default_rng(2)
    rows = np.ascontiguousarray(kind(rng, ROWS, 64), np.float64)
    skip = (rng.random(ROWS) < 0.4).astype(np.uint8)
    geometry = _validate.as_metric(64, None, 1, False)
    distances = isf.cdist(rows[:QUERIES], rows)
    distances[:, skip != 0] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :12]
    for threads in (1, 3):
        _, found = _core.knn(geometry, rows[:QUERIES], rows, skip, 12, threads)
        np.testing.assert_array_equal(found, order)


def test_a_database_of_several_blocks(eager_threads):
    """Rows that get nearer and nearer, so that no threshold holds for long."""
    n = 30000
    rows = np.zeros((n, 64))
    rows[:, 0], rows[:, 63] = np.arange(n), np.arange(n)[::-1] + 1
    queries = np.tile([[1.0] + [0.0] * 63], (QUERIES, 1))
    found = isf.knn(queries, rows, 20, threads=2)
    assert found.indices.tolist() == [list(range(n - 1, n - 21, -1))] * QUERIES
    check(rows[:: n // QUERIES][:QUERIES], rows, ks=(10,), threads=(1, 2))


@pytest.mark.parametrize("row", [0, 63, 64, ROWS - 1])
@pytest.mark.parametrize(("value", "text"), [(-1.0, "negative"), (np.nan, "NaN"), (0.0, "sum")])
def test_bad_rows_are_named(row, value, text):
    rows = np.ones((ROWS, 40))
    rows[row] = value
    rows[-1] = value
    with pytest.raises(InvalidInputError, match=rf"database\[{row}"):
        isf.knn(np.ones((QUERIES, 40)), rows, 3)
    with pytest.raises(InvalidInputError, match=r"queries\[4"):
        isf.knn(
            np.concatenate([np.ones((4, 40)), rows[-1:], np.ones((4, 40))]), np.ones((ROWS, 40))
        )
