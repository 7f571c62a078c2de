"""Earth Mover's Distance between the colours of two images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from imgsim_fast._validate import as_choice, as_count, as_number
from imgsim_fast.descriptors import rgb_pixels
from imgsim_fast.errors import InvalidInputError
from imgsim_fast.histogram import histogram
from imgsim_fast.measures.base import Measure
from imgsim_fast.pairwise import cdist
from imgsim_fast.palette import color_palette, rgb_to_lab
from imgsim_fast.rows import RaggedRows, Row, Rows
from imgsim_fast.transport import transport

if TYPE_CHECKING:
    from PIL.Image import Image

_PALETTE, _HISTOGRAM = "palette", "histogram"
_MOST_COLORS = 256
_MOST_BINS = 16  # a channel: at most 4,096 points
_FAR = 1e3  # no coordinate of an sRGB colour in CIELAB is as great
_SLACK = 1e-9  # of shares and places: far more than their rounding errors


class ColorEMD(Measure):
    """Least work that turns the colours of one image into those of another, in CIELAB.

    A distance of 5 says: a pixel has to change its colour by 5 on average, where 2.3 is a just
    noticeable difference and 100 the way from black to white (Rubner, Tomasi, Guibas 2000). Exact:
    each distance is the optimum of its transport problem.

    Parameters
    ----------
    colors : int
        Colours of the palette, 1 to 256.
    position : float
        How far apart, as a difference of colour, are two pixels of one colour that lie the longer
        side of the image apart; 0: only colours count. For palettes only.
    threshold : float or None
        Differences above it count as it: ``min(d, threshold)`` (Pele, Werman 2009).
    descriptor : {"palette", "histogram"}
        "palette": colours found by k-means (:func:`imgsim_fast.color_palette`). "histogram": the
        occupied bins of a joint RGB histogram, at their centres.
    bins : int
        Bins a channel of "histogram", 1 to 16.
    """

    name = "emd"
    unit: ClassVar[str] = "CIELAB"
    row_dtype = np.dtype(np.float64)
    row_length = None
    near_identical = 3.5
    drawn_as = "flow"

    def __init__(
        self,
        colors: int = 16,
        position: float = 0.0,
        threshold: float | None = None,
        descriptor: str = _PALETTE,
        bins: int = 8,
    ) -> None:
        self._colors = as_count("colors", colors)
        if self._colors > _MOST_COLORS:
            raise InvalidInputError(f"colors must be at most {_MOST_COLORS}, got {colors}")
        self._position = as_number("position", position, least=0, most=1e6)
        self._threshold = (
            None if threshold is None else as_number("threshold", threshold, least=0, most=1e6)
        )
        if self._threshold == 0:
            raise InvalidInputError("threshold must be above 0, got 0")
        self.value_range = (0.0, math.inf if self._threshold is None else self._threshold)
        self._descriptor = as_choice("descriptor", descriptor, (_PALETTE, _HISTOGRAM))
        if self._position and descriptor == _HISTOGRAM:
            raise InvalidInputError(f"position is for palettes, got {position} with a histogram")
        self._bins = as_count("bins", bins)
        if self._bins > _MOST_BINS:
            raise InvalidInputError(f"bins must be at most {_MOST_BINS}, got {bins}")
        # Weight, the point that the ground distance sees, and the colour in sRGB to look at.
        self._dims = 5 if self._position else 3
        self._columns = 1 + self._dims + 3
        place = [self._position * (1 + _SLACK)] * (self._dims - 3)
        self._lowest = np.array([0, *[-_FAR] * 3, *[-p for p in place], 0, 0, 0])
        self._highest = np.array([1 + _SLACK, *[_FAR] * 3, *place, 255, 255, 255])

    @property
    def options(self) -> Mapping[str, Any]:
        """What the colours are and how far apart."""
        return {
            "colors": self._colors,
            "position": self._position,
            "threshold": self._threshold,
            "descriptor": self._descriptor,
            "bins": self._bins,
        }

    def describe(self, image: Image | NDArray[Any]) -> Row:
        """Rows (share, L, a, b, [x, y,] R, G, B), one after the other, float64."""
        pixels = rgb_pixels(image)
        if self._descriptor == _PALETTE:
            palette = color_palette(pixels, self._colors, position_weight=self._position)
            return np.column_stack([palette.weights, palette.points, palette.rgb]).ravel()
        counts = histogram(pixels, self._bins)
        occupied = np.argwhere(counts)
        centres = (occupied + 0.5) * (256 / self._bins) - 0.5
        shares = counts[tuple(occupied.T)] / counts.sum()
        return np.column_stack([shares, rgb_to_lab(centres / 255), centres]).ravel()

    def values(self, query: Row, rows: Rows, threads: int) -> NDArray[np.float64]:
        """Distance of the query's colours to those of each row."""
        if len(rows) == 0:
            return np.empty(0)
        bad = self.first_bad(rows)  # far cheaper than the distances, which damage may leave finite
        if bad is not None:
            raise InvalidInputError(f"rows[{bad[0]}] {bad[1]}")
        found: NDArray[np.float64] = cdist(
            [self._signature(query)],
            [self._signature(row) for row in rows],
            "emd",
            threshold=self._threshold,
            mass="normalize",
            threads=threads,
        )
        return found.reshape(-1)

    def palette_of(self, row: Row) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
        """Colours in sRGB, shape (k, 3), and their shares."""
        table = row.reshape(-1, self._columns)
        return np.rint(table[:, -3:]).astype(np.uint8), np.array(table[:, 0])

    def flow(
        self, a: Row, b: Row
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Which share of the pixels goes from which colour of a to which of b."""
        first, second = self._signature(a), self._signature(b)
        plan = transport(
            first[0], second[0], positions=(first[1], second[1]), threshold=self._threshold,
            mass="normalize",
        )  # fmt: skip
        sources, targets, amounts = plan.flow
        return sources, targets, amounts / amounts.sum()

    def first_bad(self, rows: Rows) -> tuple[int, str] | None:
        """Find a row that is no palette."""
        packed = rows if isinstance(rows, RaggedRows) else RaggedRows.of(list(rows), self.row_dtype)
        lengths = np.diff(packed.offsets)
        odd = np.flatnonzero((lengths == 0) | (lengths % self._columns != 0))
        if odd.size:
            return int(odd[0]), "is no palette"
        if not lengths.size:
            return None
        table = packed.values[packed.offsets[0] : packed.offsets[-1]].reshape(-1, self._columns)
        starts = (packed.offsets - packed.offsets[0])[:-1] // self._columns
        # NaN is inside of nothing.
        inside = ((table >= self._lowest) & (table <= self._highest)).all(axis=1)
        odd = np.flatnonzero(~np.logical_and.reduceat(inside, starts))
        if odd.size:
            return int(odd[0]), "is no palette: a number is none that a colour has"
        odd = np.flatnonzero(abs(np.add.reduceat(table[:, 0], starts) - 1) > _SLACK)
        return (int(odd[0]), "is no palette: its shares do not add up to 1") if odd.size else None

    def _signature(self, row: Row) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        table = row.reshape(-1, self._columns)
        return (
            np.ascontiguousarray(table[:, 0]),
            np.ascontiguousarray(table[:, 1 : 1 + self._dims]),
        )
