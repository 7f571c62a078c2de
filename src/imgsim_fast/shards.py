"""Rankings of disjoint parts of a collection, made the ranking of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgsim_fast import _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.knn import Neighbors

__all__ = ["merge_neighbors"]

_NONE = -1  # in place of an index: this query has no further neighbour
_MOST = 2**63 - 1


def merge_neighbors(
    parts: Iterable[Sequence[Any]],
    k: int | None = None,
    *,
    offsets: Iterable[int] | None = None,
    higher_is_better: bool = False,
) -> Neighbors:
    """Merge the nearest neighbours found in disjoint parts of a collection.

    Parameters
    ----------
    parts : iterable of Neighbors
        What the same search has found in each part: pairs ``(distances, indices)``, all of shape
        (k_i,) or all (queries, k_i); the lengths k_i may differ, and be 0. Best first, as every
        search gives them. What else a part holds is not looked at, so that ``Matches`` of
        :meth:`Index.search` are parts too. The index -1 stands for no neighbour.
    k : int, optional
        How many, at most; default: as many as the longest part has. Only the best k are sure to
        be those of the whole where each part was searched for k or more, or has no more.
    offsets : iterable of int, optional
        A number for each part, added to its indices: where in the whole the part begins.
    higher_is_better : bool
        True where the parts hold similarities, greatest first.

    Returns
    -------
    Neighbors
        The best k of all parts, ties to the lower index: what :func:`knn` finds in the whole, bit
        for bit, whatever the order of the parts. Queries of a batch with fewer neighbours than
        others end in indices of -1 at an infinite distance (minus infinity for similarities).

    Raises
    ------
    InvalidInputError
        No part; shapes that do not agree; a distance that is NaN; a part that is not sorted; a
        negative index; k or an offset out of range. An index that comes twice: parts would overlap,
        or count their rows from 0 each and need `offsets`, and a ranking with the wrong rows would
        look like a right one. (Where no index happens to come twice, nobody notices.)
    InvalidTypeError
        A part is no pair of arrays of numbers, or its indices are no integers.

    Notes
    -----
    O(n log n) for n entries of all parts, per query. float32 distances, as FAISS gives them, are
    compared as they are.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> rows = [[0, 0, 4], [2, 2, 0], [0, 4, 0], [4, 0, 0]]
    >>> parts = [isf.knn([4, 0, 0], rows[:2], k=2), isf.knn([4, 0, 0], rows[2:], k=2)]
    >>> isf.merge_neighbors(parts, offsets=[0, 2]).indices
    array([3, 1])
    """
    if isinstance(parts, Neighbors):
        raise InvalidTypeError("parts must be a sequence of Neighbors, got one: write [part]")
    given = _validate.as_list("parts", parts, "a sequence of Neighbors")
    if not given:
        raise InvalidInputError("parts is empty: there is nothing to merge")
    sign = -1.0 if higher_is_better else 1.0
    several = [_as_part(f"parts[{number}]", part, sign) for number, part in enumerate(given)]
    _check_same_queries(several)
    if offsets is not None:
        several = _moved(several, offsets)
    longest = max(part.keys.shape[-1] for part in several)
    wanted = longest if k is None else _validate.as_count("k", k)
    keys = np.atleast_2d(np.concatenate([part.keys for part in several], axis=-1))
    indices = np.atleast_2d(np.concatenate([part.indices for part in several], axis=-1))
    owners = np.repeat(np.arange(len(several)), [part.keys.shape[-1] for part in several])
    _check_disjoint(indices, owners)
    missing = indices == _NONE
    found = (~missing).sum(axis=1).max() if len(indices) else indices.shape[1]
    order = np.lexsort((indices, keys, missing))[:, : min(wanted, int(found))]
    shape = (*several[0].keys.shape[:-1], order.shape[1])
    return Neighbors(
        (sign * np.take_along_axis(keys, order, axis=1)).reshape(shape),
        np.take_along_axis(indices, order, axis=1).reshape(shape),
    )


class _Part(NamedTuple):
    keys: NDArray[np.float64]  # distances, or similarities times -1: the least is the best
    indices: NDArray[np.int64]


def _as_part(name: str, part: Sequence[Any], sign: float) -> _Part:
    if not isinstance(part, (tuple, list)) or len(part) < 2:
        raise InvalidTypeError(f"{name} must be a pair (distances, indices), got {part!r}")
    values = _validate.as_real(f"distances of {name}", part[0]).astype(np.float64)
    indices = _validate.as_integers(f"indices of {name}", part[1])
    if values.shape != indices.shape or values.ndim not in (1, 2):
        raise InvalidInputError(
            f"{name} must hold distances and indices of one shape, (k,) or (queries, k), got "
            f"{values.shape} and {indices.shape}"
        )
    missing = indices == _NONE
    for where in _places(indices < _NONE):
        raise InvalidInputError(
            f"{name}: indices{list(where)} is {indices[where]}: indices must not be negative (-1 "
            "stands for no neighbour)"
        )
    for where in _places(np.isnan(values) & ~missing):
        raise InvalidInputError(f"{name}: distances{list(where)} is NaN")
    keys = np.where(missing, np.inf, sign * values)
    for where in _places(keys[..., 1:] < keys[..., :-1]):
        after = (*where[:-1], where[-1] + 1)
        raise InvalidInputError(
            f"{name} must be sorted, "
            + ("greatest first: " if sign < 0 else "nearest first: ")
            + f"distances{list(after)} is {values[after]} after {values[where]}"
            + ("" if sign < 0 else "; similarities need higher_is_better=True")
        )
    return _Part(keys, indices)


def _places(bad: NDArray[np.bool_]) -> Iterator[tuple[int, ...]]:
    """Where an array is true."""
    return (tuple(where) for where in np.argwhere(bad).tolist())


def _check_same_queries(several: list[_Part]) -> None:
    first = several[0].keys.shape
    for number, part in enumerate(several):
        shape = part.keys.shape
        if shape[:-1] != first[:-1] or len(shape) != len(first):
            raise InvalidInputError(
                f"all parts must answer the same queries: parts[0] has the shape {first}, "
                f"parts[{number}] {shape}"
            )


def _moved(several: list[_Part], offsets: Iterable[int]) -> list[_Part]:
    """Add an offset to the indices of each part."""
    starts = _validate.as_list("offsets", offsets, "a sequence of integers")
    if len(starts) != len(several):
        raise InvalidInputError(
            f"offsets must be one per part, got {len(starts)} for {len(several)} parts"
        )
    moved = []
    for number, (part, start) in enumerate(zip(several, starts, strict=True)):
        start = _validate.as_count(f"offsets[{number}]", start, least=0)
        last = int(part.indices.max(initial=0))
        if last + start > _MOST:
            raise InvalidInputError(
                f"offsets[{number}] is {start}: with the index {last} that is beyond 64 bits"
            )
        indices = np.where(part.indices == _NONE, _NONE, part.indices + start)
        moved.append(_Part(part.keys, indices))
    return moved


def _check_disjoint(indices: NDArray[np.int64], owners: NDArray[np.int64]) -> None:
    """No query finds a row twice."""
    ordered = np.sort(indices, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != _NONE)
    if twice.any():
        query, at = (int(i) for i in np.argwhere(twice)[0])
        index = int(ordered[query, at])
        one, other = (int(i) for i in owners[indices[query] == index][:2])
        place = f"twice in parts[{one}]" if one == other else f"in parts[{one}] and parts[{other}]"
        raise InvalidInputError(
            f"index {index} is {place}: parts must not overlap; where each counts its rows from 0, "
            "offsets= says where it begins"
        )
