"""Checking an index: every byte of every segment, and every cross-reference of the catalogue."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from imgsim_fast.errors import IndexCorruptError
from imgsim_fast.index.catalog import FILE, Catalog, ImageRecord
from imgsim_fast.index.coding import wrong_codes
from imgsim_fast.index.histogram_segments import problems_of_histograms
from imgsim_fast.index.segments import Segment, SegmentRecord, open_any_segment, open_segment
from imgsim_fast.measures.base import Measure

_SHOWN = 10  # rows of a segment that no image has


def problems_of(catalog: Catalog, measure: Measure | None) -> list[str]:
    """Return what is wrong with an index, one line each.

    The catalogue is read in one short transaction, so that a writer never waits for the checks.
    Without a measure nobody can say whether a row is a descriptor; all else is checked.
    Files that no catalogue names belong to a writer at work or killed, and are no problem.
    """
    while True:
        version = catalog.version()
        with catalog.transaction(write=False):
            problems = [f"{FILE}: {text}" for text in catalog.integrity()]
            records = catalog.segments()
            dead = set(catalog.dead_rows())
            histograms = catalog.histograms()
            images = _read(catalog, problems)
        ids: dict[int, NDArray[np.int64]] = {}
        for record in records:
            try:
                if measure is None:
                    segment = open_any_segment(catalog.folder, record)
                else:
                    segment = open_segment(
                        catalog.folder, record, measure.row_dtype, measure.row_length, whole=True
                    )
            except (IndexCorruptError, OSError) as error:
                problems.append(str(error))
            else:
                problems += _within(segment, measure)
                ids[record.id] = segment.ids
        if images is not None:
            problems += _references(images, dead, ids, records)
        coder = None if measure is None else measure.coder
        for kept in histograms:
            problems += problems_of_histograms(catalog.folder, kept, coder)
        if not problems or catalog.version() == version:
            return problems


def _read(catalog: Catalog, problems: list[str]) -> list[ImageRecord] | None:
    """All that the catalogue says of paths; None, and the problem, where some of it is nonsense."""
    try:
        catalog.skipped()
        catalog.folders()
        return list(catalog.images())
    except IndexCorruptError as error:
        problems.append(str(error))
        return None


def _within(segment: Segment, measure: Measure | None) -> list[str]:
    """Look at one segment by itself."""
    problems = []
    if (np.diff(segment.ids) <= 0).any():
        problems.append(f"{segment.record.name}: ids do not ascend")
    bad = None if measure is None else measure.first_bad(segment.rows)
    if bad is not None:
        problems.append(f"{segment.record.name}: row {bad[0]} {bad[1]}")
    elif measure is not None and segment.codes is not None:
        problems += wrong_codes(segment.record.name, segment.rows, segment.codes, measure.coder)
    return problems


def _references(
    images: list[ImageRecord],
    dead: set[tuple[int, int]],
    ids: dict[int, NDArray[np.int64]],
    records: list[SegmentRecord],
) -> list[str]:
    """Every row belongs to exactly one image or is dead."""
    problems = []
    rows = {record.id: record.rows for record in records}
    used: set[tuple[int, int]] = set()
    for image in images:
        at = (image.segment, image.row)
        name = f"image {image.id} ({os.fsdecode(image.path)!r})"
        if at in used:
            problems.append(f"{name} shares row {at} with another")
        if at in dead:
            problems.append(f"{name} uses the dead row {at}")
        used.add(at)
        if image.segment not in rows or not 0 <= image.row < rows[image.segment]:
            problems.append(f"{name} points to no row: {at}")
        elif image.segment in ids and ids[image.segment][image.row] != image.id:
            problems.append(f"{name} points to the row of another: {at}")
    taken: dict[int, list[int]] = {}
    for segment, row in used | dead:
        taken.setdefault(segment, []).append(row)
    for record in records:
        if record.id in ids:  # else it is a problem already
            problems += _without_image(record, taken.get(record.id, []), ids[record.id])
    for segment, row in sorted(dead):
        if segment not in rows or row >= rows[segment]:
            problems.append(f"the dead row {(segment, row)} is in no segment")
    return problems


def _without_image(record: SegmentRecord, taken: list[int], ids: NDArray[np.int64]) -> list[str]:
    """Name the rows of a segment whose image the catalogue does not have."""
    free = np.ones(len(ids), bool)
    free[[row for row in taken if row < len(ids)]] = False
    rows = np.flatnonzero(free)
    problems = [
        f"{record.name}: row {row} is of image {ids[row]}, which the catalogue does not have"
        for row in rows[:_SHOWN]
    ]
    if len(rows) > _SHOWN:
        problems.append(f"{record.name}: likewise {len(rows) - _SHOWN:,} more rows")
    return problems
