"""Anything array-like -> what ``_core`` needs; every message about a bad argument lives here."""

from __future__ import annotations

import math
import operator
import os
import reprlib
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _memory
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

Array = NDArray[Any]

# Whole numbers up to here are exact in float64.
_EXACT = 2**53


def refuse_masked(name: str, value: object) -> None:
    """Raise for a masked array with masked elements, which NumPy would quietly count."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmask(value).any():
        raise InvalidInputError(
            f"{name} is a masked array with masked elements; fill or compress it first"
        )


def _as_array(name: str, value: ArrayLike) -> Array:
    refuse_masked(name, value)
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:  # ragged lists, tensors that require a gradient
        raise InvalidTypeError(f"{name} cannot be seen as an array: {error}") from error
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "USO" and isinstance(value, (str, bytes, os.PathLike)):
        raise InvalidTypeError(
            f"{name} must hold numbers, got {reprlib.repr(value)}; "
            "imgsim_fast.decode(path, mode='rgb') reads the pixels of a file"
        )
    return array


def _index(position: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, position))}]" if position else ""


def _check_whole(name: str, array: Array) -> None:
    """64-bit integers must be exact in float64."""
    if array.dtype.itemsize < 8 or array.size == 0:
        return
    at = array.argmax()
    if array.dtype.kind == "i" and -int(array.min()) > int(array.flat[at]):
        at = array.argmin()
    if abs(int(array.flat[at])) > _EXACT:
        where = _index(tuple(int(i) for i in np.unravel_index(at, array.shape)))
        raise InvalidInputError(
            f"{name}{where} is {int(array.flat[at])}: integers above 2**53 are not exact in "
            "float64; scale them down or pass floats"
        )


def as_real(name: str, value: ArrayLike) -> Array:
    """Booleans, integers that float64 holds exactly, or floats of at most 64 bits."""
    array = _as_array(name, value)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise InvalidTypeError(
            f"{name} must hold booleans, integers or floats of at most 64 bits, got {array.dtype}"
        )
    if array.dtype.kind in "iu":
        _check_whole(name, array)
    return array


def as_integers(name: str, value: ArrayLike) -> NDArray[np.int64]:
    """Return integers that 64 bits hold, with a sign."""
    array = _as_array(name, value)
    if array.size == 0 and array.dtype == np.float64:  # what NumPy makes of an empty list
        return array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InvalidTypeError(f"{name} must hold integers, got {array.dtype}")
    if array.dtype.kind == "u" and array.size and int(array.max()) > 2**63 - 1:
        raise InvalidInputError(f"{name} holds {int(array.max())}, more than 2**63 - 1")
    return array.astype(np.int64)


# ---- masses ----------------------------------------------------------------------------------


def as_masses(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Float64, C-contiguous, shape (..., bins) with at least one bin; elements not yet checked."""
    array = as_real(name, value)
    if array.ndim == 0:
        raise InvalidInputError(
            f"{name} must have at least one dimension, got the scalar {value!r}"
        )
    if array.shape[-1] == 0:
        raise InvalidInputError(f"{name} has no bins: its shape is {array.shape}")
    return as_floats(name, array)


def as_floats(name: str, array: Array) -> NDArray[np.float64]:
    """Float64 in C order; MemoryError before a copy that cannot fit."""
    flags = array.flags
    if array.dtype == np.float64 and flags.c_contiguous and flags.aligned:
        return array if type(array) is np.ndarray else np.asarray(array)
    _memory.check(8 * array.size, f"a float64 copy of {name}, shape {array.shape},")
    return np.require(array, np.float64, ["C", "A"])


