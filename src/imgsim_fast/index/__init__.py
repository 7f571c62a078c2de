"""Durable, searchable collections of described images.

An index is a directory: ``catalog.sqlite`` names every image and segment, segments are immutable
``.npy`` files. See ``docs/storage.md``.
"""

from __future__ import annotations

from imgsim_fast.index.build import AddReport
from imgsim_fast.index.index import Index
from imgsim_fast.index.inspection import Verification, index_stats, verify_index
from imgsim_fast.index.records import (
    DuplicateGroup,
    DuplicateImage,
    DuplicatePair,
    Duplicates,
    IndexedImage,
    IndexStats,
)
from imgsim_fast.index.retrieval import Evaluation, evaluate
from imgsim_fast.index.search import Matches

__all__ = [
    "AddReport",
    "DuplicateGroup",
    "DuplicateImage",
    "DuplicatePair",
    "Duplicates",
    "Evaluation",
    "Index",
    "IndexStats",
    "IndexedImage",
    "Matches",
    "Verification",
    "evaluate",
    "index_stats",
    "verify_index",
]
