"""The page of a comparison: two images, the value of each measure, and what each one saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgsim_fast.measures import Comparison, measures
from imgsim_fast.report.explained import explained
from imgsim_fast.report.matches import FIRST, SECOND
from imgsim_fast.report.names import display_name
from imgsim_fast.report.sights import sights_of
from imgsim_fast.report.template import data_uri, load_template, shown_image
from imgsim_fast.report.thumbnails import make_thumbnail, read_small
from imgsim_fast.report.words import format_distance, format_duration, range_in_words

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["comparison_page", "direction_of"]

_THUMBNAIL = 480  # pixels
_UNDER_MATCHES = 720  # pixels of an image that lines are drawn on


def comparison_page(image1: str, image2: str, comparisons: Sequence[Comparison]) -> str:
    """Write the page of a finished comparison, as one HTML text.

    Parameters
    ----------
    image1, image2 : str
        Paths of the images; they are read again, for small copies.
    comparisons : sequence of Comparison
        From :func:`imgsim_fast.compare_all`.
    """
    (first, size1), (second, size2) = (
        read_small(path, _UNDER_MATCHES) for path in (image1, image2)
    )
    template, style, style_hash = load_template("compare.html.j2", "search.css", "compare.css")
    rows = [_in_words(comparison) for comparison in comparisons]
    cards: dict[str, dict[str, Any]] = {}
    for number, (comparison, row) in enumerate(zip(comparisons, rows, strict=True), 1):
        seen = comparison.measure
        if comparison.kind is not None and comparison.kind.drawn_as == "bins":
            seen = f"bins {comparison.options}"  # measures of the same histograms share a card
        if seen not in cards:
            sights = sights_of(f"s{number}", comparison, (first.size, second.size))
            if not sights:
                continue
            wide = any(sight["wide"] for sight in sights)
            cards[seen] = {"number": number, "rows": [], "sights": sights, "wide": wide}
        cards[seen]["rows"].append(row)
        row["card"] = cards[seen]["number"]
    shown = list(cards.values())
    return template.render(
        style=style,
        style_hash=style_hash,
        first=shown_image(image1, *size1, make_thumbnail(first, _THUMBNAIL)),
        second=shown_image(image2, *size2, make_thumbnail(second, _THUMBNAIL)),
        rows=rows,
        used=[row for row in rows if row["value"]],
        cards=[card for card in shown if not card["wide"]],
        wide_cards=[card for card in shown if card["wide"]],
        pixels=[
            _pixels(name, path, image)
            for name, path, image in ((FIRST, image1, first), (SECOND, image2, second))
            if any(card["wide"] for card in shown)
        ],
    )


def _in_words(comparison: Comparison) -> dict[str, Any]:
    name, options = comparison.measure, comparison.options
    least, most = comparison.value_range
    best = most if comparison.higher_is_better else least
    return {
        "card": 0,
        "name": display_name(name),
        "summary": explained(name, options) or display_name(measures().get(name, "")),
        "value": "" if comparison.value is None else format_distance(comparison.value),
        "unit": display_name(comparison.unit),
        "range": range_in_words(comparison.value_range),
        "direction": direction_of(comparison),
        "best": f"{best:g}" if math.isfinite(best) else "",
        "time": format_duration(comparison.seconds),
        "problem": display_name(comparison.problem),
    }


def direction_of(comparison: Comparison) -> str:
    """Say in a word where the values of a measure go when images get more alike."""
    return "higher" if comparison.higher_is_better else "lower"


def _pixels(name: str, path: str, image: Image) -> dict[str, object]:
    """Return an image that drawings of the page use by its name."""
    uri = data_uri(make_thumbnail(image, _UNDER_MATCHES), path)
    return {"name": name, "uri": uri, "width": image.width, "height": image.height}
