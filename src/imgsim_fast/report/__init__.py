"""Reports of searches, comparisons and duplicates: self-contained HTML files, to look at."""

from __future__ import annotations

from imgsim_fast.report.compare import comparison_page
from imgsim_fast.report.duplicates import duplicates_page
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
    "duplicates_page",
    "make_thumbnail",
    "render_search",
    "search_page",
    "write_text_atomically",
]
