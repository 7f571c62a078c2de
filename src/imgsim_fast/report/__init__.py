"""Reports of searches and comparisons: self-contained HTML files, to look at and pass on."""

from __future__ import annotations

from imgsim_fast.report.compare import comparison_page
from imgsim_fast.report.names import display_name
from imgsim_fast.report.page import (
    ReportExistsError,
    ReportImage,
    ReportMatch,
    SearchReport,
    make_thumbnail,
    render_search,
    write_text_atomically,
)
from imgsim_fast.report.search import search_page

__all__ = [
    "ReportExistsError",
    "ReportImage",
    "ReportMatch",
    "SearchReport",
    "comparison_page",
    "display_name",
    "make_thumbnail",
    "render_search",
    "search_page",
    "write_text_atomically",
]
