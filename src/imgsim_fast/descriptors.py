"""Images to vectors: what measures compare and indexes store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _core, orientation
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[Any]


def grey_histogram(image: Image | Pixels, axis: _core.Axis) -> NDArray[np.int64]:
    """Histogram of the grey values of an image, in one pass over its pixels.

    Parameters
    ----------
    image : PIL.Image.Image of mode "L" or "RGB", or uint8 array of shape (h, w) or (h, w, 3)
        Colour becomes grey by the formula of :func:`imgsim_fast.images.to_grey`.
    axis : Axis
        The bins.

    Returns
    -------
    ndarray of int64, shape (bins,)
    """
    if isinstance(image, np.ndarray):
        return _of_array(image, axis)
    _check_mode(image)
    export = getattr(image, "__arrow_c_array__", None)
    if export is not None:
        try:
            # The decoder's own memory: no copy. Large images lie in several blocks and refuse.
            _schema, pixels = export()
        except ValueError:
            pass
        else:
            return _core.histogram_grey_arrow(pixels, image.height, image.width, axis)
    return _of_array(np.asarray(image), axis)


def grey_pixels(image: Image | Pixels) -> NDArray[np.uint8]:
    """Grey levels of an image, turned upright, uint8 of shape (h, w), C-contiguous.

    Arguments and formula as in :func:`grey_histogram`.
    """
    pixels = _pixels(image)
    if pixels.ndim == 3:
        return _core.grey(pixels)
    return np.ascontiguousarray(pixels)


def rgb_pixels(image: Image | Pixels) -> NDArray[np.uint8]:
    """Colours of an image, turned upright, uint8 of shape (h, w, 3), C-contiguous.

    A grey image has three equal channels. Arguments as in :func:`grey_histogram`.
    """
    pixels = _pixels(image)
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels)


def _pixels(image: Image | Pixels) -> Pixels:
    """Array of shape (h, w) or (h, w, 3)."""
    if isinstance(image, np.ndarray):
        _check_array(image)
        if image.ndim == 3 and image.shape[2] == 1:
            return image.reshape(image.shape[:2])
        return image
    _check_mode(image)
    return np.asarray(orientation.upright(image))


def _check_mode(image: Image) -> None:
    if getattr(image, "mode", None) not in ("L", "RGB"):
        kind = getattr(image, "mode", type(image).__name__)
        raise InvalidTypeError(
            f"image must be a uint8 array or a Pillow image in mode L or RGB, got {kind}: convert "
            "it, or give the file"
        )


def _check_array(image: Pixels) -> None:
    if isinstance(image, np.ma.MaskedArray) and np.ma.getmask(image).any():
        raise InvalidInputError("image is a masked array with masked elements")
    if image.dtype != np.uint8:
        raise InvalidTypeError(f"image must be uint8, got {image.dtype}")
    if image.size == 0:
        raise InvalidInputError(f"image has no pixels: its shape is {image.shape}")
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] not in (1, 3)):
        raise InvalidInputError(f"image must have shape (h, w) or (h, w, 3), got {image.shape}")


def _of_array(image: Pixels, axis: _core.Axis) -> NDArray[np.int64]:
    _check_array(image)
    if image.ndim == 2 or image.shape[2] == 1:
        return _core.histogram(image.reshape(image.shape[:2]), None, axis)
    return _core.histogram_grey(image, axis)
