"""Re-ranking: the measure of the index chooses candidates, any other measure ranks these."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.index.describing import described
from imgsim_fast.index.search import Matches
from imgsim_fast.measures import Measure, get_measure
from imgsim_fast.rows import Row, as_rows


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


def rerank(measure: Measure, query: Row, candidates: Matches, k: int, threads: int) -> Matches:
    """Read the candidates' files and rank them by the measure.

    Parameters
    ----------
    measure : Measure
    query : ndarray
        The measure's descriptor of the query.
    candidates : Matches
    k : int
    threads : int

    Returns
    -------
    Matches
        The best k with the measure's values, ties to the lower id; `skipped` are the candidates
        that cannot be read or described any more.
    """
    # By id: the nearest of rows breaks ties by their order.
    order = candidates.ids.argsort(kind="stable")
    paths = [candidates.paths[position] for position in order]
    rows, reasons = described(measure, [os.fsencode(path) for path in paths], threads)
    skipped = [(paths[position], reason) for position, reason in reasons.items()]
    kept = [position for position, row in enumerate(rows) if row is not None]
    if not kept:
        return Matches(candidates.distances[:0], candidates.ids[:0], [], skipped)
    stacked = as_rows(
        [row for row in rows if row is not None], measure.row_dtype, measure.row_length
    )
    found = measure.nearest(query, stacked, None, min(k, len(kept)), threads)
    best = [kept[row] for row in found.indices]
    return Matches(
        found.distances,
        candidates.ids[order[best]],
        [paths[position] for position in best],
        skipped,
    )
