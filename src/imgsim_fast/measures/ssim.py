"""Structural similarity of the grey levels of two images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast._validate import as_count
from imgsim_fast.descriptors import grey_pixels
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.measures.base import Measure
from imgsim_fast.resize import resize_area
from imgsim_fast.rows import Row, Rows
from imgsim_fast.ssim import structural_similarities, structural_similarity

if TYPE_CHECKING:
    from PIL.Image import Image

_HEADER = 8  # bytes: height and width, little-endian uint32
_BAND = 1 << 19  # pixels of a map that are computed at a time
_SMALLEST = {False: 7, True: 11}  # pixels of a side: the window, without and with Gaussian weights


class SSIM(Measure):
    """Mean structural similarity of grey images (Wang et al. 2004), 1 for equal images.

    Colour becomes grey; where the sizes differ, the second image (in a search: the stored one) is
    brought to the size of the first by area interpolation (:func:`imgsim_fast.resize_area`). So the
    value of a pair of different sizes depends on which comes first.

    Parameters
    ----------
    gaussian_weights : bool
        Weights of standard deviation 1.5 in a window of 11 x 11 and population covariance, as in
        the paper; else equal weights in 7 x 7 and sample covariance, scikit-image's default.
    longest : int
        Images whose longer side has more pixels are shrunk to it before anything else, by area
        interpolation: an index keeps every pixel. 0: never.
    """

    name = "ssim"
    higher_is_better = True
    value_range = (-1.0, 1.0)
    row_dtype = np.dtype(np.uint8)
    row_length = None
    near_identical = 0.9
    drawn_as = "structure"

    def __init__(self, gaussian_weights: bool = False, longest: int = 0) -> None:
        if not isinstance(gaussian_weights, bool):
            raise InvalidTypeError(f"gaussian_weights must be a bool, got {gaussian_weights!r}")
        self._gaussian = gaussian_weights
        self._longest = as_count("longest", longest, least=0)
        if 0 < self._longest < _SMALLEST[gaussian_weights]:
            raise InvalidInputError(
                f"longest must be 0 or at least {_SMALLEST[gaussian_weights]}, got {longest}"
            )
        self._rule: dict[str, Any] = (
            {"gaussian_weights": True, "use_sample_covariance": False} if gaussian_weights else {}
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """The window and the limit of size."""
        return {"gaussian_weights": self._gaussian, "longest": self._longest}

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Grey levels behind their height and width, uint8."""
        grey = grey_pixels(image)
        if 0 < self._longest < max(grey.shape):
            scale = self._longest / max(grey.shape)
            height, width = (max(1, round(side * scale)) for side in grey.shape)
            grey = resize_area(grey, (height, width))
        least = _SMALLEST[self._gaussian]
        if min(grey.shape) < least:
            raise InvalidInputError(
                f"the image has {grey.shape[1]} x {grey.shape[0]} pixels; structural similarity "
                f"needs at least {least} x {least}"
            )
        size = np.array(grey.shape, dtype="<u4")
        return np.concatenate([size.view(np.uint8), grey.ravel()])

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Similarity of the query and each stored image, brought to the query's size."""
        images = [_image_of(row) for row in rows]
        return structural_similarities(
            _image_of(query), images, resize=True, threads=threads, **self._rule
        )

    def map_of(self, a: Row, b: Row, longest: int = 0) -> NDArray[np.float64]:
        """Local similarity at the pixels of the first image, to look at.

        Parameters
        ----------
        a, b : ndarray
            Descriptors from `describe`.
        longest : int
            Where the longer side has more pixels, each element is the mean over a square of pixels
            (what is left of it, at the right and the bottom), so that at most so many remain; then
            memory is for few rows of the image at a time. 0: each pixel.

        Returns
        -------
        ndarray of float64, shape (h, w)
        """
        first, second = _image_of(a), _image_of(b)
        if first.shape != second.shape:
            second = resize_area(second, first.shape)
        height, width = first.shape
        step = self.map_step(a, longest)
        margin = _SMALLEST[self._gaussian]  # rows that have a part in the row between them
        band = step * max(1, _BAND // (step * width))
        means = []
        for top in range(0, height, band):
            bottom = min(top + band, height)
            rows = slice(max(0, top - margin), min(height, bottom + margin))
            near = structural_similarity(first[rows], second[rows], full=True, **self._rule)[1]
            means.append(_means(near[top - rows.start : bottom - rows.start], step))
        return np.concatenate(means)

    def map_step(self, a: Row, longest: int) -> int:
        """Pixels of a side of the squares that `map_of` takes the mean of."""
        return 1 if longest == 0 else -(-max(_shape_of(a)) // longest)

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a row whose length does not fit its height and width, or that is too small."""
        least = _SMALLEST[self._gaussian]
        for number, row in enumerate(rows):
            height, width = _shape_of(row) if len(row) >= _HEADER else (0, 0)
            if min(height, width) < least or len(row) - _HEADER != height * width:
                return number, "is no image: its length does not fit its size"
        return None


def _shape_of(row: Row) -> tuple[int, int]:
    height, width = np.ascontiguousarray(row[:_HEADER]).view("<u4").tolist()
    return height, width


def _image_of(row: Row) -> NDArray[np.uint8]:
    return row[_HEADER:].reshape(_shape_of(row))


def _means(values: NDArray[np.float64], step: int) -> NDArray[np.float64]:
    """Means over squares."""
    if step == 1:
        return values
    places = [np.arange(0, length, step) for length in values.shape]
    sums = np.add.reduceat(np.add.reduceat(values, places[0], axis=0), places[1], axis=1)
    heights, widths = (
        np.diff(at, append=length) for at, length in zip(places, values.shape, strict=True)
    )
    return np.asarray(sums / np.outer(heights, widths))
