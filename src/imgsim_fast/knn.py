"""Exact nearest neighbours among rows of histograms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _threads, _validate
from imgsim_fast.pairwise import (
    Places,
    Rows,
    check_metric,
    is_pair,
    is_signatures,
    prepare,
    refuse_emd_options,
    refuse_wasserstein_options,
)

__all__ = ["Neighbors", "knn"]


class Neighbors(NamedTuple):
    """Nearest rows, nearest first; unpacks as ``distances, indices``.

    Attributes
    ----------
    distances : ndarray of float64, shape (k,) or (queries, k)
    indices : ndarray of int64, the same shape
        Row numbers in the database. Equal distances are ordered by row number.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]


def knn(
    queries: Rows,
    database: Rows,
    k: int = 10,
    metric: str = "wasserstein",
    *,
    cost: ArrayLike | None = None,
    positions: Places | None = None,
    ground: str = "euclidean",
    threshold: float | None = None,
    mass: str | float = "error",
    p: float = 1,
    circular: bool | float = False,
    threads: int | None = None,
) -> Neighbors:
    """Find the k rows of a database nearest to each query, exactly.

    Parameters
    ----------
    queries : array_like, shape (bins,) or (q, bins)
        Masses, as in :func:`wasserstein_1d`; with "emd" also a signature or a list of signatures,
        as in :func:`cdist`.
    database : array_like, shape (n, bins)
        Masses; float64 and uint32 in C order are read in place. Or a list of signatures.
    k : int
        How many; more than n gives n.
    metric, cost, positions, ground, threshold, mass, p, circular, threads
        As in :func:`cdist`.

    Returns
    -------
    Neighbors
        The distances and row numbers of a full sort by (distance, row number), bit for bit, for any
        thread count.

    Notes
    -----
    "wasserstein": O(q n bins) time, memory beyond the inputs about 1 MB per thread. With p = 1 on a
    line, 32 bins or more, 20 queries or more, 512 rows or more (and 8 k) and 40,960 pairs or more
    every row gets a code first, 18 bytes in all: the areas below 16 parts of its CDF, from which
    bounds on the distance follow that no rounding can break. With a query for every 2,048 rows,
    codes are arranged as a k-d tree (60 bytes a row meanwhile), most of which a query need not
    read. Only rows that bounds cannot rule out are looked at. To search the same rows again and
    again, keep their codes: `Index.add_histograms`.
    "emd": every pair is solved.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.knn([4, 0, 0], [[0, 0, 4], [2, 2, 0], [0, 4, 0]], k=2).indices
    array([1, 2])
    """
    if positions is None and circular is False and cost is None and mass == "error":
        quick = _core.knn_plain(queries, database, k, metric, p, threads)
        if quick is not None:
            return tuple.__new__(Neighbors, quick)  # what _make does, in half the time
    if check_metric(metric) == "emd":
        return _by_emd(
            queries, database, k, cost, positions, ground, threshold, mass, p, circular, threads
        )
    refuse_emd_options(cost, ground, threshold, mass)
    number = _validate.as_count("k", k)
    rows = (
        database
        if isinstance(database, np.ndarray)
        and database.dtype == np.uint32
        and database.ndim == 2
        and database.flags.carray
        and database.shape[1] > 0
        else _validate.as_mass_rows("database", database)
    )
    wanted = _validate.as_masses("queries", queries)
    if wanted.ndim > 2:
        _validate.as_mass_rows("queries", wanted)
    _validate.check_same_bins("queries", wanted, "database", rows)
    geometry = _validate.as_metric(rows.shape[1], positions, p, circular)
    number = min(number, rows.shape[0])
    many = wanted.reshape(-1, wanted.shape[-1])
    try:
        distances, indices = _core.knn(
            geometry, many, rows, None, number, _threads.resolve(threads)
        )
    except _core.BadMassError as bad:
        name, masses = (("queries", wanted), ("database", rows))[bad.which]
        _validate.explain_bad_mass(name, masses, bad.row)
    shape = (*wanted.shape[:-1], number)
    return Neighbors(distances.reshape(shape), indices.reshape(shape))


def _by_emd(
    queries: Any,
    database: Any,
    k: int,
    cost: ArrayLike | None,
    positions: Places | None,
    ground: str,
    threshold: float | None,
    mass: str | float,
    p: float,
    circular: bool | float,
    threads: int | None,
) -> Neighbors:
    refuse_wasserstein_options(p, circular)
    number = _validate.as_count("k", k)
    if is_signatures(database):
        single = is_pair(queries) or (isinstance(queries, np.ndarray) and queries.ndim == 2)
    else:
        single = not is_signatures(queries) and np.ndim(queries) == 1
    many = [queries] if single else queries
    pair = prepare(
        many, database, ("queries", "database"), cost, positions, ground, threshold, mass
    )
    number = min(number, len(pair.second))
    shape = (len(pair.first), number)
    distances, indices = np.empty(shape), np.empty(shape, dtype=np.int64)
    pair.raise_if_failed(
        _core.transport_knn(
            pair.first, pair.second, pair.ground, *pair.rule, number, _threads.resolve(threads),
            distances, indices,
        )
    )  # fmt: skip
    return Neighbors(distances[0], indices[0]) if single else Neighbors(distances, indices)
