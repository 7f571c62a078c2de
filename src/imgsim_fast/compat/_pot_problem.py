"""What ``compat.pot.emd`` and ``emd2`` share: arguments as POT takes them -> ``_core``."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _ground, _memory, _threads, _validate
from imgsim_fast.errors import (
    InfeasibleError,
    InvalidInputError,
    InvalidTypeError,
    OutOfRangeError,
)

Floats = NDArray[np.float64]
Costs = Any  # array_like, or a SciPy sparse matrix or array
Log = dict[str, Any]

# POT's numbers and words, which callers compare.
DEFAULT_LIMIT = 100000
SUM_TOLERANCE = 1.5e-6  # numpy.testing's rule for 6 decimals
_OPTIMAL, _STOPPED = 1, 3
_STOPPED_TEXT = "numItermax reached before optimality. Try to increase numItermax."


class Problem:
    """The costs of a call, and how its plans are to be found and shown."""

    def __init__(
        self, M: Costs, numItermax: object, center_dual: bool, arrays: tuple[object, ...]
    ) -> None:
        self.sparse = hasattr(M, "tocoo")
        self.matrix = _expand(M) if self.sparse else _as_costs(M)
        _check_values(self.matrix)
        self.shape: tuple[int, int] = self.matrix.shape
        self.limit = _as_limit(numItermax)
        self._center_dual = center_dual
        self._dtype = _plan_dtype(arrays)
        self._ground = _core.Ground(0, self.matrix, None, None, 0, np.inf, False)
        n, m = self.shape
        _memory.check(self._ground.bytes(n, m), f"transport of {n} x {m} points")

    def cost(self, first: Floats, second: Floats, name: str) -> tuple[float, str | None]:
        """Return the least cost and a warning or None."""
        word, distance, _ = self._run(first, second, name, False)
        return distance, _STOPPED_TEXT if word == "stopped" else None

    def solve(self, first: Floats, second: Floats, name: str) -> tuple[Any, Log]:
        """Return the plan and POT's log."""
        word, distance, more = self._run(first, second, name, True)
        u, v = more["potentials"]
        if self._center_dual:
            shift = (second @ v - first @ u) / (first.sum() + second.sum())
            u, v = u + shift, v - shift
        stopped = word == "stopped"
        return self._plan(*more["flow"]), {
            "cost": distance,
            "u": u,
            "v": v,
            "warning": _STOPPED_TEXT if stopped else None,
            "result_code": _STOPPED if stopped else _OPTIMAL,
        }

    def costs_of_rows(self, first: Floats, rows: list[Floats], threads: int) -> list[float] | None:
        """Solve all; None where a problem has no solution, which one alone says better."""
        n, m = self.shape
        # A look at all triangles takes as long as a few problems; mass that stays saves more.
        is_metric = n == m and len(rows) >= n and _core.is_metric(self.matrix)
        ground = _core.Ground(0, self.matrix, None, None, 0, np.inf, is_metric)
        out = np.empty((1, len(rows)))
        sources = _core.Signatures(first[None, :], None)
        targets = _core.Signatures(np.array(rows), None)
        status = _core.transport_cdist(sources, targets, ground, 0, 0.0, threads, out)[0]
        return [float(x) for x in out[0]] if status == 0 else None

    def _plan(self, sources: NDArray[Any], targets: NDArray[Any], amounts: Floats) -> Any:
        if self.sparse:
            from scipy.sparse import coo_array

            values = amounts.astype(self._dtype)
            return coo_array((values, (sources, targets)), shape=self.shape)
        plan = np.zeros(self.shape, dtype=self._dtype)
        plan[sources, targets] = amounts
        return plan

    def _run(
        self, first: Floats, second: Floats, name: str, plan: bool
    ) -> tuple[str, float, dict[str, Any]]:
        status, distance, more = _core.transport(
            first, second, self._ground, 0, 0.0, self.limit, plan, False
        )
        word = _core.STATUS[status]
        if word not in ("optimal", "stopped"):
            masses = (first, second)
            _ground.fail(status, more["blocked_source"], ("a", name), masses, self._ground)
        if np.isinf(distance):  # the plan so far uses forbidden arcs
            raise InfeasibleError(
                f"numItermax={self.limit} was reached before a plan without forbidden arcs was "
                "found"
            )
        return word, distance, more


# ---- costs -----------------------------------------------------------------------------------


def _as_costs(M: Costs) -> Floats:
    array = _validate.as_real("M", M)
    _check_matrix(array.shape)
    return _validate.as_floats("M", array)


