"""The measures by name, and the comparison of two images by any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgsim_fast._pillow import named
from imgsim_fast.measures.base import Measure
from imgsim_fast.measures.pair import Comparison, ImageLike, compare_all, decoded
from imgsim_fast.measures.registry import get_measure, measures
from imgsim_fast.rows import Row

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgsim_fast.measures.embedding import Embedding

__all__ = [
    "Comparison",
    "Embedding",
    "ImageLike",
    "Measure",
    "compare",
    "compare_all",
    "describe",
    "get_measure",
    "measures",
]


def __getattr__(name: str) -> Any:
    if name == "Embedding":  # found at first use
        from imgsim_fast.measures.embedding import Embedding

        return Embedding
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def describe(measure: Measure, image: ImageLike | Image) -> Row:
    """Descriptor of an encoded image (path, bytes, file), a decoded one, or a uint8 array."""
    with named(image):
        return measure.describe(decoded(image))


def compare(
    image1: ImageLike | Image,
    image2: ImageLike | Image,
    measure: str | Measure = "wasserstein",
    **options: Any,
) -> float:
    """Compare two images by a measure.

    Parameters
    ----------
    image1, image2 : path, encoded bytes, uint8 array of shape (h, w) or (h, w, 3), Pillow image
        Sizes may differ. A Pillow image must be in mode L or RGB.
    measure : str or Measure
        A name from :func:`measures`, or a measure object.
    **options
        The measure's options; for "wasserstein": ``bins=256, range=(0, 256), p=1``.

    Returns
    -------
    float
        For "wasserstein": the distance of the grey-level distributions, in grey levels. Whether
        more is better depends on the measure (docs/measures.md).

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
    pixels = []
    for image in (image1, image2):
        with named(image):
            pixels.append(decoded(image))
    value = kind.compare_pixels(*pixels)
    if value is not None:
        return value
    rows = []
    for image, found in zip((image1, image2), pixels, strict=True):
        with named(image):
            rows.append(kind.describe(found))
    return kind.compare(*rows)
