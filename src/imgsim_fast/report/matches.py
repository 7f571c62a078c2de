"""The drawing of points that are found again: two images, and lines from the one to the other.

As in `figures`: numbers and fixed words only, so the markup needs no escaping. The images are
elements of the page with the ids `FIRST` and `SECOND`; here they are only used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.report.figures import titled

__all__ = ["FIRST", "MOST_LINES", "SECOND", "Points", "Size", "matches_figure"]

FIRST, SECOND = "first_pixels", "second_pixels"
MOST_LINES = 100  # more hide the images

Points = NDArray[np.float64]
Size = tuple[int, int]

_GAP = 12.0
_WIDE, _NARROW = 1200.0, 600.0  # widths of the two drawings
_TALLEST = 600.0  # height of an image
_DOT = 3.0
_FIRST_HUE = 60  # yellow


class _Place(NamedTuple):
    """Where an image lies in a drawing."""

    x: float
    y: float
    width: float
    height: float


def matches_figure(ids: str, sizes: tuple[Size, Size], points1: Points, points2: Points) -> str:
    """Draw matching points, beside each other for wide pages and below each other for narrow ones.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    sizes : ((int, int), (int, int))
        Width and height of the elements with the images.
    points1, points2 : ndarray, shape (m, 2)
        Matching points as shares of width and height; at most 100 are drawn, evenly chosen.
    """
    chosen = np.linspace(0, len(points1) - 1, min(len(points1), MOST_LINES)).astype(np.int64)
    ends = points1[chosen], points2[chosen]
    return _drawn(f"{ids}w", "beside", _beside(*sizes), _WIDE, sizes, *ends) + _drawn(
        f"{ids}n", "below", _below(*sizes), _NARROW, sizes, *ends
    )


def _beside(first: Size, second: Size) -> tuple[_Place, _Place]:
    shapes = [width / height for width, height in (first, second)]
    height = min(_TALLEST, (_WIDE - _GAP) / sum(shapes))
    widths = [shape * height for shape in shapes]
    left = (_WIDE - _GAP - sum(widths)) / 2
    return (
        _Place(left, 0, widths[0], height),
        _Place(left + widths[0] + _GAP, 0, widths[1], height),
    )


def _below(first: Size, second: Size) -> tuple[_Place, _Place]:
    scales = [min(_NARROW / width, _TALLEST / height) for width, height in (first, second)]
    (w1, h1), (w2, h2) = (
        (width * scale, height * scale)
        for (width, height), scale in zip((first, second), scales, strict=True)
    )
    return (
        _Place((_NARROW - w1) / 2, 0, w1, h1),
        _Place((_NARROW - w2) / 2, h1 + _GAP, w2, h2),
    )


def _drawn(
    ids: str, kind: str, places: tuple[_Place, _Place], width: float, sizes: tuple[Size, Size],
    points1: Points, points2: Points,
) -> str:  # fmt: skip
    height = max(place.y + place.height for place in places)
    parts = [
        f'<svg class="figure matches {kind}" viewBox="0 0 {width:g} {height:.6g}" '
        + titled(
            ids,
            "Points of the first image found again in the second",
            f"Both images, and {len(points1)} lines from points of the first to the same points "
            "of the second.",
        )
    ]
    for name, place, (w, h) in zip((FIRST, SECOND), places, sizes, strict=True):
        scale = f"scale({place.width / w:.6g} {place.height / h:.6g})"
        parts.append(
            f'<use href="#{name}" transform="translate({place.x:.6g} {place.y:.6g}) {scale}"/>'
        )
    drawn = []
    for ends in zip(points1, points2, strict=True):
        (x1, y1), (x2, y2) = (
            (place.x + point[0] * place.width, place.y + point[1] * place.height)
            for place, point in zip(places, ends, strict=True)
        )
        drawn.append(f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}{_ring(x1, y1)}{_ring(x2, y2)}")
    # Bright lines over one dark edge below all of them: seen on light, dark and coloured images.
    parts.append(f'<path class="edge" d="{"".join(drawn)}"/>')
    for number, line in enumerate(drawn):
        hue = (_FIRST_HUE + number * 137) % 360  # neighbours in the list get far colours
        parts.append(f'<path stroke="hsl({hue} 95% 66%)" d="{line}"/>')
    return "".join(parts) + "</svg>"


def _ring(x: float, y: float) -> str:
    """Path of a circle around a point."""
    half = f"a{_DOT:g} {_DOT:g} 0 1 0"
    return f"M{x - _DOT:.1f} {y:.1f}{half} {2 * _DOT:g} 0{half} {-2 * _DOT:g} 0"
