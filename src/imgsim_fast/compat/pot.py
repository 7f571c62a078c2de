"""POT calls (``import ot``): optimal transport for any costs, and on the line."""

from __future__ import annotations

import warnings
from collections import namedtuple
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.compat import _pot_problem
from imgsim_fast.compat._pot_problem import Costs, Problem
from imgsim_fast.compat._samples import as_sample, as_weights
from imgsim_fast.errors import InvalidInputError

__all__ = ["emd", "emd2", "emd2_1d", "wasserstein_1d"]

PlanTuple = namedtuple("PlanTuple", ["data", "rows", "cols"])


def emd(
    a: ArrayLike,
    b: ArrayLike,
    M: Costs,
    numItermax: float = _pot_problem.DEFAULT_LIMIT,
    log: bool = False,
    center_dual: bool = True,
    numThreads: int | Literal["max"] = 1,
    check_marginals: bool = True,
    potentials_init: object = None,
) -> Any:
    """Optimal transport plan: ``ot.emd``.

    Parameters
    ----------
    a, b : array_like, shapes (n,) and (m,)
        Weights, any real type and strides; an empty list means equal weights with total 1. `b` is
        scaled to the total of `a`.
    M : array_like, shape (n, m), or SciPy sparse matrix or array
        Cost of moving one unit from i to j; infinity forbids the arc. In a sparse matrix what is
        not stored is forbidden, a stored 0 is a cost of 0, and of entries at one place the least
        counts. It is expanded: 8 n m bytes.
    numItermax : int or float
        Below 100000, POT's default: stop after so many pivots, with a ``UserWarning``, a feasible
        plan and ``log["result_code"] == 3``; 0 counts as 1. From 100000 on there is no limit:
        POT's default cuts large problems off, and their plans are wrong.
    log : bool
        Also return a dict.
    center_dual : bool
        Shift the potentials by a constant so that ``a @ u == b @ v``: each side then has half of
        the cost.
    numThreads, potentials_init
        Accepted, without effect.
    check_marginals : bool
        Raise if the totals differ; else `b` is scaled, whatever they are.

    Returns
    -------
    ndarray of shape (n, m), or ``scipy.sparse.coo_array`` for sparse `M`; or (that, dict)
        The plan. It has the type of the first array among `a`, `b` and `M` if that is float32 or
        float16, else float64: also for integers, to which POT rounds the plan. The dict has "cost",
        the float64 potentials "u" and "v" (``u[i] + v[j] <= M[i, j]`` up to rounding, also for
        points without weight), "warning" (None or a text) and "result_code" (1 or 3).

    Raises
    ------
    AssertionError
        Totals differ by 1.5e-6 or more, as in POT. What rounding explains is allowed: 1e-12 of the
        total, 1e-6 of it where `a` or `b` is float32 or float16.
    InvalidInputError, InvalidTypeError
        Shapes that do not fit (POT: ``AssertionError``), NaN costs, weights that are negative, not
        finite or all 0. The message names the element.
    InfeasibleError
        Every plan uses a forbidden arc, where POT warns and returns zeros.
    OutOfRangeError, MemoryError
        As :func:`imgsim_fast.transport`.

    Notes
    -----
    As :func:`imgsim_fast.transport`; weights and costs of any scale. Arrays are NumPy's: what
    NumPy can view is accepted, and NumPy arrays come back.

    Examples
    --------
    >>> from imgsim_fast.compat import pot
    >>> plan, log = pot.emd([3, 1], [1, 3], [[0, 2], [2, 0]], log=True)
    >>> plan
    array([[1., 2.],
           [0., 1.]])
    >>> log["cost"], log["result_code"]
    (4.0, 1)
    """
    del potentials_init
    _pot_problem.as_threads(numThreads)
    problem = Problem(M, numItermax, center_dual, (a, b, M))
    first = _pot_problem.marginal("a", a, problem.shape[0])
    second = _pot_problem.marginal("b", b, problem.shape[1])
    rounding = _pot_problem.rounding(a, b) if check_marginals else None
    second = _pot_problem.balanced(first, second, "b", rounding)
    plan, found = problem.solve(first, second, "b")
    _warn(found["warning"])
    return (plan, found) if log else plan