def _expand(M: Costs) -> Floats:
    """Return a sparse matrix with infinity where nothing is stored."""
    shape = M.shape
    _check_matrix(shape)
    stored = M.tocoo()
    values = _validate.as_real("M", stored.data)
    _memory.check(8 * shape[0] * shape[1], f"costs of {shape[0]} x {shape[1]} points")
    matrix = np.full(shape, np.inf)
    np.minimum.at(matrix, (stored.row, stored.col), values)
    return matrix


def _check_matrix(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or 0 in shape:
        raise InvalidInputError(f"M must be a matrix of costs, got shape {shape}")


def _check_values(matrix: Floats) -> None:
    """Refuse NaN and -infinity also where there is no weight: potentials are for all points."""
    with np.errstate(invalid="ignore"):
        least = matrix.min()  # NaN if there is one
    if least > -np.inf:
        return
    i, j = (int(k) for k in np.argwhere(~(matrix > -np.inf))[0])
    value = "NaN" if np.isnan(matrix[i, j]) else "-inf"
    raise InvalidInputError(f"M[{i}, {j}] is {value}: costs must be numbers; +inf forbids an arc")


# ---- weights ---------------------------------------------------------------------------------


def marginal(name: str, weights: ArrayLike, size: int) -> Floats:
    """Return checked weights; equal ones for an empty list."""
    if np.size(weights) == 0:
        return np.full(size, 1 / size)
    masses = _ground.as_vector(name, weights)
    _check_size(name, masses.size, size)
    return masses


def marginals_of_columns(
    name: str, weights: ArrayLike, size: int
) -> tuple[list[str], list[Floats]]:
    """Return the names and the checked weights of the columns of a matrix."""
    columns = _validate.as_real(name, weights).T
    _check_size(name, columns.shape[1], size)
    names = [f"{name}[:, {k}]" for k in range(len(columns))]
    return names, [
        _ground.as_vector(column, masses) for column, masses in zip(names, columns, strict=True)
    ]


def _check_size(name: str, got: int, size: int) -> None:
    if got != size:
        side = "row" if name == "a" else "column"
        raise InvalidInputError(
            f"{name} must have {size} weights, one for each {side} of M, got {got}"
        )


def balanced(first: Floats, second: Floats, name: str, rounding: float | None) -> Floats:
    """Return `second` scaled to the total of `first`.

    Raises ``AssertionError`` like POT where totals differ by more than its tolerance and by more
    than `rounding`, a part of the total; None allows for any.
    """
    with np.errstate(over="ignore"):
        total_a, total_b = float(first.sum()), float(second.sum())
    largest = max(total_a, total_b)
    if not largest < np.inf:
        raise OutOfRangeError(f"the totals of a and {name} are beyond the range of float64")
    if total_a == total_b:
        return second
    if rounding is not None and abs(total_a - total_b) >= max(SUM_TOLERANCE, rounding * largest):
        raise AssertionError(
            f"a and {name} must have the same sum, got {total_a} and {total_b}; "
            "check_marginals=False scales"
        )
    with np.errstate(over="ignore", under="ignore"):
        scaled = second * (total_a / total_b)
    if not _core.is_mass(scaled):
        raise OutOfRangeError(
            f"{name} cannot be scaled from its total {total_b} to that of a, {total_a}"
        )
    return scaled


def rounding(*arrays: object) -> float:
    """Return what rounding may do to totals, relatively."""
    return 1e-6 if any(_short_float(array) is not None for array in arrays) else 1e-12


# ---- other arguments -------------------------------------------------------------------------


def _as_limit(numItermax: object) -> int:
    """Return the limit of pivots; 0 for none."""
    if isinstance(numItermax, bool) or not isinstance(numItermax, numbers.Real):
        raise InvalidTypeError(f"numItermax must be a number, got {numItermax!r}")
    number = float(numItermax)
    if not number >= 0:
        raise InvalidInputError(f"numItermax must not be negative, got {numItermax!r}")
    return 0 if number >= DEFAULT_LIMIT else max(int(number), 1)


def as_threads(numThreads: Any) -> int:
    """Return a number of threads; "max" means all that may be used."""
    if isinstance(numThreads, str):
        if numThreads != "max":
            raise InvalidInputError(
                f"numThreads must be 'max' or a positive integer, got {numThreads!r}"
            )
        return _threads.resolve(None)
    return _validate.as_count("numThreads", numThreads)


def _plan_dtype(arrays: tuple[object, ...]) -> np.dtype[Any]:
    """Return the type of the first array that is no list, if that is a short float."""
    for array in arrays:
        if 0 in getattr(array, "shape", (0,)):  # a list, or nothing
            continue
        short = _short_float(array)
        return np.dtype(np.float64) if short is None else short
    return np.dtype(np.float64)


def _short_float(array: object) -> np.dtype[Any] | None:
    dtype = getattr(array, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize < 8:
        return dtype
    return None
