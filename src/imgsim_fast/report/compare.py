"""The page of a comparison: two images, the value of each measure, and what each one saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgsim_fast import images
from imgsim_fast.measures import Comparison, measures
from imgsim_fast.report.names import display_name
from imgsim_fast.report.sights import sights_of
from imgsim_fast.report.template import load_template, shown_image
from imgsim_fast.report.thumbnails import make_thumbnail
from imgsim_fast.report.words import format_distance, format_duration

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["comparison_page", "direction_of"]


def comparison_page(image1: str, image2: str, comparisons: Sequence[Comparison]) -> str:
    """Write the page of a finished comparison, as one HTML text.

    Parameters
    ----------
    image1, image2 : str
        Paths of the images; they are read again.
    comparisons : sequence of Comparison
        From :func:`imgsim_fast.compare_all`.
    """
    first, second = _read(image1), _read(image2)
    template, style, style_hash = load_template("compare.html.j2", "search.css", "compare.css")
    rows = [_in_words(comparison) for comparison in comparisons]
    cards: dict[str, dict[str, Any]] = {}
    for number, (comparison, row) in enumerate(zip(comparisons, rows, strict=True), 1):
        seen = comparison.measure
        if comparison.kind is not None and comparison.kind.drawn_as == "bins":
            seen = f"bins {comparison.options}"  # measures of the same histograms share a card
        if seen not in cards:
            sights = sights_of(f"s{number}", comparison, first, second)
            if not sights:
                continue
            cards[seen] = {"number": number, "rows": [], "sights": sights}
        cards[seen]["rows"].append(row)
        row["card"] = cards[seen]["number"]
    return template.render(
        style=style,
        style_hash=style_hash,
        first=_shown(image1, first),
        second=_shown(image2, second),
        rows=rows,
        used=sum(comparison.value is not None for comparison in comparisons),
        cards=list(cards.values()),
    )


def _in_words(comparison: Comparison) -> dict[str, Any]:
    return {
        "card": 0,
        "name": display_name(comparison.measure),
        "summary": measures().get(comparison.measure, ""),
        "value": "" if comparison.value is None else format_distance(comparison.value),
        "unit": comparison.unit,
        "direction": direction_of(comparison),
        "time": format_duration(comparison.seconds),
        "problem": display_name(comparison.problem),
    }


def direction_of(comparison: Comparison) -> str:
    """Say in a word where the values of a measure go when images get more alike."""
    return "higher" if comparison.higher_is_better else "lower"


def _read(path: str) -> Image:
    return images.upright(images.open_pixels(images.read_source(path)))


def _shown(path: str, image: Image) -> dict[str, str]:
    return shown_image(path, image.width, image.height, make_thumbnail(image, 480))