def emd2(
    a: ArrayLike,
    b: ArrayLike,
    M: Costs,
    processes: int = 1,
    numItermax: float = _pot_problem.DEFAULT_LIMIT,
    log: bool = False,
    return_matrix: bool = False,
    center_dual: bool = True,
    numThreads: int | Literal["max"] = 1,
    check_marginals: bool = True,
    potentials_init: object = None,
) -> Any:
    """Optimal transport cost: ``ot.emd2``.

    Parameters
    ----------
    a : array_like, shape (n,)
        As in :func:`emd`.
    b : array_like, shape (m,) or (m, k)
        As in :func:`emd`; k columns are k problems.
    M, numItermax, center_dual, check_marginals, potentials_init
        As in :func:`emd`.
    processes, numThreads : int; numThreads also "max"
        The larger one is the number of threads for the columns of `b`; "max" means all CPUs. No
        effect for one problem, with `log` or `return_matrix`, or with a limit of pivots.
    log : bool
        Also return a dict.
    return_matrix : bool
        Also return a dict, with the plan as "G".

    Returns
    -------
    float, or a list [float, dict]; of these a list of k where `b` has columns
        The cost and the dict of :func:`emd`.

    Raises
    ------
    AssertionError, InvalidInputError, InvalidTypeError, InfeasibleError, OutOfRangeError
        As :func:`emd`.

    Notes
    -----
    As :func:`imgsim_fast.emd`; columns as :func:`imgsim_fast.cdist`.

    Examples
    --------
    >>> from imgsim_fast.compat import pot
    >>> pot.emd2([0.5, 0.5], [0.25, 0.75], [[0, 2], [2, 0]])
    0.5
    >>> pot.emd2([], [[1, 0.5], [0, 0.5]], [[0, 2], [2, 0]])
    [1.0, 0.0]
    """
    del potentials_init
    threads = max(_validate.as_count("processes", processes), _pot_problem.as_threads(numThreads))
    problem = Problem(M, numItermax, center_dual, (a, b, M))
    first = _pot_problem.marginal("a", a, problem.shape[0])
    rounding = _pot_problem.rounding(a, b) if check_marginals else None
    has_columns = np.ndim(b) == 2
    if has_columns:
        names, rows = _pot_problem.marginals_of_columns("b", b, problem.shape[1])
    else:
        names, rows = ["b"], [_pot_problem.marginal("b", b, problem.shape[1])]
    rows = [
        _pot_problem.balanced(first, row, name, rounding)
        for row, name in zip(rows, names, strict=True)
    ]
    if len(rows) > 1 and not (log or return_matrix or problem.limit):
        together = problem.costs_of_rows(first, rows, threads)
        if together is not None:
            return together
    results: list[Any] = []
    warning = None
    for row, name in zip(rows, names, strict=True):
        if log or return_matrix:
            plan, found = problem.solve(first, row, name)
            results.append([found["cost"], found | {"G": plan} if return_matrix else found])
            warning = warning or found["warning"]
        else:
            cost, stopped = problem.cost(first, row, name)
            results.append(cost)
            warning = warning or stopped
    _warn(warning)
    return results if has_columns else results[0]


def _warn(text: str | None) -> None:
    if text is not None:
        warnings.warn(text, UserWarning, stacklevel=3)


def wasserstein_1d(
    u_values: ArrayLike,
    v_values: ArrayLike,
    u_weights: ArrayLike | None = None,
    v_weights: ArrayLike | None = None,
    p: float = 1,
    require_sort: bool = True,
    return_plans: bool | Literal["coo_tuple"] = False,
) -> Any:
    """Transport cost of weighted samples on the line: ``ot.wasserstein_1d``.

    The traps of the original are kept: the result is **W_p to the power p** (no root), samples lie
    along axis 0 with problems along the others, and weights are *not* normalised: where totals
    differ, the last value of the lighter sample takes the rest.

    Parameters
    ----------
    u_values, v_values : array_like, shapes (n, ...) and (m, ...)
        Values, any order; equal trailing shapes.
    u_weights, v_weights : array_like, shapes (n, ...) or (n,), (m, ...) or (m,), optional
        Default: 1 / n and 1 / m.
    p : float
        At least 1.
    require_sort : bool
        Accepted for compatibility; values are always sorted, which leaves sorted ones as they are.
    return_plans : bool or "coo_tuple"
        Also return a list of plans, one per problem: SciPy COO matrices (True; needs SciPy) or
        tuples (data, rows, cols).

    Returns
    -------
    float or ndarray of shape (...), or (that, plans)

    Examples
    --------
    >>> from imgsim_fast.compat import pot
    >>> pot.wasserstein_1d([0.0, 1.0], [3.0, 4.0], p=2)
    9.0
    """
    p = _validate.as_order(p)
    if return_plans not in (True, False, "coo_tuple"):
        raise InvalidInputError(f"return_plans must be a bool or 'coo_tuple', got {return_plans!r}")
    u, v = _batch("u_values", u_values), _batch("v_values", v_values)
    if u.shape[1:] != v.shape[1:]:
        raise InvalidInputError(
            f"u_values and v_values must have equal trailing shapes, got {u.shape} and {v.shape}"
        )
    shape = u.shape[1:]
    u_w, v_w = _batch_weights("u_weights", u_weights, u), _batch_weights("v_weights", v_weights, v)
    u, v = u.reshape(len(u), -1), v.reshape(len(v), -1)
    costs = np.empty(u.shape[1])
    plans = []
    for k in range(u.shape[1]):
        costs[k], plan = _core.sample_coupling(
            np.ascontiguousarray(u[:, k]), None if u_w is None else _column("u_weights", u_w, k),
            np.ascontiguousarray(v[:, k]), None if v_w is None else _column("v_weights", v_w, k),
            float(p), False, return_plans is not False,
        )  # fmt: skip
        if plan is not None:
            rows, cols, data = plan
            is_tuple = return_plans == "coo_tuple"
            plans.append(PlanTuple(data, rows, cols) if is_tuple else _coo(plan, (len(u), len(v))))
    cost = costs.reshape(shape) if shape else float(costs[0])
    return (cost, plans) if return_plans is not False else cost


