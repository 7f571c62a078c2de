"""Distances between all pairs of two sets of histograms or signatures."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _ground, _memory, _threads, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["cdist", "pdist"]

Floats = NDArray[np.float64]
Rows = Any  # array_like, or a list of signatures
Places = Any  # array_like, or a tuple of two
METRICS = ("wasserstein", "emd")
_SIGNATURE = "an array with rows (mass, coordinates ...) or a tuple (masses, points)"


def cdist(
    A: Rows,
    B: Rows,
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
    out: Floats | None = None,
) -> Floats:
    """Distance of each row of A to each row of B.

    Parameters
    ----------
    A, B : array_like, shapes (m, bins) and (n, bins)
        Masses, as in :func:`wasserstein_1d`. With "emd" also lists of signatures, each with its own
        support: arrays with rows (mass, coordinates ...), or tuples (masses, points).
    metric : {"wasserstein", "emd"}
        "wasserstein": W_p on the line or circle, each row normalised. "emd": :func:`emd`.
    cost : array_like, shape (bins of A, bins of B), optional
        For "emd": one matrix for all pairs.
    positions : array_like, optional
        Where the bins are: shape (bins,), sorted, for "wasserstein"; as in :func:`emd` for "emd".
    ground, threshold, mass
        For "emd": what :func:`emd` calls `metric`, `threshold` and `mass`.
    p, circular
        For "wasserstein": as in :func:`wasserstein_1d`.
    threads : int, optional
        At most so many threads; default: ``IMGSIM_FAST_NUM_THREADS``, else the usable CPUs.
    out : ndarray of float64, shape (m, n), C-contiguous, optional
        Where to put the result.

    Returns
    -------
    ndarray of float64, shape (m, n)
        ``out[i, j]`` has the bits of ``wasserstein_1d(A[i], B[j])``; for any metric it does not
        depend on the thread count.

    Raises
    ------
    InvalidInputError, InvalidTypeError, UnbalancedMassError, InfeasibleError, OutOfRangeError
        As :func:`wasserstein_1d` and :func:`emd`; the message names the rows.

    Notes
    -----
    "wasserstein": O(m n bins). "emd": one transport problem per pair, see :func:`emd`. Ctrl-C is
    noticed within some 20 ms.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.cdist([[2, 0, 0], [0, 2, 0]], [[0, 0, 2]], "emd", mass="normalize")
    array([[2.],
           [1.]])
    """
    if check_metric(metric) == "emd":
        refuse_wasserstein_options(p, circular)
        pair = prepare(A, B, ("A", "B"), cost, positions, ground, threshold, mass)
        result = _validate.as_out(out, (len(pair.first), len(pair.second)))
        _refuse_overlap(result, pair)
        pair.raise_if_failed(
            _core.transport_cdist(
                pair.first, pair.second, pair.ground, *pair.rule, _threads.resolve(threads), result
            )
        )
        return result
    refuse_emd_options(cost, ground, threshold, mass)
    first = _validate.as_mass_rows("A", A)
    second = _validate.as_mass_rows("B", B)
    _validate.check_same_bins("A", first, "B", second)
    geometry = _validate.as_metric(first.shape[1], positions, p, circular)
    result = _validate.as_out(out, (first.shape[0], second.shape[0]))
    try:
        _core.cdist(geometry, first, second, result, _threads.resolve(threads))
    except _core.BadMassError as bad:
        name, masses = (("A", first), ("B", second))[bad.which]
        _validate.explain_bad_mass(name, masses, bad.row)
    return result


def pdist(
    A: Rows,
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
) -> Floats:
    """Distances between all pairs of rows, condensed like ``scipy.spatial.distance.pdist``.

    Parameters
    ----------
    A : array_like, shape (n, bins)
        Masses, or with "emd" signatures, as in :func:`cdist`.
    metric, cost, positions, ground, threshold, mass, p, circular, threads
        As in :func:`cdist`; an asymmetric `cost` is from the lower row to the higher.

    Returns
    -------
    ndarray of float64, shape (n (n - 1) / 2,)
        Pairs (0, 1), (0, 2), ..., (1, 2), ...; ``scipy.spatial.distance.squareform`` unfolds it.
    """
    if check_metric(metric) == "emd":
        refuse_wasserstein_options(p, circular)
        pair = prepare(A, A, ("A", "A"), cost, positions, ground, threshold, mass)
        n = len(pair.first)
        result = np.empty(n * (n - 1) // 2 if n else 0)
        pair.raise_if_failed(
            _core.transport_pdist(
                pair.first, pair.ground, *pair.rule, _threads.resolve(threads), result
            )
        )
        return result
    refuse_emd_options(cost, ground, threshold, mass)
    rows = _validate.as_mass_rows("A", A)
    geometry = _validate.as_metric(rows.shape[1], positions, p, circular)
    try:
        return _core.pdist(geometry, rows, _threads.resolve(threads))
    except _core.BadMassError as bad:
        _validate.explain_bad_mass("A", rows, bad.row)


def check_metric(metric: object) -> str:
    """Return the metric if it is one that batches know."""
    if not isinstance(metric, str) or metric not in METRICS:
        raise InvalidInputError(
            f"metric must be 'wasserstein' or 'emd', got {metric!r} (ground= names the distance "
            "between positions)"
        )
    return metric


def refuse_emd_options(cost: object, ground: object, threshold: object, mass: object) -> None:
    """Raise for options that metric="wasserstein" would ignore."""
    for name, value, default in (
        ("cost", cost, None), ("ground", ground, "euclidean"), ("threshold", threshold, None),
        ("mass", mass, "error"),
    ):  # fmt: skip
        if value is not default and not (isinstance(value, str) and value == default):
            raise InvalidInputError(f"{name} is for metric='emd' only")


def refuse_wasserstein_options(p: object, circular: object) -> None:
    """Raise for options that metric="emd" would ignore."""
    if not _validate.is_one(p):
        raise InvalidInputError(f"p is for metric='wasserstein' only, got {p!r}")
    if circular is not False:
        raise InvalidInputError(f"circular is for metric='wasserstein' only, got {circular!r}")


def _refuse_overlap(out: Floats, pair: EmdPairs) -> None:
    """Raise if writing results would change arguments that are still to be read."""
    inputs = [pair.ground.matrix, pair.ground.x, pair.ground.y]
    for items in (pair.first, pair.second):
        for part in items.kept:
            inputs += part if isinstance(part, list) else [part]
    if any(array is not None and np.may_share_memory(out, array) for array in inputs):
        raise InvalidInputError("out shares memory with another argument")


# ---- metric="emd" ----------------------------------------------------------------------------


class EmdPairs(NamedTuple):
    """Two checked sets of signatures and what their distances are."""

    first: _core.Signatures
    second: _core.Signatures
    ground: _core.Ground
    rule: _ground.Rule
    names: tuple[str, str]

    def raise_if_failed(self, outcome: tuple[int, int, int, int]) -> None:
        """Raise for the first pair without a distance."""
        status, i, j, blocked = outcome
        if status == 0:
            return
        if _core.STATUS[status] == "bad cost" and self.ground.matrix is not None:
            _ground.explain_bad_cost(self.ground.matrix)
        masses = (_masses_of(self.first, i), _masses_of(self.second, j))
        names = (f"{self.names[0]}[{i}]", f"{self.names[1]}[{j}]")
        _ground.fail(status, blocked, names, masses, self.ground)


def prepare(
    A: Any,
    B: Any,
    names: tuple[str, str],
    cost: ArrayLike | None,
    positions: Places | None,
    ground: object,
    threshold: float | None,
    mass: str | float,
) -> EmdPairs:
    """Check everything that a batch of Earth Mover's Distances takes."""
    rule = _ground.as_rule(mass)
    if is_signatures(A) or is_signatures(B):
        if cost is not None or positions is not None:
            raise InvalidInputError(
                "signatures bring their own supports: cost and positions are for rows of masses"
            )
        number = _ground.as_metric_number("ground", ground)
        cut = _ground.as_threshold(threshold)
        first, dims = _as_signatures(names[0], A, None)
        second = first if B is A else _as_signatures(names[1], B, dims)[0]
        place = _core.Ground(number, None, None, None, dims, cut, False)
        largest = (_most_points(first), _most_points(second))
        _memory.check(place.bytes(*largest), f"transport of {largest[0]} x {largest[1]} points")
        return EmdPairs(first, second, place, rule, names)
    rows_a = _validate.as_mass_rows(names[0], A)
    rows_b = rows_a if B is A else _validate.as_mass_rows(names[1], B)
    shape = (rows_a.shape[1], rows_b.shape[1])
    place = _ground.as_ground(shape, cost, positions, ground, threshold, "ground")
    first = _as_rows(names[0], rows_a)
    second = first if B is A else _as_rows(names[1], rows_b)
    _memory.check(place.bytes(*shape), f"transport of {shape[0]} x {shape[1]} bins")
    pairs = len(first) * len(second)
    return EmdPairs(first, second, _shared_matrix(place, shape, pairs), rule, names)


