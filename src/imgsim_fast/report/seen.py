"""What a measure of colours saw of two images: as data, and small enough for many on one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.images import to_grey
from imgsim_fast.measures import Measure
from imgsim_fast.report.colors import (
    ColorBins,
    ColorFlow,
    Palette,
    color_bins_figure,
    flow_figure,
)
from imgsim_fast.rows import Row

__all__ = [
    "MOST_DRAWN",
    "Drawn",
    "Seen",
    "bins_in_words",
    "bins_of",
    "flow_of",
    "is_drawn_small",
    "reading",
    "seen_small",
    "small_caption",
    "small_figure",
]

Seen = ColorFlow | ColorBins

MOST_DRAWN = 12  # matches of a page

_BINS_SHOWN = 32
_MOST_COLORS = 22  # of a small drawing, a side; the default palette has 16
_MOST_BANDS = 39  # all of two palettes of 20 colours
_QUERY_AND_MATCH = ("query", "match")


@dataclass(frozen=True, slots=True)
class Drawn:
    """The measure of which a page of matches draws what it saw, and its options."""

    measure: str
    options: Mapping[str, object]


def flow_of(kind: Any, a: Row, b: Row) -> ColorFlow:
    """Return the plan between two descriptors of a measure that is drawn as "flow"."""
    sources, targets, amounts = kind.flow(a, b)
    first, sources = _by_lightness(kind.palette_of(a), sources)
    second, targets = _by_lightness(kind.palette_of(b), targets)
    return ColorFlow(first, second, sources, targets, amounts, len(amounts))


def bins_of(kind: Any, a: Row, b: Row, most: int = _BINS_SHOWN) -> ColorBins:
    """Return the fullest bins of two descriptors of a measure that is drawn as "bins"."""
    return ColorBins(*kind.fullest_bins(a, b, most))


def bins_in_words(bins: ColorBins) -> str:
    """Say which bins are shown."""
    count = len(bins.colors)
    if count < bins.total:
        return f"the {count} fullest of {bins.total:,} bins"
    return f"all {bins.total} bins"


def _by_lightness(palette: Palette, ends: NDArray[np.int64]) -> tuple[Palette, NDArray[np.int64]]:
    """Order a palette from light to dark: bands between like colours then run level."""
    colors, shares = palette
    order = np.argsort(-to_grey(colors[None])[0].astype(np.int64), kind="stable")
    return (colors[order], shares[order]), _places(order, len(order))[ends]


def _places(kept: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return where each of so many has come to, -1 for those left out."""
    places = np.full(count, -1)
    places[kept] = np.arange(len(kept))
    return places


# ---- many on one page --------------------------------------------------------------------------


def is_drawn_small(kind: Measure) -> bool:
    """Tell whether the page of a search draws what the measure saw of each match."""
    return kind.drawn_as in ("flow", "bins")


def seen_small(kind: Measure, query: Row, match: Row) -> Seen:
    """Return what the measure saw, or the weightiest part of it: O(1) to draw."""
    if kind.drawn_as == "bins":
        return bins_of(kind, query, match)
    return _weightiest(flow_of(kind, query, match))


def _weightiest(flow: ColorFlow) -> ColorFlow:
    """Keep the fullest colours and, between these, the widest bands."""
    palettes, ends = [], []
    for (colors, shares), end in ((flow.first, flow.sources), (flow.second, flow.targets)):
        kept = np.sort(np.argsort(-shares, kind="stable")[:_MOST_COLORS])
        palettes.append((colors[kept], shares[kept]))
        ends.append(_places(kept, len(shares))[end])
    between = np.flatnonzero((ends[0] >= 0) & (ends[1] >= 0))
    kept = between[np.argsort(-flow.amounts[between], kind="stable")[:_MOST_BANDS]]
    return ColorFlow(
        palettes[0], palettes[1], ends[0][kept], ends[1][kept], flow.amounts[kept], flow.bands
    )


def small_figure(ids: str, seen: Seen) -> str:
    """Draw it, half as high as on the page of a comparison."""
    if isinstance(seen, ColorFlow):
        return flow_figure(ids, seen, 110.0, _QUERY_AND_MATCH)
    return color_bins_figure(ids, seen, 44.0, _QUERY_AND_MATCH)


def small_caption(seen: Seen) -> str:
    """Say on a card which side is whose."""
    if isinstance(seen, ColorBins):
        return f"Pixels per bin, {bins_in_words(seen)}: query up, match down."
    words = "The query's colours left, the match's right"
    count = len(seen.amounts)
    if count < seen.bands:
        words += f": {count} of {seen.bands:,} bands, the widest between the fullest colours"
    return f"{words}."


def reading(seen: Seen, options: Mapping[str, object]) -> str:
    """Say in a sentence how to read such drawings."""
    if isinstance(seen, ColorBins):
        return (
            "Each bar is a bin of colours, drawn in its colour and as long as the share of the "
            "pixels in it, the query's upwards and the match's downwards: bars equally long both "
            "ways are what the images have in common."
        )
    words = (
        "The bands show how the query's colours, on the left, become those of the match, on the "
        "right, with the least work: each is as wide as the share of the pixels that it carries, "
        "and the less it changes its colour on the way, the smaller its part in the distance"
    )
    return words + ("; places count as well and are not drawn." if options.get("position") else ".")
