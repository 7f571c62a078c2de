"""The measures by name, and the comparison of two images by any of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from imgsim_fast import images
from imgsim_fast._pillow import named
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.measures.base import Measure, Row
from imgsim_fast.measures.wasserstein import Wasserstein

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Measure", "compare", "describe", "get_measure", "measures"]

# What else an image can be: a Pillow image in mode L or RGB.
ImageLike = str | bytes | bytearray | memoryview | os.PathLike[Any] | NDArray[Any]

_MEASURES: dict[str, type[Wasserstein]] = {Wasserstein.name: Wasserstein}


def measures() -> dict[str, str]:
    """Name the measures.

    Returns
    -------
    dict of str to str
        Each name with one line of help.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> sorted(isf.measures())
    ['wasserstein']
    """
    return {name: kind.summary for name, kind in _MEASURES.items()}


def get_measure(measure: str = "wasserstein", **options: Any) -> Measure:
    """Make a measure from its name and options; errors name what is wrong."""
    name: object = measure
    kind = _MEASURES.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidInputError(f"measure must be one of {', '.join(_MEASURES)}, got {measure!r}")
    known = kind().options
    for option in options:
        if option not in known:
            raise InvalidTypeError(
                f"measure {measure!r} has no option {option!r}; it has {', '.join(known)}"
            )
    return kind(**options)


def describe(measure: Measure, image: ImageLike | Image) -> Row:
    """Descriptor of an encoded image (path, bytes, file), a decoded one, or a uint8 array."""
    if isinstance(image, (str, bytes, bytearray, memoryview, os.PathLike)):
        with named(image):
            return measure.describe(images.open_pixels(images.read_source(image)))
    return measure.describe(image)


def compare(
    image1: ImageLike | Image,
    image2: ImageLike | Image,
    measure: str = "wasserstein",
    **options: Any,
) -> float:
    """Compare two images by a measure.

    Parameters
    ----------
    image1, image2 : path, encoded bytes, uint8 array of shape (h, w) or (h, w, 3), Pillow image
        Sizes may differ. A Pillow image must be in mode L or RGB.
    measure : str
        A name from :func:`measures`.
    **options
        The measure's options; for "wasserstein": ``bins=256, range=(0, 256), p=1``.

    Returns
    -------
    float
        For "wasserstein": the distance of the grey-level distributions, in grey levels.

    Raises
    ------
    ImageDecodeError, InvalidInputError, InvalidTypeError

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> dark, light = np.full((4, 4), 10, np.uint8), np.full((2, 3), 14, np.uint8)
    >>> isf.compare(dark, light)
    4.0
    """
    kind = get_measure(measure, **options)
    return kind.compare(describe(kind, image1), describe(kind, image2))
