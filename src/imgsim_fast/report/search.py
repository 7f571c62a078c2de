"""The page of a search in an index: gathers what `page.render_search` draws."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from imgsim_fast import images
from imgsim_fast.errors import ImageDecodeError
from imgsim_fast.report.page import (
    ReportImage,
    ReportMatch,
    SearchReport,
    make_thumbnail,
    render_search,
)

if TYPE_CHECKING:
    from imgsim_fast.index import Index, Matches


def search_page(
    index: Index,
    query: str,
    matches: Matches,
    *,
    source: str,
    seconds: float,
    skipped: int = 0,
) -> str:
    """Write the page of a finished search, as one HTML text.

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
    """
    upright = images.upright(images.open_pixels(images.read_source(query)))
    asked = ReportImage(
        query, upright.width, upright.height, make_thumbnail(upright), index.describe(upright)
    )
    bases = [os.path.abspath(source), os.path.dirname(index.path)]
    found = []
    for distance, image in zip(matches.distances, index.images(matches.ids), strict=True):
        shown = ReportImage(
            _below(image.path, bases),
            image.width,
            image.height,
            _thumbnail(image.path),
            image.descriptor,
        )
        found.append(ReportMatch(shown, float(distance)))
    return render_search(
        SearchReport(
            asked, found, index.measure, index.options, len(index), seconds,
            os.fsencode(source), skipped,
        )
    )  # fmt: skip


def _below(path: str, bases: list[str]) -> str:
    """Return the path without the folder searched: a page may be passed on."""
    for base in bases:
        if path.startswith(base.rstrip(os.sep) + os.sep):
            return os.path.relpath(path, base)
    return path


def _thumbnail(path: str) -> bytes:
    """Return nothing for a file that has gone or changed for the worse since it was indexed."""
    try:
        return make_thumbnail(images.upright(images.open_pixels(images.read_source(path))))
    except ImageDecodeError:
        return b""
