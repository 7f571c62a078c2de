"""Re-ranking: the measure of the index chooses candidates, any other measure ranks these."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index.describing import described_one_by_one
from imgsim_fast.index.search import Matches, reaches
from imgsim_fast.measures import Measure, get_measure
from imgsim_fast.measures.base import rank
from imgsim_fast.rows import Row, as_rows

_MOST_ROWS = 64  # of candidates that are compared at once
_MOST_BYTES = 1 << 26
_MOST_SHOWN = 16  # rows of the best that are kept, for a report to draw
_MOST_SHOWN_BYTES = 1 << 18  # of each: any palette, no picture


def second_measure(
    argument: str, measure: str | Measure | None, options: Mapping[str, Any] | None
) -> Measure | None:
    """Make the other measure that `argument` names, if any.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        No such measure; options that it does not have, or options of no measure.
    """
    if options is not None and not isinstance(options, Mapping):
        raise InvalidTypeError(f"{argument}_options must be a mapping, got {options!r}")
    if measure is not None:
        if not isinstance(measure, (str, Measure)):
            raise InvalidTypeError(f"{argument} must be a measure or its name, got {measure!r}")
        return get_measure(measure, **(options or {}))
    if options:
        raise InvalidInputError(
            f"{argument}_options are given ({', '.join(map(str, options))}), but no {argument}"
        )
    return None


def rerank(
    measure: Measure, query: Row, candidates: Matches, k: int, threads: int,
    progress: Callable[[int], None] | None = None, limit: float | None = None,
) -> Matches:  # fmt: skip
    """Read the candidates' files and rank them by the measure.

    Parameters
    ----------
    measure : Measure
    query : ndarray
        The measure's descriptor of the query.
    candidates : Matches
    k : int
    threads : int
    progress : callable, optional
        Called with the number of candidates read so far.
    limit : float, optional
        Of the best k only those whose value reaches or beats it.

    Returns
    -------
    Matches
        The best k with the measure's values, ties to the lower id; `skipped` are the candidates
        that cannot be read or described any more, `descriptors` the rows of the very best.
    """
    # By id: ties go to the lower row.
    order = candidates.ids.argsort(kind="stable")
    paths = [candidates.paths[position] for position in order]
    skipped: list[tuple[str, str]] = []
    kept: list[int] = []
    parts = [np.empty(0)]
    rows: list[Row] = []
    shown: list[tuple[float, int, Row | None]] = []  # best first, with positions

    def compare() -> None:
        """Turn rows into values: those of all candidates may be larger than the memory."""
        if rows:
            stacked = as_rows(rows, measure.row_dtype, measure.row_length)
            parts.append(measure.values(query, stacked, threads))
            keys = -parts[-1] if measure.higher_is_better else parts[-1]
            for position, key, row in zip(kept[-len(rows) :], keys, rows, strict=True):
                shown.append((key, position, row if row.nbytes <= _MOST_SHOWN_BYTES else None))
            shown.sort(key=lambda one: one[:2])
            del shown[_MOST_SHOWN:]
            rows.clear()

    files = described_one_by_one(measure, [os.fsencode(path) for path in paths], threads)
    for position, outcome in enumerate(files):
        if progress is not None:
            progress(position + 1)
        if outcome.row is None:
            skipped.append((paths[position], outcome.reason))
            continue
        kept.append(position)
        rows.append(outcome.row)
        if len(rows) == _MOST_ROWS or sum(row.nbytes for row in rows) >= _MOST_BYTES:
            compare()
    compare()
    values = np.concatenate(parts)
    best = rank(values, None, k, higher_is_better=measure.higher_is_better)
    best = best[reaches(values[best], limit, higher_is_better=measure.higher_is_better)]
    positions = [kept[row] for row in best]
    return Matches(
        values[best],
        candidates.ids[order[positions]],
        [paths[position] for position in positions],
        skipped,
        [row for _, _, row in shown[: len(best)]],
    )
