"""POT calls (``import ot``): one-dimensional optimal transport."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.compat._samples import as_sample, as_weights
from imgsim_fast.errors import InvalidInputError

__all__ = ["emd2_1d", "wasserstein_1d"]

PlanTuple = namedtuple("PlanTuple", ["data", "rows", "cols"])


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
    if not abs(total_a - total_b) < 1.5e-6:  # numpy.testing's rule for 6 decimals
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
