"""The page of a search in an index: gathers what `page.render_search` draws."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imgsim_fast import images
from imgsim_fast.measures import describe
from imgsim_fast.report.page import ReportImage, ReportMatch, Reranked, SearchReport, render_search
from imgsim_fast.report.seen import MOST_DRAWN, Drawn, Seen, is_drawn_small, seen_small
from imgsim_fast.report.thumbnails import make_thumbnail, thumbnail_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from imgsim_fast.index import Index, IndexedImage, Matches
    from imgsim_fast.measures import Measure
    from imgsim_fast.rows import Row

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

    Grey-level curves are drawn where the index holds grey histograms: measure "wasserstein". What
    a measure of colours saw ("emd", the histogram family) is drawn for the first twelve matches.

    Parameters
    ----------
    index : Index
        Where the matches come from; drawings show what it has stored. Only the query is described
        again.
    query : str
        Path of the query image.
    matches : Matches
        With the descriptors that re-ranking has kept, if it was.
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
    stored = index.images(matches.ids)
    drawn, seen = _what_was_seen(index, upright, matches, stored, rerank)
    for distance, image, sight in zip(matches.distances, stored, seen, strict=True):
        shown = ReportImage(
            below(image.path, bases), image.width, image.height, thumbnail_of(image.path),
            image.descriptor if has_counts else None,
        )  # fmt: skip
        found.append(ReportMatch(shown, float(distance), sight))
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
            skipped, index.unit, index.higher_is_better, again, index.value_range, drawn,
        )
    )  # fmt: skip


def _what_was_seen(
    index: Index, query: Image, matches: Matches, stored: list[IndexedImage], rerank: Measure | None
) -> tuple[Drawn | None, list[Seen | None]]:
    """Return the measure that is drawn, if any is, and what it saw of each match."""
    rows: Sequence[Row | None]
    if rerank is not None and is_drawn_small(rerank):
        kind, rows = rerank, matches.descriptors
    elif is_drawn_small(index.kind):
        kind, rows = index.kind, [image.descriptor for image in stored]
    else:
        return None, [None] * len(stored)
    seen: list[Seen | None] = [None] * len(stored)
    asked = None
    for number, row in enumerate(rows[:MOST_DRAWN]):
        if row is not None:
            asked = describe(kind, query) if asked is None else asked
            seen[number] = seen_small(kind, asked, row)
    return Drawn(kind.name, kind.options), seen


def below(path: str, bases: list[str]) -> str:
    """Return the path without the folder searched: a page may be passed on."""
    for base in bases:
        if path.startswith(base.rstrip(os.sep) + os.sep):
            return os.path.relpath(path, base)
    return path
