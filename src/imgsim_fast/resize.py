"""Area interpolation: each output pixel is the mean of what it covers, in whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["resize_area"]


def resize_area(image: ArrayLike, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an 8-bit image: each pixel becomes the mean of the rectangle that it covers.

    Input pixels at the edge of the rectangle count by the part of them that lies in it, when
    shrinking and when enlarging. Means are exact and rounded half up.

    Parameters
    ----------
    image : array_like of uint8, shape (h, w) or (h, w, channels)
        Any strides.
    shape : (int, int)
        Height and width of the result; all sides are below 2**24.

    Returns
    -------
    ndarray of uint8, shape (*shape) or (*shape, channels)

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.

    Notes
    -----
    O(input pixels) when shrinking, O(output pixels) when enlarging. All arithmetic is in integers,
    so the result is the same everywhere. ``cv2.resize`` with ``INTER_AREA`` differs by at most one
    level where no side grows (it rounds ties to even and sums in float32). Where both grow, some of
    its pixels come from the wrong neighbour at some sizes; where one grows and the other shrinks,
    it looks at two pixels of the shrinking side, however many there are.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> isf.resize_area(np.array([[0, 10, 200], [30, 40, 100]], np.uint8), (1, 2))
    array([[ 18, 108]], dtype=uint8)
    """
    pixels = as_bytes("image", image)
    if pixels.ndim not in (2, 3):
        raise InvalidInputError(
            f"image must have shape (h, w) or (h, w, channels), got {pixels.shape}"
        )
    height, width = _as_sides(shape)
    check_resizable("image", pixels)
    return _core.resize_area(pixels, height, width)


def as_bytes(name: str, image: ArrayLike) -> NDArray[np.uint8]:
    """Pixels that can be resized."""
    pixels: NDArray[Any] = _validate.as_pixels(name, image)
    if pixels.dtype != np.uint8 or np.asarray(image).dtype == np.bool_:
        raise InvalidTypeError(f"{name} must be uint8 to be resized, got {np.asarray(image).dtype}")
    return pixels


def check_resizable(name: str, pixels: NDArray[Any]) -> None:
    """Raise unless an (h, w, ...) array has pixels, and not too many along a side."""
    if 0 in pixels.shape:
        raise InvalidInputError(f"{name} has no pixels: its shape is {pixels.shape}")
    if max(pixels.shape[:2]) >= _core.MOST_RESIZED:
        raise InvalidInputError(
            f"{name} has shape {pixels.shape}: sides must be below {_core.MOST_RESIZED}"
        )


def _as_sides(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = shape
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidTypeError(f"shape must be two integers, got {shape!r}") from error
    sides = _validate.as_count("shape[0]", height), _validate.as_count("shape[1]", width)
    if max(sides) >= _core.MOST_RESIZED:
        raise InvalidInputError(f"shape is {sides}: sides must be below {_core.MOST_RESIZED}")
    return sides
