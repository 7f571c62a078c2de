"""What each measure saw of two images: drawings and pictures, by the kind of measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict, cast

import numpy as np

from imgsim_fast.measures import Comparison
from imgsim_fast.report.colors import color_bins_figure, flow_figure
from imgsim_fast.report.figures import GreyAxis, area_between, cdf_figure, histogram_figure
from imgsim_fast.report.matches import MOST_LINES, Size, matches_figure
from imgsim_fast.report.overlays import LONGEST, similarity_picture
from imgsim_fast.report.seen import bins_in_words, bins_of, flow_of
from imgsim_fast.report.template import data_uri
from imgsim_fast.report.words import TIMES, format_distance

__all__ = ["Sight", "sights_of"]


class Sight(TypedDict):
    """A drawing (markup) or a picture (data URI), and what it shows in words."""

    caption: str
    drawing: str
    picture: str
    wide: bool  # shown across the whole page


def sights_of(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    """Draw what a measure saw; nothing where it has no value or there is nothing to draw.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    comparison : Comparison
    sizes : ((int, int), (int, int))
        Width and height of the elements that hold the images, for drawings on them.
    """
    if comparison.kind is None or comparison.value is None:
        return []
    draw = _DRAWN.get(comparison.kind.drawn_as)
    return [] if draw is None else draw(ids, comparison, sizes)


def _drawing(drawing: str, caption: str, *, wide: bool = False) -> Sight:
    return {"drawing": drawing, "picture": "", "caption": caption, "wide": wide}


def _picture(picture: bytes, caption: str) -> Sight:
    return {"drawing": "", "picture": data_uri(picture, caption), "caption": caption, "wide": False}


def _grey_levels(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    counts = [np.asarray(row, np.float64) for row in comparison.descriptors]
    q, m = (row / row.sum() for row in counts)
    low, high = cast("tuple[float, float]", comparison.options["range"])
    axis = GreyAxis(len(q), float(low), float(high))
    area = f"{format_distance(area_between(q, m, axis))} grey levels"
    return [
        _drawing(
            histogram_figure(f"{ids}h", axis, q, m),
            "Pixels per grey level: the first image up, the second down.",
        ),
        _drawing(
            cdf_figure(f"{ids}c", axis, q, m, area),
            f"The share of pixels as dark or darker; the area between the curves is {area}.",
        ),
    ]


def _bins(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    first, second = comparison.descriptors
    seen = bins_of(comparison.kind, first, second)
    return [
        _drawing(
            color_bins_figure(f"{ids}b", seen),
            f"Pixels per bin, {bins_in_words(seen)} in their colours: the first image up, the "
            "second down.",
        )
    ]


def _flow(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    first, second = comparison.descriptors
    return [
        _drawing(
            flow_figure(f"{ids}f", flow_of(comparison.kind, first, second)),
            "Which colour mass moved where: the first image's colours left, the second's right.",
        )
    ]


def _structure(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    kind: Any = comparison.kind
    values = kind.map_of(*comparison.descriptors, longest=LONGEST)
    step = kind.map_step(comparison.descriptors[0], LONGEST)
    caption = "Where the images agree in structure: light where they do, dark where they differ."
    if step > 1:
        caption += f" Each point is the mean over {step} {TIMES} {step} pixels."
    return [_picture(similarity_picture(values), caption)]


def _matches(ids: str, comparison: Comparison, sizes: tuple[Size, Size]) -> list[Sight]:
    kind: Any = comparison.kind
    found = kind.match(*comparison.descriptors)
    ends = [
        np.asarray(points[found.inliers], np.float64) / size
        for points, size in ((found.points1, found.size1), (found.points2, found.size2))
    ]
    count = len(ends[0])
    if count == 0:
        return [
            _drawing("", "No point of the first image is found again in the second.", wide=True)
        ]
    words = "1 point" if count == 1 else f"{count:,} points"
    caption = f"{words} of the first image found again in the second."
    if count > MOST_LINES:
        caption += f" Lines join {MOST_LINES} of them."
    elif count > 1:
        caption += " A line joins each with its counterpart."
    return [_drawing(matches_figure(f"{ids}k", sizes, *ends), caption, wide=True)]


_Draw = Callable[[str, Comparison, tuple[Size, Size]], list[Sight]]

_DRAWN: dict[str, _Draw] = {
    "grey levels": _grey_levels,
    "bins": _bins,
    "flow": _flow,
    "structure": _structure,
    "matches": _matches,
}