# Distances between bins are computed once for all pairs up to so many (32 MB).
_MOST_DISTANCES = 1 << 22


def _shared_matrix(ground: _core.Ground, shape: tuple[int, int], pairs: int) -> _core.Ground:
    """Compute distances once, and find out whether a matrix is a metric, where that pays."""
    if ground.matrix is None:
        if pairs < 4 or shape[0] * shape[1] > _MOST_DISTANCES:
            return ground
        matrix = ground.as_matrix()
        if not np.isfinite(matrix).all():
            return ground
        return _core.Ground(0, matrix, None, None, 0, np.inf, ground.is_metric)
    matrix = ground.cut_matrix()
    metric = shape[0] == shape[1] and pairs >= shape[0] and _core.is_metric(matrix)
    return _core.Ground(0, matrix, None, None, 0, np.inf, metric)


def is_signatures(items: object) -> bool:
    """Tell lists of signatures from rows of masses."""
    if not isinstance(items, (list, tuple)) or not items:
        return False
    first = items[0]
    return is_pair(first) or (not isinstance(first, tuple) and _ndim(first) >= 2)


def is_pair(item: object) -> bool:
    """Tell a tuple (masses, points)."""
    return isinstance(item, tuple) and len(item) == 2 and _ndim(item[0]) == 1


