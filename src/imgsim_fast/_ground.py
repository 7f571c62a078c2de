"""Anything a caller may say about ground distances and unequal masses -> what ``_core`` needs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import (
    InfeasibleError,
    InvalidInputError,
    InvalidTypeError,
    OutOfRangeError,
    UnbalancedMassError,
)

Floats = NDArray[np.float64]

_RULES = ("error", "normalize", "partial", "opencv")
_GROUNDS = {name: number for number, name in enumerate(_core.GROUNDS) if number > 0}


class Rule(NamedTuple):
    """What to do with totals that differ: a number of ``_core.RULES``, and the penalty."""

    number: int
    penalty: float


def as_rule(mass: str | float) -> Rule:
    """Return the rule that ``mass=`` names, a penalty being a number."""
    if isinstance(mass, str):
        if mass not in _RULES:
            raise InvalidInputError(
                f"mass must be one of {', '.join(map(repr, _RULES))} or a penalty, got {mass!r}"
            )
        return Rule(_core.RULES.index(mass), 0.0)
    try:
        if isinstance(mass, (bool, np.bool_, bytes)):
            raise TypeError
        penalty = float(mass)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"mass must be a name or a number, got {mass!r}") from error
    if not (math.isfinite(penalty) and penalty >= 0):
        raise InvalidInputError(f"mass as a penalty must be finite and not negative, got {mass!r}")
    return Rule(_core.RULES.index("penalty"), penalty)


def as_metric_number(name: str, metric: object) -> int:
    """Return the number of a ground metric by SciPy's name."""
    if not isinstance(metric, str) or metric not in _GROUNDS:
        raise InvalidInputError(
            f"{name} must be one of {', '.join(map(repr, _GROUNDS))}, got {metric!r}"
        )
    return _GROUNDS[metric]


def as_threshold(threshold: float | None) -> float:
    """Return where distances are cut; infinity for None."""
    if threshold is None:
        return math.inf
    try:
        if isinstance(threshold, (bool, np.bool_, str, bytes)):
            raise TypeError
        value = float(threshold)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"threshold must be a number, got {threshold!r}") from error
    if not value > 0:
        raise InvalidInputError(f"threshold must be above 0, got {threshold!r}")
    return value