def emd2_1d(
    x_a: ArrayLike,
    x_b: ArrayLike,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    metric: str = "sqeuclidean",
    p: float = 1.0,
    dense: bool = True,
    log: bool = False,
) -> Any:
    """Transport cost on the line for a named ground metric: ``ot.emd2_1d``.

    The traps of the original are kept: positions come before weights, the default metric is the
    **squared** distance, and the cost is for the mass as given (the total of `a`).

    Parameters
    ----------
    x_a, x_b : array_like, shapes (n,) or (n, 1), (m,) or (m, 1)
        Positions, any order.
    a, b : array_like, shapes (n,) and (m,), optional
        Weights; None or empty: uniform with total 1. Totals must agree to 6 decimals, else
        ``AssertionError`` as in POT.
    metric : {"sqeuclidean", "minkowski", "cityblock", "euclidean"}
        |x - y| to the power 2, `p`, 1 and 1.
    p : float
        Power for "minkowski".
    dense, log : bool
        `log` also returns ``{"G": plan}``: an array of shape (n, m) if `dense`, else a SciPy COO
        matrix.

    Returns
    -------
    float, or (float, dict)

    Examples
    --------
    >>> from imgsim_fast.compat import pot
    >>> pot.emd2_1d([2.0, 0.0], [0.0, 3.0], [0.5, 0.5], [0.5, 0.5])
    0.5
    """
    if not isinstance(metric, str):
        raise InvalidInputError(f"metric must be a name, got {metric!r}")
    powers = {"sqeuclidean": 2.0, "minkowski": float(p), "cityblock": 1.0, "euclidean": 1.0}
    if metric not in powers:
        raise InvalidInputError(f"metric must be one of {', '.join(powers)}, got {metric!r}")
    if not powers[metric] > 0:
        raise InvalidInputError(f"p must be above 0, got {p}")
    source, target = _line("x_a", x_a), _line("x_b", x_b)
    a_w = None if a is None or np.size(a) == 0 else as_weights("a", a, source.size)
    b_w = None if b is None or np.size(b) == 0 else as_weights("b", b, target.size)
    total_a = 1.0 if a_w is None else float(a_w.sum())
    total_b = 1.0 if b_w is None else float(b_w.sum())
    if not abs(total_a - total_b) < _pot_problem.SUM_TOLERANCE:
        raise AssertionError(f"a and b must have the same sum, got {total_a} and {total_b}")
    cost, plan = _core.sample_coupling(source, a_w, target, b_w, powers[metric], True, log)
    cost *= total_a
    if plan is None:
        return cost
    rows, cols, data = plan
    matrix = _coo((rows, cols, data * total_a), (source.size, target.size), dense)
    return cost, {"G": matrix}


def _batch(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = _validate.as_real(name, values)
    if array.ndim == 0 or array.shape[0] == 0:
        raise InvalidInputError(f"{name} must hold at least one value, got shape {array.shape}")
    if np.isnan(array).any():
        raise InvalidInputError(f"{name} holds NaN")
    return array.astype(np.float64)


def _batch_weights(
    name: str, weights: ArrayLike | None, values: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    if weights is None:
        return None
    array = _batch(name, weights)
    if array.ndim != values.ndim:  # one set of weights for all problems
        array = array[..., None]
    if array.shape[0] != values.shape[0]:
        raise InvalidInputError(
            f"{name} must have one weight for each of the {values.shape[0]} values, got "
            f"{array.shape[0]}"
        )
    try:
        spread = np.broadcast_to(array, values.shape)
    except ValueError as error:
        raise InvalidInputError(
            f"{name} of shape {array.shape} does not fit values of shape {values.shape}"
        ) from error
    return spread.reshape(len(values), -1)


def _column(name: str, weights: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    return as_weights(name, np.ascontiguousarray(weights[:, k]), weights.shape[0])


def _line(name: str, positions: ArrayLike) -> NDArray[np.float64]:
    array = _validate.as_real(name, positions)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    sample = as_sample(name, array)
    if np.isnan(sample).any():
        raise InvalidInputError(f"{name} holds NaN")
    return sample


def _coo(
    plan: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    shape: tuple[int, int],
    dense: bool = False,
) -> Any:
    rows, cols, data = plan
    if dense:
        matrix = np.zeros(shape)
        np.add.at(matrix, (rows, cols), data)
        return matrix
    try:
        from scipy.sparse import coo_matrix
    except ImportError as error:
        raise ImportError("sparse plans need SciPy: pip install scipy") from error
    return coo_matrix((data, (rows, cols)), shape=shape)
