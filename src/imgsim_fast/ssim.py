"""Structural similarity: scikit-image's numbers, for one pair or one image against many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _threads, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.resize import check_resizable

__all__ = ["structural_similarities", "structural_similarity"]

Array = NDArray[Any]
Floats = NDArray[np.float64]

_WINDOW = 7
_TRUNCATE = 3.5  # standard deviations at which the Gaussian ends
_WIDEST = 1000  # pixels that a Gaussian may reach beyond the image: cost and memory grow with it


@overload
def structural_similarity(
    image1: ArrayLike,
    image2: ArrayLike,
    *,
    win_size: int | None = ...,
    data_range: float | None = ...,
    channel_axis: int | None = ...,
    gaussian_weights: bool = ...,
    full: Literal[False] = ...,
    K1: float = ...,
    K2: float = ...,
    sigma: float = ...,
    use_sample_covariance: bool = ...,
) -> float: ...
@overload
def structural_similarity(
    image1: ArrayLike,
    image2: ArrayLike,
    *,
    win_size: int | None = ...,
    data_range: float | None = ...,
    channel_axis: int | None = ...,
    gaussian_weights: bool = ...,
    full: Literal[True],
    K1: float = ...,
    K2: float = ...,
    sigma: float = ...,
    use_sample_covariance: bool = ...,
) -> tuple[float, Floats]: ...


def structural_similarity(
    image1: ArrayLike,
    image2: ArrayLike,
    *,
    win_size: int | None = None,
    data_range: float | None = None,
    channel_axis: int | None = None,
    gaussian_weights: bool = False,
    full: bool = False,
    K1: float = 0.01,
    K2: float = 0.03,
    sigma: float = 1.5,
    use_sample_covariance: bool = True,
) -> float | tuple[float, Floats]:
    """Mean structural similarity of two images: ``skimage.metrics.structural_similarity``.

    Names, defaults and meaning of the arguments are those of scikit-image, and so is the result, to
    1e-10. With u the means and v the (co)variances over a window around a pixel,
    ``S = (2 u_x u_y + C1) (2 v_xy + C2) / ((u_x**2 + u_y**2 + C1) (v_x + v_y + C2))``, where
    ``C1 = (K1 data_range)**2`` and ``C2 = (K2 data_range)**2``; the result is the mean of S.

    Parameters
    ----------
    image1, image2 : array_like
        Shape (h, w), or with `channel_axis` three dimensions; the same for both. Booleans, integers
        (up to 2**53) and floats, any strides; finite.
    win_size : int, optional
        Side of the window, odd, at most the smaller side of the image. The mean leaves out
        ``win_size // 2`` pixels along each border. Default: 7, or all of the Gaussian. Given
        together with `gaussian_weights` it is the border and the number of samples alone.
    data_range : float, optional
        Largest minus smallest possible value, positive. Default: that of the integer type (255 for
        uint8, 1 for bool), which images of different types must share; floats have none.
    channel_axis : int, optional
        The axis that holds channels; the result is the mean over them. None: no channels.
    gaussian_weights : bool
        Weigh the pixels of a window by a Gaussian that ends at 3.5 standard deviations.
    full : bool
        Also return S of every pixel, with images mirrored at their borders.
    K1, K2 : float
        Not negative. Where they are 0, a quotient 0 / 0 (windows that are both black, both flat)
        counts as 1, where scikit-image has NaN.
    sigma : float
        Standard deviation of the Gaussian in pixels, not negative. 3.5 of it may reach no farther
        than the longer side of the image, or 1000 pixels.
    use_sample_covariance : bool
        Divide variances by n - 1 for a window of n pixels; False: by n, as Wang et al.

    Returns
    -------
    similarity : float
        In [-1, 1]; exactly 1.0 for equal images.
    map : ndarray of float64, shape of the images
        S, if `full`.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.

    Notes
    -----
    8-bit images under a uniform window of at most 127 are summed in integers, O(pixels); all else
    in float64, O(pixels * win_size), float32 images too, for which scikit-image uses float32. For
    Wang et al. give ``gaussian_weights=True, use_sample_covariance=False, data_range=255``. There
    is no `gradient`.

    References
    ----------
    Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: Image quality assessment: from error
    visibility to structural similarity. IEEE Trans. Image Process. 13 (2004), 600-612.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    >>> isf.structural_similarity(image, image)
    1.0
    >>> round(isf.structural_similarity(image, 255 - image), 4)
    -0.2219
    """
    first, second = _validate.as_pixels("image1", image1), _validate.as_pixels("image2", image2)
    if first.shape != second.shape:
        raise InvalidInputError(
            f"image1 and image2 must have the same shape, got {first.shape} and {second.shape}; "
            "resize_area() changes it"
        )
    axis = _as_channel_axis("image1", first, channel_axis)
    types = np.asarray(image1).dtype, np.asarray(image2).dtype
    rule = _as_rule(
        "image1", _image_size(first, axis), _as_data_range(data_range, types), win_size,
        sigma if gaussian_weights else None, (K1, K2), use_sample_covariance,
    )  # fmt: skip
    if first.dtype != second.dtype:
        first, second = _validate.as_floats("image1", first), _validate.as_floats("image2", second)
    x, y = _channels_last(first, axis), _channels_last(second, axis)
    similarity, map_ = _core.structural_similarity(x, y, rule, bool(full))
    if math.isnan(similarity):
        _explain_bad_pixel("image1", first)
        _explain_bad_pixel("image2", second)
        raise InvalidInputError("image1 or image2 has changed during the call: it was not finite")
    if map_ is None:
        return similarity
    if axis is None:
        return similarity, map_[:, :, 0]
    return similarity, np.ascontiguousarray(np.moveaxis(map_, -1, axis))


def structural_similarities(
    query: ArrayLike,
    images: ArrayLike | Sequence[ArrayLike],
    *,
    threads: int | None = None,
    resize: bool = False,
    win_size: int | None = None,
    data_range: float | None = None,
    channel_axis: int | None = None,
    gaussian_weights: bool = False,
    K1: float = 0.01,
    K2: float = 0.03,
    sigma: float = 1.5,
    use_sample_covariance: bool = True,
) -> Floats:
    """Structural similarity of one image and each of many.

    Parameters
    ----------
    query : array_like
        One image, as `image1` of :func:`structural_similarity`.
    images : ndarray of shape (n, *query.shape), or sequence of n arrays
        Of the query's dtype and shape.
    threads : int, optional
        At most so many threads; default: ``IMGSIM_FAST_NUM_THREADS``, else the usable CPUs.
    resize : bool
        Allow other heights and widths, for uint8 with channels (if any) last: such images are
        resized to the query's as by :func:`resize_area`, then compared.
    win_size, data_range, channel_axis, gaussian_weights, K1, K2, sigma, use_sample_covariance
        As in :func:`structural_similarity`; the axis is that of one image.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``out[i]`` equals ``structural_similarity(query, images[i], ...)`` bit for bit, for any
        number of threads.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An argument cannot be used; the message names it and its value.

    Notes
    -----
    O(n pixels) as the pair; Ctrl-C is noticed between two images.

    Examples
    --------
    >>> import numpy as np, imgsim_fast as isf
    >>> image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    >>> isf.structural_similarities(image, [image, 255 - image]).round(4)
    array([ 1.    , -0.2219])
    """
    first = _validate.as_pixels("query", query)
    dtype = np.asarray(query).dtype
    axis = _as_channel_axis("query", first, channel_axis)
    rule = _as_rule(
        "query", _image_size(first, axis), _as_data_range(data_range, (dtype, dtype)), win_size,
        sigma if gaussian_weights else None, (K1, K2), use_sample_covariance,
    )  # fmt: skip
    if resize and (dtype != np.uint8 or axis not in (None, 2)):
        raise InvalidTypeError(
            "resize=True needs uint8 images of shape (h, w) or (h, w, channels), got a query of "
            f"{dtype} with channel_axis={channel_axis}"
        )
    others = _as_images(images, first, dtype, resize)
    out = _core.structural_similarities(
        _channels_last(first, axis),
        [_channels_last(other, axis) for other in others],
        rule,
        _threads.resolve(threads),
    )
    bad = np.flatnonzero(np.isnan(out))
    if bad.size:
        _explain_bad_pixel("query", first)
        _explain_bad_pixel(f"images[{bad[0]}]", others[bad[0]])
        raise InvalidInputError(f"images[{bad[0]}] has changed during the call: it was not finite")
    return out


# ---- images ----------------------------------------------------------------------------------


def _as_channel_axis(name: str, image: Array, channel_axis: int | None) -> int | None:
    """Return the axis counted from 0, of an image with the dimensions that it asks for."""
    if channel_axis is None:
        if image.ndim != 2:
            raise InvalidInputError(
                f"{name} must have shape (h, w), got {image.shape}; channel_axis=-1 says that the "
                "last axis holds channels"
            )
        _check_pixels(name, image)
        return None
    axis = _validate.as_count("channel_axis", channel_axis, least=-3)
    if image.ndim != 3:
        raise InvalidInputError(
            f"{name} must have three dimensions, one of channels, got {image.shape}"
        )
    if axis > 2:
        raise InvalidInputError(f"channel_axis must be in -3 ... 2, got {channel_axis}")
    axis %= 3
    if image.shape[axis] == 0:
        raise InvalidInputError(f"{name} has no channels: its shape is {image.shape}")
    _check_pixels(name, image)
    return axis


def _check_pixels(name: str, image: Array) -> None:
    if image.size == 0:
        raise InvalidInputError(f"{name} has no pixels: its shape is {image.shape}")


def _image_size(image: Array, axis: int | None) -> tuple[int, int]:
    height, width = (side for i, side in enumerate(image.shape) if i != axis)
    return height, width


def _channels_last(image: Array, axis: int | None) -> Array:
    return image if axis is None else np.moveaxis(image, axis, -1)


def _as_images(images: Any, query: Array, dtype: np.dtype[Any], resize: bool) -> list[Array]:
    """Return arrays as the query: one dtype; one shape unless they may be resized."""
    if isinstance(images, np.ndarray) and images.dtype != object:
        stack = _validate.as_pixels("images", images)
        _check_dtype("images", images.dtype, dtype)
        if stack.ndim != query.ndim + 1:
            raise InvalidInputError(
                f"images must have shape (n, {str(query.shape)[1:]}, got {stack.shape}"
            )
        views = list(stack)
        _check_shapes(views[:1], query, resize)
        return views
    views = []
    for i, image in enumerate(_validate.as_list("images", images, "a sequence of arrays")):
        views.append(_validate.as_pixels(f"images[{i}]", image))
        _check_dtype(f"images[{i}]", np.asarray(image).dtype, dtype)
    _check_shapes(views, query, resize)
    return views


def _check_dtype(name: str, dtype: np.dtype[Any], wanted: np.dtype[Any]) -> None:
    if dtype.newbyteorder("=") != wanted.newbyteorder("="):
        raise InvalidTypeError(f"{name} must have the query's dtype {wanted}, got {dtype}")


def _check_shapes(images: list[Array], query: Array, resize: bool) -> None:
    for i, image in enumerate(images):
        if image.shape == query.shape:
            continue
        if not resize:
            raise InvalidInputError(
                f"images[{i}] must have the query's shape {query.shape}, got {image.shape}; "
                "resize=True allows others"
            )
        if image.ndim != query.ndim or image.shape[2:] != query.shape[2:]:
            raise InvalidInputError(
                f"images[{i}] must have the channels of the query {query.shape}, got {image.shape}"
            )
        check_resizable(f"images[{i}]", image)
        check_resizable("query", query)


def _explain_bad_pixel(name: str, image: Array) -> None:
    """Raise if a pixel is not finite, naming the first."""
    finite = np.isfinite(image)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InvalidInputError(
            f"{name}[{', '.join(map(str, where))}] is {image[where]}: pixels must be finite"
        )


# ---- windows and constants -------------------------------------------------------------------


def _as_data_range(given: float | None, types: tuple[np.dtype[Any], np.dtype[Any]]) -> float:
    if given is not None:
        return _as_number("data_range", given, positive=True)
    ranges = []
    for kind in types:
        if kind.kind == "f":
            raise InvalidInputError(
                f"data_range must be given for {kind} images: largest minus smallest possible value"
            )
        limits = np.iinfo(kind) if kind.kind != "b" else None
        ranges.append(1 if limits is None else int(limits.max) - int(limits.min))
    if ranges[0] != ranges[1]:
        raise InvalidInputError(
            f"data_range must be given for images of different types, got {types[0]} and {types[1]}"
        )
    return float(ranges[0])


def _as_number(name: str, value: float, *, positive: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidTypeError(f"{name} must be a number, got {value!r}") from error
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        least = "positive" if positive else "not negative"
        raise InvalidInputError(f"{name} must be finite and {least}, got {value!r}")
    return number


def _as_rule(
    name: str,
    size: tuple[int, int],
    data_range: float,
    win_size: int | None,
    sigma: float | None,
    constants: tuple[float, float],
    use_sample_covariance: bool,
) -> _core.SsimRule:
    """`sigma` None: uniform weights."""
    k1, k2 = _as_number("K1", constants[0]), _as_number("K2", constants[1])
    weights = None
    if sigma is not None:
        sigma = _as_number("sigma", sigma)
        reach = _TRUNCATE * sigma + 0.5
        if reach >= max(_WIDEST, *size) + 1 or (
            win_size is None and 2 * int(reach) + 1 > min(size)
        ):
            raise InvalidInputError(
                f"sigma is {sigma}: its Gaussian reaches {_TRUNCATE * sigma:g} pixels to each side "
                f"and does not fit into {name} of size {size}"
            )
        weights = _gaussian(sigma, int(reach))
    if win_size is None:
        win = _WINDOW if weights is None else weights.size
    else:
        win = _validate.as_count("win_size", win_size)
        if win % 2 == 0:
            raise InvalidInputError(f"win_size must be odd, got {win}")
    if win > min(size):
        raise InvalidInputError(
            f"win_size is {win}: larger than {name} of size {size}"
            + ("" if win_size is not None else " (7 is the default; give a smaller odd one)")
        )
    if use_sample_covariance and win == 1:
        raise InvalidInputError(
            "win_size is 1: one pixel has no sample covariance; use_sample_covariance=False allows "
            "it"
        )
    return _core.SsimRule(win, weights, data_range, k1, k2, bool(use_sample_covariance))


def _gaussian(sigma: float, radius: int) -> Floats:
    """Weights of the filter, as scipy.ndimage has them."""
    if radius == 0:
        return np.ones(1)
    weights = np.array(
        [math.exp(-0.5 / (sigma * sigma) * (x * x)) for x in range(-radius, radius + 1)]
    )
    return np.asarray(weights / weights.sum(), dtype=np.float64)
