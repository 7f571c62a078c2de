"""Reports of searches and comparisons: self-contained HTML files, to look at and pass on."""

from __future__ import annotations

from imgsim_fast.report.compare import comparison_page
from imgsim_fast.report.files import ReportExistsError, write_text_atomically
from imgsim_fast.report.names import display_name
from imgsim_fast.report.page import ReportImage, ReportMatch, Reranked, SearchReport, render_search
from imgsim_fast.report.search import search_page
from imgsim_fast.report.thumbnails import make_thumbnail

__all__ = [
    "ReportExistsError",
    "ReportImage",
    "ReportMatch",
    "Reranked",
    "SearchReport",
    "comparison_page",
    "display_name",
    "make_thumbnail",
    "render_search",
    "search_page",
    "write_text_atomically",
]