def _ndim(item: Any) -> int:
    """Return the number of dimensions; 2 for lists of lists of different lengths."""
    try:
        return np.ndim(item)
    except ValueError:
        return 2


def _as_rows(name: str, rows: Floats) -> _core.Signatures:
    items = _core.Signatures(rows, None)
    bad = items.first_bad()
    if bad >= 0:
        _validate.explain_bad_mass(name, rows, bad)
    return items


def _as_signatures(name: str, items: Any, dims: int | None) -> tuple[_core.Signatures, int]:
    if not is_signatures(items):
        raise InvalidTypeError(f"{name} must be a list of signatures like the other argument")
    all_masses, all_points = [], []
    for k, item in enumerate(items):
        where = f"{name}[{k}]"
        if isinstance(item, tuple):
            if len(item) != 2:
                raise InvalidInputError(
                    f"{where} is no signature ({_SIGNATURE}), got {len(item)} items"
                )
            masses = _ground.as_vector(f"{where}[0]", item[0])
            if _ndim(item[1]) != 2:
                raise InvalidInputError(
                    f"{where}[1] must have shape ({masses.size}, dims), one point per row, got "
                    f"{np.shape(item[1])}"
                )
            points = _ground.as_points(f"{where}[1]", item[1], masses.size)
        else:
            try:
                array = _validate.as_real(where, item)
            except InvalidTypeError as error:
                raise InvalidTypeError(
                    f"{where} is no signature ({_SIGNATURE}): {error}"
                ) from error
            if array.ndim != 2 or array.shape[1] < 2:
                raise InvalidInputError(
                    f"{where} is no signature ({_SIGNATURE}), got shape {array.shape}"
                )
            masses = _ground.as_vector(f"{where}[:, 0]", np.ascontiguousarray(array[:, 0]))
            points = _ground.as_points(f"{where}[:, 1:]", array[:, 1:], masses.size)
        dims = points.shape[1] if dims is None else dims
        if points.shape[1] != dims:
            raise InvalidInputError(
                f"{where} has points of {points.shape[1]} dimensions, others have {dims}"
            )
        all_masses.append(masses)
        all_points.append(points)
    return _core.Signatures(all_masses, all_points), dims or 0


def _most_points(items: _core.Signatures) -> int:
    masses, _ = items.kept
    return max((len(one) for one in masses), default=0)


def _masses_of(items: _core.Signatures, k: int) -> Floats:
    masses, _ = items.kept
    return np.asarray(masses[k])
