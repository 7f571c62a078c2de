"""A search as one HTML page: no script, nothing loaded from anywhere, inert whatever the names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import InvalidInputError
from imgsim_fast.report.explained import explained
from imgsim_fast.report.figures import GreyAxis, area_between, cdf_figure, histogram_figure
from imgsim_fast.report.names import display_name
from imgsim_fast.report.seen import (
    MOST_DRAWN,
    Drawn,
    Seen,
    reading,
    small_caption,
    small_figure,
)
from imgsim_fast.report.template import load_template, shown_image
from imgsim_fast.report.words import (
    format_distance,
    format_duration,
    range_in_words,
    settings_in_words,
)

__all__ = ["ReportImage", "ReportMatch", "Reranked", "SearchReport", "render_search"]


@dataclass(frozen=True, slots=True)
class ReportImage:
    """What the page shows of one image.

    Attributes
    ----------
    name : bytes or str
        Path as the file system has it; may contain anything.
    width, height : int
        Size of the image in pixels.
    thumbnail : bytes
        From `make_thumbnail`, or empty if the image could not be read again.
    counts : ndarray of shape (bins,), or None
        Grey histogram; non-negative, total above 0. None where there is none to draw: then no
        image of the page has one.
    """

    name: bytes | str
    width: int
    height: int
    thumbnail: bytes
    counts: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class ReportMatch:
    """A match and its distance from the query, or similarity to it.

    Attributes
    ----------
    image : ReportImage
    distance : float
    seen : ColorFlow or ColorBins, optional
        What the measure `SearchReport.drawn` saw of the query and this image. Of one kind for all
        matches that have it.
    """

    image: ReportImage
    distance: float
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Reranked:
    """The measure that ranked again what another one had chosen.

    Attributes
    ----------
    measure : str
    options : mapping
    unit : str
    higher_is_better : bool
    candidates : int
        How many it ranked, or would have.
    left_out : int
        Candidates that could not be read any more.
    value_range : (float, float)
        Least and greatest value of the measure, infinite where there is no such.
    """

    measure: str
    options: Mapping[str, object]
    unit: str
    higher_is_better: bool
    candidates: int
    left_out: int = 0
    value_range: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class SearchReport:
    """A finished search.

    Attributes
    ----------
    query : ReportImage
        What was looked for.
    matches : sequence of ReportMatch
        Ranked, best first; may be empty.
    measure : str
        Name of the index's measure, "wasserstein" for the 1-D distance of grey levels.
    options : mapping
        Of that measure; where grey histograms are drawn, "bins", "range" and "p" (default 256,
        (0, 256) and 1).
    searched : int
        Number of images searched.
    seconds : float
        Time of the search.
    source : str or bytes
        Index or folder searched; may contain anything, as a name.
    skipped : int
        Files of the source that could not be read.
    unit : str
        Of that measure's values; empty for a bare number.
    higher_is_better : bool
        True where they are similarities.
    rerank : Reranked, optional
        Whose values and order the matches have, if not that measure's.
    value_range : (float, float)
        Least and greatest value of the index's measure, infinite where there is no such.
    drawn : Drawn, optional
        The measure whose sight of the matches is to be drawn; those without `seen` are counted.
    """

    query: ReportImage
    matches: Sequence[ReportMatch]
    measure: str
    options: Mapping[str, object]
    searched: int
    seconds: float
    source: str | bytes
    skipped: int = 0
    unit: str = ""
    higher_is_better: bool = False
    rerank: Reranked | None = None
    value_range: tuple[float, float] = (-math.inf, math.inf)
    drawn: Drawn | None = None


# ------------------------------------------------------------------ the page


def render_search(report: SearchReport) -> str:
    """Return the whole page as text that can be encoded as UTF-8.

    Raises
    ------
    InvalidInputError
        A histogram, a value or an option cannot be drawn; the message names it.
    """
    ranking = report.rerank or report
    has_counts = report.query.counts is not None
    grey_levels = has_counts and ranking is report and report.measure == "wasserstein"
    curves = _Curves(report, grey_levels) if has_counts else None
    for match in report.matches:
        if not math.isfinite(match.distance):
            name = display_name(match.image.name)
            raise InvalidInputError(f"distance of {name!r} is {match.distance}")
    higher = ranking.higher_is_better
    # A full bar: the greatest of the distances; the best that a similarity can be, if that is
    # known, else the best of these.
    sizes = [max(m.distance, 0.0) if higher else abs(m.distance) for m in report.matches]
    best = ranking.value_range[1] if higher else math.inf
    longest = best if math.isfinite(best) else max(sizes, default=0.0)
    matches = []
    for rank, (match, size) in enumerate(zip(report.matches, sizes, strict=True), 1):
        matches.append(
            {
                "rank": rank,
                "image": _shown(match.image),
                "distance": format_distance(match.distance),
                "share": min(round(100 * size / longest), 100) if longest > 0 else 0,
                **_drawing(rank, match.seen),
                **({} if curves is None else curves.of_match(rank, match)),
            }
        )
    word = "similarity" if higher else "distance"
    bar = f"The bar below each {word} "
    if math.isfinite(best):
        bar += f"has its full length at {best:g}, the best there is"
        bar += "; 0 and less have none." if ranking.value_range[0] < 0 else "."
    elif higher:
        bar += "compares it with the highest one on this page; 0 and less have none."
    else:
        bar += "compares it with the greatest on this page."
    explanation = explained(ranking.measure, ranking.options)
    template, style, style_hash = load_template("search.html.j2", "search.css")
    return template.render(
        style=style,
        style_hash=style_hash,
        query=_shown(report.query),
        matches=matches,
        measure=display_name(ranking.measure),
        unit=display_name(ranking.unit),
        word=word,
        direction="higher" if higher else "lower",
        bar=bar,
        reading=_how_to_read(report),
        explained=explanation,
        range=range_in_words(ranking.value_range),
        grey_levels=grey_levels,
        options=settings_in_words(ranking.options),
        rerank=_rerank_in_words(report),
        searched=f"{report.searched:,}",
        one_searched=report.searched == 1,
        duration=format_duration(report.seconds),
        source=display_name(report.source),
        skipped=f"{report.skipped:,}" if report.skipped else "",
        curves=curves is not None,
        **({} if curves is None else curves.of_query()),
    )


def _rerank_in_words(report: SearchReport) -> dict[str, object]:
    """Nothing where the search was not ranked again."""
    again = report.rerank
    if again is None:
        return {}
    options = settings_in_words(report.options)
    one = again.candidates == 1
    return {
        "chosen_by": display_name(report.measure),
        "count": f"{again.candidates:,}",
        "candidates": "1 candidate" if one else f"{again.candidates:,} candidates",
        "one": one,
        "options": f" ({options})" if options else "",
        "left_out": f"{again.left_out:,}" if again.left_out else "",
    }


def _drawing(rank: int, seen: Seen | None) -> dict[str, str]:
    if seen is None:
        return {"drawing": "", "caption": ""}
    return {"drawing": small_figure(f"f{rank}", seen), "caption": small_caption(seen)}


def _how_to_read(report: SearchReport) -> str:
    """Say how to read what the measure saw, and of which matches it is drawn."""
    drawn = report.drawn
    if drawn is None or not report.matches:
        return ""
    seen = [match.seen for match in report.matches if match.seen is not None]
    name = display_name(drawn.measure)
    if not seen:
        return f"What “{name}” saw is not drawn: the search has not kept its descriptors."
    words = reading(seen[0], drawn.options)
    if report.rerank is not None and drawn.measure != report.rerank.measure:
        words += f" That is what “{name}” saw, which chose the candidates."
    first = min(MOST_DRAWN, len(report.matches))
    if len(seen) < first:
        words += f" Drawn for {len(seen)} of the first {first} matches: the search has not kept "
        words += "the descriptors of the others."
    elif len(seen) < len(report.matches):
        words += f" Drawn for the first {len(seen)} of the {len(report.matches):,} matches."
    return words


def _shown(image: ReportImage) -> dict[str, str]:
    return shown_image(image.name, image.width, image.height, image.thumbnail)


class _Curves:
    """The drawings of grey histograms in a page whose images have them."""

    def __init__(self, report: SearchReport, grey_levels: bool) -> None:
        self._axis = _axis(report)
        self._p = _exponent(report.options)
        self._query = _shares(report.query, self._axis)
        # Only W1 is an area, and only of the very histograms that were compared.
        self._is_distance = grey_levels and self._p == "1"

    def of_query(self) -> dict[str, object]:
        """Return what the template needs once."""
        axis = self._axis
        return {
            "query_histogram": histogram_figure("q", axis, self._query),
            "p": self._p,
            "bins": axis.bins,
            "low": f"{axis.low:.6g}",
            "high": f"{axis.high:.6g}",
        }

    def of_match(self, rank: int, match: ReportMatch) -> dict[str, object]:
        """Return what the template needs for each match."""
        axis, query = self._axis, self._query
        shares = _shares(match.image, axis)
        area = area_between(query, shares, axis)
        words = f"{format_distance(area)} grey levels"
        return {
            "area": words,
            "area_is_distance": self._is_distance
            and math.isclose(area, match.distance, rel_tol=1e-6, abs_tol=1e-9),
            "histogram": histogram_figure(f"h{rank}", axis, query, shares),
            "cdf": cdf_figure(f"c{rank}", axis, query, shares, words),
        }


def _axis(report: SearchReport) -> GreyAxis:
    bins = 0 if report.query.counts is None else len(report.query.counts)
    given: Any = report.options.get("range") or (0, 256)
    try:
        low, high = (float(edge) for edge in given)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInputError(f"range {report.options['range']!r} is not an interval")
    if report.options.get("bins", bins) != bins:
        raise InvalidInputError(
            f"histogram of the query has {bins} bins, the options say {report.options['bins']!r}"
        )
    return GreyAxis(bins, low, high)


def _exponent(options: Mapping[str, object]) -> str:
    p = options.get("p", 1)
    if isinstance(p, (int, float, np.integer, np.floating)) and p > 0:
        return "∞" if math.isinf(p) else f"{float(p):g}"
    raise InvalidInputError(f"p must be a positive number, not {p!r}")


def _shares(image: ReportImage, axis: GreyAxis) -> NDArray[np.float64]:
    name = display_name(image.name)
    if image.counts is None:
        raise InvalidInputError(f"{name!r} has no histogram, the query has one")
    counts = np.asarray(image.counts, dtype=np.float64)
    if counts.shape != (axis.bins,):
        raise InvalidInputError(
            f"histogram of {name!r} has shape {counts.shape}, expected ({axis.bins},)"
        )
    total = float(counts.sum())
    if not (math.isfinite(total) and total > 0 and counts.min() >= 0):
        raise InvalidInputError(f"histogram of {name!r} is not a distribution: total {total:g}")
    return np.asarray(counts / total)
