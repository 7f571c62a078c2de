"""What each measure saw of two images: drawings and pictures, by the kind of measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.images import to_grey
from imgsim_fast.measures import Comparison
from imgsim_fast.report.colors import color_bins_figure, flow_figure
from imgsim_fast.report.figures import GreyAxis, area_between, cdf_figure, histogram_figure
from imgsim_fast.report.overlays import match_picture, similarity_picture
from imgsim_fast.report.template import data_uri
from imgsim_fast.report.words import format_distance

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Sight", "sights_of"]

_BINS_SHOWN = 32


class Sight(TypedDict):
    """A drawing (markup) or a picture (data URI), and what it shows in words."""

    caption: str
    drawing: str
    picture: str


def sights_of(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
    """Draw what a measure saw; nothing where it has no value or there is nothing to draw.

    Parameters
    ----------
    ids : str
        Prefix of the element ids, unique in the page.
    comparison : Comparison
    first, second : PIL.Image.Image
        The upright images.
    """
    if comparison.kind is None or comparison.value is None:
        return []
    draw = _DRAWN.get(comparison.kind.drawn_as)
    return [] if draw is None else draw(ids, comparison, first, second)


def _drawing(drawing: str, caption: str) -> Sight:
    return {"drawing": drawing, "picture": "", "caption": caption}


def _picture(picture: bytes, caption: str) -> Sight:
    return {"drawing": "", "picture": data_uri(picture, caption), "caption": caption}


def _grey_levels(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
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


def _bins(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
    kind: Any = comparison.kind
    colors, shares1, shares2, total = kind.fullest_bins(*comparison.descriptors, _BINS_SHOWN)
    of = f"the {len(colors)} fullest of {total:,}" if len(colors) < total else f"all {total}"
    return [
        _drawing(
            color_bins_figure(f"{ids}b", colors, shares1, shares2),
            f"Pixels per bin, {of} bins in their colours: the first image up, the second down.",
        )
    ]


def _flow(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
    kind: Any = comparison.kind
    sources, targets, amounts = kind.flow(*comparison.descriptors)
    (left, sources), (right, targets) = (
        _by_lightness(kind.palette_of(row), ends)
        for row, ends in zip(comparison.descriptors, (sources, targets), strict=True)
    )
    return [
        _drawing(
            flow_figure(f"{ids}f", left, right, (sources, targets, amounts)),
            "Which colour mass moved where: the first image's colours left, the second's right.",
        )
    ]


_Palette = tuple[NDArray[np.uint8], NDArray[np.float64]]


def _by_lightness(palette: _Palette, ends: NDArray[np.int64]) -> tuple[_Palette, NDArray[np.int64]]:
    """Order a palette from light to dark: bands between like colours then run level."""
    colors, shares = palette
    order = np.argsort(-to_grey(colors[None])[0].astype(np.int64), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return (colors[order], shares[order]), place[ends]


def _structure(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
    kind: Any = comparison.kind
    return [
        _picture(
            similarity_picture(kind.map_of(*comparison.descriptors)),
            "Where the images agree in structure: light where they do, dark where they differ.",
        )
    ]


def _matches(ids: str, comparison: Comparison, first: Image, second: Image) -> list[Sight]:
    kind: Any = comparison.kind
    found = kind.match(*comparison.descriptors)
    pixels = [np.asarray(image.convert("RGB")) for image in (first, second)]
    points = [
        points[found.inliers] * (image.shape[1] / width, image.shape[0] / height)
        for points, image, (width, height) in zip(
            (found.points1, found.points2), pixels, (found.size1, found.size2), strict=True
        )
    ]
    count = len(points[0])
    words = "1 keypoint" if count == 1 else f"{count:,} keypoints"
    return [
        _picture(
            match_picture(pixels[0], pixels[1], points[0], points[1]),
            f"{words} of the first image found again in the second.",
        )
    ]


_Draw = Callable[[str, Comparison, "Image", "Image"], list[Sight]]

_DRAWN: dict[str, _Draw] = {
    "grey levels": _grey_levels,
    "bins": _bins,
    "flow": _flow,
    "structure": _structure,
    "matches": _matches,
}
