"""What the drop-ins share: weighted samples of values, checked."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _validate
from imgsim_fast.errors import InvalidInputError

Floats = NDArray[np.float64]


def as_sample(name: str, values: ArrayLike) -> Floats:
    """Return a float64 vector of at least one value."""
    array = _validate.as_real(name, values)
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(
            f"{name} must be a vector of at least one value, got shape {array.shape}"
        )
    return np.require(array, np.float64, ["C", "A"])


def as_weights(name: str, weights: ArrayLike, size: int) -> Floats:
    """Return float64 weights, one per value: finite, not negative, with a total above 0."""
    array = as_sample(name, weights)
    if array.size != size:
        raise InvalidInputError(
            f"{name} must have one weight for each of the {size} values, got {array.size}"
        )
    bad = np.flatnonzero(~(array >= 0) | np.isinf(array))
    if bad.size:
        raise InvalidInputError(
            f"{name}[{bad[0]}] is {array[bad[0]]}: weights must be finite and not negative"
        )
    with np.errstate(over="ignore"):
        total = array.sum()
    if not 0 < total < np.inf:
        raise InvalidInputError(f"the total of {name} must be above 0 and finite, got {total}")
    return array
