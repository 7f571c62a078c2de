"""Looking after an index whose measure need not be at hand: counting, and checking every byte."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from imgsim_fast.errors import IndexVersionError
from imgsim_fast.index.agreement import measure_of
from imgsim_fast.index.catalog import Catalog
from imgsim_fast.index.paths import PathLike, absolute
from imgsim_fast.index.records import IndexStats
from imgsim_fast.index.verify import problems_of

__all__ = ["Verification", "index_stats", "stats_of", "verify_index"]


class Verification(NamedTuple):
    """What checking an index found.

    Attributes
    ----------
    problems : list of str
        What is wrong, one line each; empty when the index is sound.
    images : int
    unseen : str
        Empty, or why it was not checked that each row is a descriptor: the measure is not at hand.
    """

    problems: list[str]
    images: int
    unseen: str


def index_stats(path: PathLike) -> IndexStats:
    """Count what an index holds, whatever its measure.

    Raises
    ------
    IndexVersionError
        The directory is no index, or one of another format version.
    IndexCorruptError
        The catalogue is damaged.
    """
    with contextlib.closing(Catalog(absolute(path))) as catalog:
        return stats_of(catalog)


def verify_index(path: PathLike) -> Verification:
    """Check every byte and cross-reference of an index, and each row if its measure can be made.

    Errors as in :func:`index_stats`.
    """
    with contextlib.closing(Catalog(absolute(path))) as catalog:
        unseen = ""
        try:
            measure = measure_of(catalog)
        except IndexVersionError as error:
            measure, unseen = None, str(error)
        return Verification(problems_of(catalog, measure), catalog.count(), unseen)


def stats_of(catalog: Catalog) -> IndexStats:
    """Count what an open catalogue and its folder hold, in one transaction."""
    with catalog.transaction(write=False):
        size = 0
        for entry in os.scandir(catalog.folder):
            with contextlib.suppress(FileNotFoundError):  # a merge may take it away
                if entry.is_file(follow_symlinks=False):
                    size += entry.stat(follow_symlinks=False).st_size
        histograms = catalog.histograms()
        return IndexStats(
            catalog.folder, catalog.measure, dict(catalog.options), catalog.count(),
            len(catalog.segments()) + len(histograms), len(catalog.dead_rows()), size,
            [(os.fsdecode(path), reason) for path, reason in catalog.skipped()],
            [os.fsdecode(path) for path in catalog.folders()],
            sum(record.rows for record in histograms),
        )  # fmt: skip
