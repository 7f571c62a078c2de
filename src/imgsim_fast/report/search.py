"""The page of a search in an index: gathers what `page.render_search` draws."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgsim_fast import images
from imgsim_fast.report.page import ReportImage, ReportMatch, Reranked, SearchReport, render_search
from imgsim_fast.report.thumbnails import make_thumbnail, thumbnail_of

if TYPE_CHECKING:
    from imgsim_fast.index import Index, Matches
    from imgsim_fast.measures import Measure

__all__ = ["below", "search_page"]


def search_page(
    index: Index,
    query: str,
    matches: Matches,
    *,
    source: str,
    seconds: float,
    skipped: int = 0,
    rerank: Measure | None = None,
    candidates: int = 200,
) -> str:
    """Write the page of a finished search, as one HTML text.

    Grey-level curves are drawn where the index holds grey histograms: measure "wasserstein".

    Parameters
    ----------
    index : Index
        Where the matches come from; curves show what it has stored.
    query : str
        Path of the query image.
    matches : Matches
    source : str
        What to call the place searched.
    seconds : float
        Time of the search.
    skipped : int
        Files of the source that could not be read.
    rerank : Measure, optional
        The measure whose values the matches have, if not the index's.
    candidates : int
        How many it was to rank.
    """
    upright = images.upright(images.open_pixels(images.read_source(query)))
    has_counts = index.measure == "wasserstein"
    asked = ReportImage(
        query, upright.width, upright.height, make_thumbnail(upright),
        index.describe(upright) if has_counts else None,
    )  # fmt: skip
    bases = [os.path.abspath(source), os.path.dirname(index.path)]
    found = []
    for distance, image in zip(matches.distances, index.images(matches.ids), strict=True):
        shown = ReportImage(
            below(image.path, bases), image.width, image.height, thumbnail_of(image.path),
            image.descriptor if has_counts else None,
        )  # fmt: skip
        found.append(ReportMatch(shown, float(distance)))
    count = len(index)
    left_out = len(matches.skipped)
    again = None
    if rerank is not None:
        again = Reranked(
            rerank.name, rerank.options, rerank.unit, rerank.higher_is_better,
            min(count, max(candidates, len(found) + left_out)), left_out, rerank.value_range,
        )  # fmt: skip
    return render_search(
        SearchReport(
            asked, found, index.measure, index.options, count, seconds, os.fsencode(source),
            skipped, index.unit, index.higher_is_better, again, index.value_range,
        )
    )  # fmt: skip


def below(path: str, bases: list[str]) -> str:
    """Return the path without the folder searched: a page may be passed on."""
    for base in bases:
        if path.startswith(base.rstrip(os.sep) + os.sep):
            return os.path.relpath(path, base)
    return path
