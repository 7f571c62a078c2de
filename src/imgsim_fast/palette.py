"""Few colours that stand for an image, in CIELAB: signatures for the Earth Mover's Distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = ["Palette", "color_palette", "rgb_to_lab"]

Floats = NDArray[np.float64]

_MOST_COLORS = 256
_MOST_WEIGHT = 1e6  # far beyond the differences of colours: nothing but places matters


@dataclass(frozen=True)
class Palette:
    """The colours of an image and how much of it each stands for, by falling weight.

    Attributes
    ----------
    weights : ndarray of float64, shape (k,)
        Shares of the pixels, each above 0, total 1.
    points : ndarray of float64, shape (k, 3) or (k, 5)
        Rows (L, a, b) in CIELAB, or (L, a, b, x, y) with positions. ``(weights, points)`` is a
        signature for :func:`imgsim_fast.cdist`, `pdist` and `knn` with ``metric="emd"``.
    rgb : ndarray of uint8, shape (k, 3)
        The mean colour of the pixels in sRGB, to look at.
    """

    weights: Floats
    points: Floats
    rgb: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.weights)


def color_palette(image: ArrayLike, colors: int = 16, *, position_weight: float = 0.0) -> Palette:
    """Palette of an image: weighted k-means in CIELAB, the same for the same pixels everywhere.

    Parameters
    ----------
    image : array_like of uint8, shape (h, w, 3) or (h, w)
        sRGB; grey is seen as three equal channels. Any strides.
    colors : int
        At most so many colours, 1 to 256; 8 to 32 do for most photographs.
    position_weight : float
        0: only colours count, wherever they are. Above 0: the distance, in the unit of CIELAB, of
        two pixels of one colour that lie the image's longer side apart (50 is half the way from
        black to white). Points then have two more coordinates, ``position_weight * x / longer`` and
        ``position_weight * y / longer`` with x and y at the centres of pixels, so that the
        Euclidean distance of points is ``sqrt(lab**2 + place**2)``. At most 1e6.

    Returns
    -------
    Palette
        Fewer than `colors` entries where the image has fewer colours (see Notes).

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.

    Notes
    -----
    Pixels are counted in cells of 8 x 8 x 8 levels (with positions 16 x 16 x 16 levels and an
    eighth of the longer side); a cell stands for its mean pixel, so colours of one cell are not
    told apart. The start is the fullest cell and then, repeatedly, the cell with the greatest
    count times squared distance to those chosen (a weighted form of the farthest-point rule of
    Gonzalez 1985); then iterations of Lloyd [1]_ until no cell moves, at most 100 (fewer where
    cells times colours times iterations would pass 2**28, as for pure noise). All ties are decided
    by the order of cells, and only operations that IEEE 754 rounds correctly are used: the same
    bits on every machine. O(pixels + cells * colors * iterations), about 1 ms for 16 colours of a
    photograph of 384 x 256, 4 ms with positions. One thread; the GIL is released.

    References
    ----------
    .. [1] Lloyd, "Least squares quantization in PCM", 1982.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> image = np.zeros((4, 4, 3), np.uint8)
    >>> image[0] = (255, 0, 0)
    >>> palette = isf.color_palette(image)
    >>> palette.weights
    array([0.75, 0.25])
    >>> palette.rgb.tolist()
    [[0, 0, 0], [255, 0, 0]]
    """
    pixels = _validate.as_rgb("image", image, grey=True)
    number = _validate.as_count("colors", colors)
    if number > _MOST_COLORS:
        raise InvalidInputError(f"colors must be at most {_MOST_COLORS}, got {number}")
    weight = _validate.as_number("position_weight", position_weight, least=0, most=_MOST_WEIGHT)
    counts, points, rgb = _core.color_palette(pixels, number, weight)
    return Palette(counts / (pixels.shape[0] * pixels.shape[1]), points, rgb)


def rgb_to_lab(rgb: ArrayLike) -> Floats:
    """CIELAB (D65, 2 degrees) of sRGB colours.

    Parameters
    ----------
    rgb : array_like, shape (..., 3)
        uint8 levels, or floats in 0 ... 1.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        L in 0 ... 100, a (green to red) and b (blue to yellow) in about -108 ... 98.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        A value is NaN or outside 0 ... 1, the last dimension is not 3, or the type is another.

    Notes
    -----
    The constants of scikit-image's ``rgb2lab``, whose values these are within 1e-12; roots are
    computed by operations that IEEE 754 rounds correctly: the same bits on every machine. O(size).

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> isf.rgb_to_lab([1.0, 0.0, 0.0]).round(2)
    array([53.24, 80.09, 67.2 ])
    """
    array = _validate.as_real("rgb", rgb)
    if array.ndim == 0 or array.shape[-1] != 3:
        raise InvalidInputError(f"rgb must have shape (..., 3), got {array.shape}")
    if array.dtype == np.uint8:
        return _core.rgb_to_lab(np.require(array, np.uint8, ["C", "A"]))
    if array.dtype.kind != "f":
        raise InvalidTypeError(f"rgb must be uint8, or floats in 0 ... 1, got {array.dtype}")
    values = _validate.as_floats("rgb", array)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        at = tuple(int(i) for i in np.unravel_index(outside.argmax(), outside.shape))
        text = "NaN" if np.isnan(values[at]) else repr(float(values[at]))
        raise InvalidInputError(
            f"rgb{list(at)} is {text}: floats must be in 0 ... 1; divide 8-bit levels by 255"
        )
    return _core.rgb_to_lab(values)