def as_points(name: str, points: ArrayLike, size: int) -> Floats:
    """Return finite float64 points of shape (size, dims); a vector is points on the line."""
    array = _validate.as_real(name, points)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != size or array.shape[1] == 0:
        raise InvalidInputError(
            f"{name} must have shape ({size}, dims), one point per mass, got {np.shape(points)}"
        )
    array = _validate.as_floats(name, array)
    if not np.isfinite(array).all():
        row, k = (int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidInputError(f"{name}[{row}, {k}] is {array[row, k]}: points must be finite")
    return array


def as_cost(cost: ArrayLike, shape: tuple[int, int]) -> Floats:
    """Return a float64 matrix of costs; its values are checked where they are used."""
    array = _validate.as_real("cost", cost)
    if array.shape != shape:
        raise InvalidInputError(
            f"cost must have shape {shape}, one row per source and one column per target, got "
            f"{array.shape}"
        )
    return _validate.as_floats("cost", array)


def as_ground(
    shape: tuple[int, int],
    cost: ArrayLike | None,
    positions: ArrayLike | tuple[ArrayLike, ArrayLike] | None,
    metric: object,
    threshold: float | None,
    name: str = "metric",
) -> _core.Ground:
    """Prepare the ground distance between shape[0] sources and shape[1] targets."""
    number = as_metric_number(name, metric)
    cut = as_threshold(threshold)
    if cost is not None:
        if positions is not None:
            raise InvalidInputError("cost and positions exclude each other: give one of them")
        if metric != "euclidean":
            raise InvalidInputError(f"{name} is for positions, got {metric!r} beside cost")
        return _core.Ground(0, as_cost(cost, shape), None, None, 0, cut, False)
    if isinstance(positions, tuple):
        if len(positions) != 2:
            raise InvalidInputError(
                f"positions as a tuple must be (sources, targets), got {len(positions)} items; "
                "one point per row: np.column_stack(positions)"
            )
        if shape[0] == shape[1] and np.ndim(positions[0]) == np.ndim(positions[1]) == 1:
            raise InvalidInputError(
                "positions as a tuple of two vectors could be (sources, targets) or (first, second "
                "coordinates): pass np.column_stack(positions) for shared points, or two arrays of "
                f"shape ({shape[0]}, 1) for sources and targets on a line"
            )
        x = as_points("positions[0]", positions[0], shape[0])
        y = as_points("positions[1]", positions[1], shape[1])
        if x.shape[1] != y.shape[1]:
            raise InvalidInputError(
                "positions must have the same number of dimensions, got shapes "
                f"{x.shape} and {y.shape}"
            )
        return _core.Ground(number, None, x, y, x.shape[1], cut, False)
    if shape[0] != shape[1]:
        raise InvalidInputError(
            f"a and b must have the same number of bins to share positions, got {shape[0]} and "
            f"{shape[1]}; positions=(x, y) gives each its own"
        )
    places = np.arange(shape[0], dtype=np.float64)[:, None] if positions is None else positions
    x = as_points("positions", places, shape[0])
    return _core.Ground(number, None, x, None, x.shape[1], cut, False)


def as_vector(name: str, masses: ArrayLike) -> Floats:
    """Return a checked float64 vector of masses."""
    array = _validate.as_masses(name, masses)
    if array.ndim != 1:
        raise InvalidInputError(
            f"{name} must be a vector of masses, got shape {array.shape}; for mass on a grid: "
            f"{name}.ravel(), positions=np.indices(shape).reshape({array.ndim}, -1).T"
        )
    if not _core.is_mass(array):
        _validate.explain_bad_mass(name, array, 0)
    return array


def fail(
    status: int,
    blocked: int,
    names: tuple[str, str],
    masses: tuple[Floats, Floats],
    ground: _core.Ground,
) -> NoReturn:
    """Raise what a status that is neither optimal nor stopped means."""
    word = _core.STATUS[status]
    first, second = names
    if word == "unbalanced":
        with np.errstate(over="ignore"):
            totals = [float(mass.sum()) for mass in masses]
        raise UnbalancedMassError(
            f"{first} and {second} must have equal totals, got {totals[0]!r} and {totals[1]!r}; "
            "mass='normalize' compares shapes, 'partial', 'opencv' or a penalty allow for a rest"
        )
    if word == "infeasible":
        where = f"{first}[{blocked}]" if blocked >= 0 else first
        raise InfeasibleError(
            f"no plan without infinite costs: the mass of {where} cannot all be placed"
        )
    if word == "bad cost" and ground.matrix is not None:
        explain_bad_cost(ground.matrix)
    if word == "out of range":
        raise OutOfRangeError(
            f"the distance of {first} and {second} is beyond the range of float64, or the costs "
            "are of too different size: scale them or the masses"
        )
    if word == "stopped":
        raise OutOfRangeError(
            f"no end with {first} and {second}: the costs are of too different size, or arrays "
            "were changed during the call"
        )
    raise InvalidInputError(
        f"{first} and {second} are too large: {masses[0].size} and {masses[1].size} points"
    )


def explain_bad_cost(matrix: NDArray[Any]) -> NoReturn:
    """Raise the error for a matrix with a NaN or -infinity, which the core has refused."""
    bad = np.argwhere(~(matrix > -np.inf))
    if not bad.size:
        raise InvalidInputError("cost has changed during the call: a value was NaN or -inf")
    row, column = (int(i) for i in bad[0])
    value = "NaN" if np.isnan(matrix[row, column]) else "-inf"
    raise InvalidInputError(
        f"cost[{row}, {column}] is {value}: costs must be numbers; +inf forbids an arc"
    )