def as_mass_rows(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Masses of shape (rows, bins)."""
    masses = as_masses(name, value)
    if masses.ndim != 2:
        raise InvalidInputError(f"{name} must have two dimensions (rows, bins), got {masses.shape}")
    return masses


def check_same_bins(name_a: str, a: Array, name_b: str, b: Array) -> None:
    """Raise unless both arrays have the same number of bins."""
    if a.shape[-1] != b.shape[-1]:
        raise InvalidInputError(
            f"{name_a} and {name_b} must have the same number of bins, got {a.shape[-1]} and "
            f"{b.shape[-1]} (shapes {a.shape} and {b.shape})"
        )


def explain_bad_mass(name: str, masses: Array, row: int) -> NoReturn:
    """Raise the error for row ``row`` of ``masses`` (..., bins), which the core has refused."""
    leading = tuple(int(i) for i in np.unravel_index(row, masses.shape[:-1])) if row else None
    if leading is None:
        leading = (0,) * (masses.ndim - 1)
    values = masses[leading]
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        where = _index((*leading, int(bad[0])))
        value = values[bad[0]]
        text = "NaN" if np.isnan(value) else repr(float(value))
        raise InvalidInputError(f"{name}{where} is {text}: masses must be finite and not negative")
    where = _index(leading)
    if values.any():
        raise InvalidInputError(f"{name}{where} has changed during the call: it was no mass")
    raise InvalidInputError(f"{name}{where} has no mass: all its bins are 0")


# ---- geometry of the line --------------------------------------------------------------------


def as_positions(positions: ArrayLike | None, bins: int) -> NDArray[np.float64] | None:
    """Sorted finite float64 positions, one per bin; None where bins are one unit apart."""
    if positions is None:
        return None
    array = as_real("positions", positions)
    if array.ndim != 1 or array.size != bins:
        raise InvalidInputError(
            f"positions must have shape ({bins},), one per bin, got {array.shape}"
        )
    array = np.require(array, np.float64, ["C", "A"])
    if not np.isfinite(array).all():
        at = int(np.flatnonzero(~np.isfinite(array))[0])
        raise InvalidInputError(f"positions[{at}] is {array[at]}: positions must be finite")
    if (array[1:] < array[:-1]).any():
        at = int(np.flatnonzero(array[1:] < array[:-1])[0]) + 1
        raise InvalidInputError(
            f"positions must be sorted: positions[{at}] is {array[at]}, less than "
            f"positions[{at - 1}] which is {array[at - 1]}"
        )
    return array


def is_one(p: object) -> bool:
    """Tell whether an order is the plain number 1, whatever else it may be."""
    return isinstance(p, (int, float)) and p == 1


def as_order(p: float) -> float:
    """Return the order p >= 1 of a Wasserstein distance; infinity is allowed."""
    try:
        order = float(p)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"p must be a number, got {p!r}") from error
    if not order >= 1:
        raise InvalidInputError(f"p must be at least 1, got {p}")
    return order


def as_metric(
    bins: int,
    positions: ArrayLike | None,
    p: float,
    circular: bool | float,
    spacing: float = 1.0,
) -> _core.Metric:
    """Prepare the geometry that positions, p and circular describe."""
    order = as_order(p)
    places = as_positions(positions, bins)
    period = _as_period(circular, places, bins * spacing)
    if period and order != 1:
        raise InvalidInputError(f"circular distances are for p=1 only, got p={p}")
    if places is not None and bins > 1 and not period:
        # Equal steps of a power of two, as of numpy.arange: the same sum without weights. The final
        # multiplication is exact, so the result is still rounded once.
        with np.errstate(over="ignore"):
            steps = np.diff(places)
        step = float(steps[0])
        if 0 < step < math.inf and math.frexp(step)[0] == 0.5 and (steps == step).all():
            places, spacing = None, step
    return _core.Metric(bins, places, spacing, order, period)


def _as_period(
    circular: bool | float, positions: NDArray[np.float64] | None, natural: float
) -> float:
    if circular is False:
        return 0.0
    if circular is True:
        if positions is not None:
            raise InvalidInputError(
                "circular=True needs no positions (bins one unit apart); with positions give the "
                "length of the circle: circular=360, say"
            )
        return natural
    try:
        period = float(circular)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"circular must be a bool or a length, got {circular!r}") from error
    span = natural if positions is None else float(positions[-1] - positions[0])
    if not math.isfinite(period) or period <= 0 or period < span:
        raise InvalidInputError(
            f"circular is {circular}: the length of the circle must be finite and at least the "
            f"{span} that the positions span"
        )
    return period


# ---- other arguments -------------------------------------------------------------------------


def as_count(name: str, value: int, *, least: int = 1) -> int:
    """Return a whole number of at least ``least``."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError as error:
        raise InvalidTypeError(f"{name} must be an integer, got {value!r}") from error
    if number < least:
        raise InvalidInputError(f"{name} must be at least {least}, got {number}")
    return number


def as_seconds(name: str, value: object) -> float:
    """Return a time of at least 0."""
    if not isinstance(value, (int, float)) or not value >= 0:
        raise InvalidInputError(f"{name} must be a number and not negative, got {value!r}")
    return float(value)


def as_out(out: object, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return ``out``, checked, or a new float64 array of the shape."""
    if out is None:
        return np.empty(shape, dtype=np.float64)
    if not isinstance(out, np.ndarray) or out.dtype != np.float64 or not out.dtype.isnative:
        kind = out.dtype if isinstance(out, np.ndarray) else type(out).__name__
        raise InvalidTypeError(f"out must be a float64 array, got {kind}")
    if out.shape != shape:
        raise InvalidInputError(f"out must have shape {shape}, got {out.shape}")
    flags = out.flags
    if not (flags.c_contiguous and flags.writeable and flags.aligned):
        raise InvalidInputError("out must be C-contiguous, aligned and writeable")
    return out


def as_pixels(name: str, image: ArrayLike) -> Array:
    """Uint8, uint16, float32 or float64 pixels, any strides; other real types widened exactly."""
    array = _as_array(name, image)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind == "b":
        return array.view(np.uint8)
    if kind == "u" and size <= 2:
        return array
    if kind in "iu":
        _check_whole(name, array)
        return array.astype(np.float64)
    if kind == "f" and size <= 8:
        return array if size >= 4 else array.astype(np.float32)
    raise InvalidTypeError(
        f"{name} must hold booleans, integers or floats of at most 64 bits, got {array.dtype}"
    )


def as_levels(name: str, image: ArrayLike) -> Array:
    """Uint8 or uint16 levels, any strides, at least one."""
    array = _as_array(name, image)
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise InvalidTypeError(f"{name} must be uint8 or uint16, got {array.dtype}")
    if array.size == 0:
        raise InvalidInputError(f"{name} has no pixels: its shape is {array.shape}")
    return array


def as_rgb(name: str, image: ArrayLike, *, grey: bool = False) -> NDArray[np.uint8]:
    """Uint8 of shape (h, w, 3), any strides; with `grey` also (h, w), seen as R = G = B."""
    array = _as_array(name, image)
    if array.dtype != np.uint8:
        raise InvalidTypeError(f"{name} must be uint8, got {array.dtype}")
    if array.size == 0:
        raise InvalidInputError(f"{name} has no pixels: its shape is {array.shape}")
    if grey and array.ndim == 2:
        return np.broadcast_to(array[:, :, None], (*array.shape, 3))
    if array.ndim != 3 or array.shape[2] != 3:
        shapes = "(h, w) or (h, w, 3)" if grey else "(h, w, 3)"
        raise InvalidInputError(f"{name} must have shape {shapes}, got {array.shape}")
    return array


def as_list(name: str, value: Any, kind: str) -> list[Any]:
    """Return the elements of anything that can be iterated; `kind` says what it should be."""
    try:
        return list(value)
    except (TypeError, NotImplementedError) as error:  # memoryviews raise the second
        raise InvalidTypeError(f"{name} must be {kind}, got {value!r}") from error


def one_for_each(name: str, value: Any, channels: int) -> list[Any]:
    """Return a number as often as there are channels, or the elements of a sequence."""
    try:
        return [value] * channels if np.ndim(value) == 0 else list(value)
    except (TypeError, ValueError, NotImplementedError) as error:  # ragged lists, memoryviews
        raise InvalidTypeError(f"{name} must be one number or a sequence, got {value!r}") from error


def as_number(name: str, value: float, *, least: float, most: float) -> float:
    """Return a number between two ends, both included."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{name} must be a number, got {value!r}") from error
    if not least <= number <= most:
        raise InvalidInputError(f"{name} must be in {least:g} ... {most:g}, got {number:g}")
    return number


def as_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return one of the words."""
    if not isinstance(value, str) or value not in choices:
        named = ", ".join(map(repr, choices))
        raise InvalidInputError(f"{name} must be one of {named}, got {value!r}")
    return value


def as_mask(mask: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """One byte per pixel, nonzero where the pixel counts."""
    if mask is None:
        return None
    array = _as_array("mask", mask)
    if array.dtype.kind == "b":
        array = array.view(np.uint8)
    if array.dtype != np.uint8:
        raise InvalidTypeError(f"mask must be boolean or uint8, got {array.dtype}")
    if array.shape != shape:
        raise InvalidInputError(f"mask must have the image's shape {shape}, got {array.shape}")
    return array
