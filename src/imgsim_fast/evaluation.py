"""How good rankings are: precision, recall, average precision and the vote of the nearest.

For one query let r_1, r_2, ... be the database's items from the best on, the query itself left out
if it is among them. An item is *relevant* if it has the query's label; R is the number of relevant
items in the database, ranked or not.

=================  =================================================================================
P@k                relevant items among r_1 .. r_k, divided by k, also where fewer are ranked
recall@k           relevant items among r_1 .. r_k, divided by R
average precision  sum of P@i over the ranks i of relevant items, divided by R; relevant items that
                   the ranking leaves out count 0
k-NN accuracy      whether the most frequent label among r_1 .. r_k is the query's; among equally
                   frequent labels the first in sorted order counts, as in scikit-learn
=================  =================================================================================

Each is averaged over the queries; mAP is the mean of the average precision. A query with R = 0 has
no recall and no average precision, and is left out of those two means. The first three are defined
as in TREC's `trec_eval` and in Manning, Raghavan, Schuetze, Introduction to Information Retrieval,
2008, section 8.4; `sklearn.metrics.average_precision_score` is the same where no values are equal.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError

__all__ = [
    "LabelledDatabase",
    "RankingScores",
    "evaluate_labels",
    "evaluate_ranking",
    "evaluate_values",
    "rank",
]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

DEFAULT_AT = (1, 5, 10, 100)
_MOST = 2**53


@dataclass(frozen=True, eq=False)
class RankingScores:
    """What a set of rankings is worth; the module says how each number is defined.

    Attributes
    ----------
    at : tuple of int
        The values of k, ascending.
    precision, recall, accuracy : dict of int to float
        Means of P@k, of recall@k and of the k-NN accuracy, for each k.
    mean_average_precision : float
        NaN, like the recall, if no query has a relevant item.
    queries : int
        How many.
    without_relevant : int
        How many of them have no relevant item in the database.
    average_precision : ndarray of float64, shape (queries,)
        That of each query; NaN where there is no relevant item.
    precision_of, recall_of : ndarray of float64, shape (queries, len(at))
        P@k and recall@k of each query; NaN where there is no recall.
    right_of : ndarray of bool, shape (queries, len(at))
        Whether the k nearest items elect the query's label.
    """

    at: tuple[int, ...]
    precision: dict[int, float]
    recall: dict[int, float]
    accuracy: dict[int, float]
    mean_average_precision: float
    queries: int
    without_relevant: int
    average_precision: Floats
    precision_of: Floats
    recall_of: Floats
    right_of: NDArray[np.bool_]

    def as_dict(self) -> dict[str, Any]:
        """Give the means as plain JSON types.

        Returns
        -------
        dict
            Keys: queries, without_relevant, mean_average_precision, precision, recall, accuracy;
            the last three are dicts from k, as text, to a number. NaN is given as None.
        """
        return {
            "queries": self.queries,
            "without_relevant": self.without_relevant,
            "mean_average_precision": _plain(self.mean_average_precision),
            "precision": {str(k): _plain(value) for k, value in self.precision.items()},
            "recall": {str(k): _plain(value) for k, value in self.recall.items()},
            "accuracy": {str(k): _plain(value) for k, value in self.accuracy.items()},
        }


def rank(values: ArrayLike, *, higher_is_better: bool = False) -> Integers:
    """Order items by their values, best first, ties to the lower index.

    Parameters
    ----------
    values : array_like, shape (n,) or (queries, n)
        Distances or similarities; infinity is a value, NaN is not.
    higher_is_better : bool
        False for distances, True for similarities.

    Returns
    -------
    ndarray of int64, the shape of `values`

    Raises
    ------
    InvalidInputError, InvalidTypeError
        A value is NaN or no real number.

    Examples
    --------
    >>> from imgsim_fast.evaluation import rank
    >>> rank([0.5, 0.1, 0.5])
    array([1, 0, 2])
    >>> rank([0.5, 0.1, 0.5], higher_is_better=True)
    array([0, 2, 1])
    """
    array = _validate.as_real("values", values)
    if array.ndim not in (1, 2):
        raise InvalidInputError(f"values must have shape (n,) or (queries, n), got {array.shape}")
    if array.ndim == 1:
        return _order("values[", array, higher_is_better)
    result = np.empty(array.shape, dtype=np.int64)
    for number, row in enumerate(_rankings(array, higher_is_better)):
        result[number] = row
    return result


def evaluate_values(
    values: ArrayLike,
    labels: ArrayLike,
    query_labels: ArrayLike,
    *,
    higher_is_better: bool = False,
    at: Iterable[int] = DEFAULT_AT,
    exclude: str | ArrayLike | None = None,
) -> RankingScores:
    """Score the rankings that a matrix of values gives.

    Parameters
    ----------
    values : array_like, shape (queries, n)
        Value of each query against each of the n items of the database, as of
        :func:`imgsim_fast.cdist`. No NaN.
    labels, query_labels, at, exclude
        As in :func:`evaluate_ranking`.
    higher_is_better : bool
        False for distances, True for similarities. Equal values go to the lower index.

    Returns
    -------
    RankingScores

    Raises
    ------
    InvalidInputError, InvalidTypeError
        As in :func:`evaluate_ranking`; a value is NaN.

    Notes
    -----
    Sorts one row after the other: O(queries n log n) time, O(n) memory beyond the values.

    Examples
    --------
    >>> import imgsim_fast as isf
    >>> from imgsim_fast.evaluation import evaluate_values
    >>> database, labels = [[9, 1], [8, 2], [2, 8]], ["dark", "dark", "light"]
    >>> distances = isf.cdist(database, database)
    >>> scores = evaluate_values(distances, labels, labels, exclude="self", at=[1])
    >>> scores.without_relevant, scores.mean_average_precision
    (1, 1.0)
    >>> round(scores.accuracy[1], 3)
    0.667
    """
    array = _validate.as_real("values", values)
    if array.ndim != 2:
        raise InvalidInputError(f"values must have shape (queries, n), got {array.shape}")
    database = LabelledDatabase(len(array), labels, query_labels, exclude)
    if array.shape[1] != len(database.codes):
        raise InvalidInputError(
            f"values must have a column for each of the {len(database.codes)} labels, got shape "
            f"{array.shape}"
        )
    return database.score(_rankings(array, higher_is_better), at)


def evaluate_ranking(
    ranking: ArrayLike | Sequence[ArrayLike],
    labels: ArrayLike,
    query_labels: ArrayLike,
    *,
    at: Iterable[int] = DEFAULT_AT,
    exclude: str | ArrayLike | None = None,
) -> RankingScores:
    """Score rankings of a labelled database.

    Parameters
    ----------
    ranking : array_like, shape (queries, m), or sequence of vectors
        For each query the row numbers of items of the database, best first, each at most once; as
        the indices of :func:`imgsim_fast.knn`. They may end early: then average precision counts
        the relevant items that are missing as never found.
    labels : array_like, shape (n,)
        Label of each item of the database: text, or numbers that are not NaN.
    query_labels : array_like, shape (queries,)
        Label of each query, of the same kind.
    at : iterable of int
        The values of k.
    exclude : "self" or array_like of int, shape (queries,), optional
        Which item of the database the query itself is, and so is neither ranked nor relevant:
        "self" says that query i is item i; -1 in an array says that the query is not in the
        database.

    Returns
    -------
    RankingScores

    Raises
    ------
    InvalidInputError, InvalidTypeError
        Shapes do not fit, a row number is not in the database or comes twice, labels of different
        kinds; the message names the query.

    Notes
    -----
    O(queries (n + m)) time, O(n) memory beyond the arguments.

    Examples
    --------
    >>> from imgsim_fast.evaluation import evaluate_ranking
    >>> labels = ["cat", "dog", "cat", "dog"]
    >>> scores = evaluate_ranking([[2, 1, 0, 3]], labels, ["cat"], at=[1, 2])
    >>> scores.precision
    {1: 1.0, 2: 0.5}
    >>> round(scores.mean_average_precision, 4)  # (1/1 + 2/3) / 2
    0.8333
    """
    rows = [_as_whole(f"ranking[{i}]", row) for i, row in enumerate(_as_list("ranking", ranking))]
    database = LabelledDatabase(len(rows), labels, query_labels, exclude)
    return database.score(rows, at)


def evaluate_labels(
    ranked_labels: ArrayLike | Sequence[ArrayLike],
    query_labels: ArrayLike,
    *,
    relevant: ArrayLike | None = None,
    at: Iterable[int] = DEFAULT_AT,
) -> RankingScores:
    """Score rankings that are given by the labels of their items.

    Parameters
    ----------
    ranked_labels : array_like, shape (queries, m), or sequence of vectors
        For each query the labels of the items, best first, without the query itself.
    query_labels : array_like, shape (queries,)
        Label of each query, of the same kind.
    relevant : array_like of int, shape (queries,), optional
        R of each query, for rankings that end early; default: what is in its ranking.
    at : iterable of int
        The values of k.

    Returns
    -------
    RankingScores

    Raises
    ------
    InvalidInputError, InvalidTypeError
        Shapes do not fit, labels of different kinds, fewer relevant items than a ranking has.

    Examples
    --------
    >>> from imgsim_fast.evaluation import evaluate_labels
    >>> scores = evaluate_labels([["cat", "dog", "cat"], ["cat", "cat"]], ["cat", "dog"], at=[2])
    >>> scores.precision, round(scores.mean_average_precision, 4), scores.without_relevant
    ({2: 0.25}, 0.8333, 1)
    """
    rows = [
        _as_labels(f"ranked_labels[{i}]", row)
        for i, row in enumerate(_as_list("ranked_labels", ranked_labels))
    ]
    asked = _as_query_labels(query_labels, len(rows))
    ends = np.cumsum([len(row) for row in rows])[:-1]
    named = ((f"ranked_labels[{i}]", row) for i, row in enumerate(rows))
    codes, own = _as_codes(named, asked)
    found = np.split(codes, ends)
    inside = np.array([(row == label).sum() for row, label in zip(found, own, strict=True)])
    totals = inside
    if relevant is not None:
        totals = _as_whole("relevant", relevant)
        if totals.shape != inside.shape:
            raise InvalidInputError(
                f"relevant must have one number for each of the {len(rows)} queries, got "
                f"{totals.size}"
            )
        if (totals < inside).any():
            query = int((totals < inside).argmax())
            raise InvalidInputError(
                f"relevant[{query}] is {totals[query]}, but ranked_labels[{query}] has "
                f"{inside[query]} relevant items"
            )
    return _score(found, own, totals, at)


class LabelledDatabase:
    """The labels of a database and of queries, checked, and which item each query is.

    What :func:`evaluate_ranking` scores at once, `score` takes one ranking after the other.

    Parameters
    ----------
    queries : int
    labels, query_labels, exclude
        As in :func:`evaluate_ranking`.
    """

    def __init__(
        self,
        queries: int,
        labels: ArrayLike,
        query_labels: ArrayLike,
        exclude: str | ArrayLike | None,
    ) -> None:
        known = _as_labels("labels", labels)
        asked = _as_query_labels(query_labels, queries)
        self.codes, self.asked = _as_codes([("labels", known)], asked)
        self.itself = _as_itself(exclude, queries, len(known))

    def score(self, rankings: Iterable[Integers], at: Iterable[int]) -> RankingScores:
        """Score rankings of row numbers, one per query; each is taken when it is its turn."""
        totals = np.bincount(self.codes, minlength=int(self.asked.max()) + 1)[self.asked]
        inside = self.itself >= 0
        totals[inside] -= self.codes[self.itself[inside]] == self.asked[inside]
        return _score(self._codes_of(rankings), self.asked, totals, at)

    def _codes_of(self, rankings: Iterable[Integers]) -> Iterator[Integers]:
        query, queries = -1, len(self.asked)
        for query, row in enumerate(rankings):
            if query == queries:
                raise InvalidInputError(
                    f"rankings has more than one row for each of {queries} queries"
                )
            outside = (row < 0) | (row >= len(self.codes))
            if outside.any():
                place = int(outside.argmax())
                raise InvalidInputError(
                    f"ranking[{query}][{place}] is {row[place]}: the row numbers of "
                    f"{len(self.codes)} items begin with 0"
                )
            times = np.bincount(row, minlength=1)
            if times.max() > 1:
                raise InvalidInputError(
                    f"ranking[{query}] names item {times.argmax()} {times.max()} times"
                )
            yield self.codes[row[row != self.itself[query]]]
        if query + 1 < queries:
            raise InvalidInputError(f"rankings has {query + 1} rows for {queries} queries")


def _score(
    ranked: Iterable[Integers], asked: Integers, totals: Integers, at: Iterable[int]
) -> RankingScores:
    """Score rankings given as codes of labels; `totals` are the R of the queries."""
    ks = _as_at(at)
    queries, cuts = len(asked), np.array(ks)
    average = np.full(queries, np.nan)
    precision, recall = np.empty((queries, len(ks))), np.full((queries, len(ks)), np.nan)
    right = np.zeros((queries, len(ks)), dtype=np.bool_)
    for query, codes in enumerate(ranked):
        label, total = asked[query], totals[query]
        ranks = np.flatnonzero(codes == label) + 1
        found = np.searchsorted(ranks, cuts, side="right")
        precision[query] = found / cuts
        if total:
            recall[query] = found / total
            average[query] = (np.arange(1, len(ranks) + 1) / ranks).sum() / total
        if len(codes):
            right[query] = [np.bincount(codes[:k]).argmax() == label for k in ks]
    some = totals > 0
    return RankingScores(
        at=ks,
        precision=_means(ks, precision),
        recall=_means(ks, recall[some]),
        accuracy=_means(ks, right),
        mean_average_precision=_mean(average[some]),
        queries=queries,
        without_relevant=int((~some).sum()),
        average_precision=average,
        precision_of=precision,
        recall_of=recall,
        right_of=right,
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else math.nan


def _means(ks: tuple[int, ...], columns: NDArray[Any]) -> dict[int, float]:
    return {k: _mean(columns[:, i]) for i, k in enumerate(ks)}


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else value


def _rankings(values: NDArray[Any], higher_is_better: bool) -> Iterator[Integers]:
    """Order each row of a matrix, in little memory."""
    for number, row in enumerate(values):
        yield _order(f"values[{number}, ", row, higher_is_better)


def _order(where: str, row: NDArray[Any], higher_is_better: bool) -> Integers:
    keys = row.astype(np.float64)
    if np.isnan(keys).any():
        raise InvalidInputError(f"{where}{np.isnan(keys).argmax()}] is NaN: it has no rank")
    if higher_is_better:
        np.negative(keys, out=keys)
    return np.argsort(keys, kind="stable")


# ---- arguments -------------------------------------------------------------------------------


def _as_list(name: str, rows: Any) -> list[ArrayLike]:
    """One ranking per query, of any lengths."""
    _validate.refuse_masked(name, rows)
    try:
        if isinstance(rows, (str, bytes, Mapping)):
            raise TypeError
        return list(rows)
    except (TypeError, NotImplementedError):
        raise InvalidTypeError(
            f"{name} must hold one ranking for each query, got {type(rows).__name__}"
        ) from None


def _as_whole(name: str, value: ArrayLike) -> Integers:
    """Return a vector of int64."""
    array = _validate.as_real(name, value)
    if array.ndim != 1:
        raise InvalidInputError(f"{name} must have one dimension, got shape {array.shape}")
    if array.dtype.kind not in "iu" and array.size:
        raise InvalidTypeError(f"{name} must hold integers, got {array.dtype}")
    return array.astype(np.int64)


def _as_labels(name: str, labels: ArrayLike) -> NDArray[Any]:
    """Return a vector of numbers, or of Python's strings.

    NumPy's own strings all take as much memory as the longest, and lose NULs at their end.
    """
    _validate.refuse_masked(name, labels)
    if isinstance(labels, (str, bytes, Mapping)) or not isinstance(labels, Collection):
        raise InvalidTypeError(
            f"{name} must be a list or array of labels, got {type(labels).__name__}"
        )
    items = list(labels)
    if any(isinstance(label, str) for label in items):
        _refuse_other_labels(name, items)
        text = np.empty(len(items), dtype=object)
        text[:] = [str(label) for label in items]
        return text
    try:
        array = np.asarray(labels)
    except ValueError as error:  # ragged
        raise InvalidInputError(f"{name} must hold one label for each item: {error}") from error
    if array.ndim != 1:
        raise InvalidInputError(f"{name} must have one dimension, got shape {array.shape}")
    if array.dtype.kind in "OTU":  # of text only where it is empty
        _refuse_other_labels(name, array)
        array = np.asarray(array.tolist())
    if array.dtype.kind not in "biuf":
        raise InvalidTypeError(f"{name} must hold text or numbers, got {array.dtype}")
    array = _validate.as_real(name, array)
    if np.isnan(array).any():
        raise InvalidInputError(f"{name}[{np.isnan(array).argmax()}] is NaN, which is no label")
    return array


def _refuse_other_labels(name: str, labels: Iterable[Any]) -> None:
    for place, label in enumerate(labels):
        if not isinstance(label, (str, int, float, np.number)):
            raise InvalidTypeError(f"{name}[{place}] is {label!r}: labels must be text or numbers")


def _as_query_labels(labels: ArrayLike, queries: int) -> NDArray[Any]:
    array = _as_labels("query_labels", labels)
    if len(array) != queries:
        raise InvalidInputError(
            f"query_labels must have one label for each of the {queries} queries, got {len(array)}"
        )
    if not queries:
        raise InvalidInputError("there is no query to evaluate")
    return array


def _as_codes(
    pieces: Iterable[tuple[str, NDArray[Any]]], query_labels: NDArray[Any]
) -> tuple[Integers, Integers]:
    """Labels -> numbers in the order of the labels: those of the pieces, and of the queries."""
    arrays = []
    for name, array in pieces:
        if array.size and (array.dtype == object) != (query_labels.dtype == object):
            kinds = ["text" if a.dtype == object else str(a.dtype) for a in (array, query_labels)]
            raise InvalidTypeError(
                f"{name} and query_labels must both be text or both be numbers, got {kinds[0]} "
                f"and {kinds[1]}"
            )
        arrays.append(array)
    every = np.concatenate([*arrays, query_labels])
    if every.dtype == object:
        numbers = {label: number for number, label in enumerate(sorted(set(every.tolist())))}
        codes = np.array([numbers[label] for label in every.tolist()], dtype=np.int64)
    else:
        codes = np.unique(every, return_inverse=True)[1]
    split = codes.size - query_labels.size
    return codes[:split], codes[split:]


def _as_itself(exclude: str | ArrayLike | None, queries: int, items: int) -> Integers:
    """Return the item that each query is, or -1."""
    if exclude is None:
        return np.full(queries, -1)
    if isinstance(exclude, str):
        if exclude != "self":
            raise InvalidInputError(f"exclude must be 'self' or row numbers, got {exclude!r}")
        if queries != items:
            raise InvalidInputError(
                f"exclude='self' needs as many queries as items, got {queries} and {items}"
            )
        return np.arange(queries)
    itself = _as_whole("exclude", exclude)
    if itself.size != queries:
        raise InvalidInputError(
            f"exclude must have one row number for each of the {queries} queries, got {itself.size}"
        )
    outside = (itself < -1) | (itself >= items)
    if outside.any():
        place = int(outside.argmax())
        raise InvalidInputError(
            f"exclude[{place}] is {itself[place]}: it must be -1 or the row number of one of the "
            f"{items} items"
        )
    return itself


def _as_at(at: Iterable[int]) -> tuple[int, ...]:
    """Return the values of k, ascending, each once."""
    if isinstance(at, (str, bytes)) or not isinstance(at, Iterable):
        raise InvalidTypeError(f"at must be an iterable of integers, got {at!r}")
    ks = sorted({_validate.as_count("at", k) for k in at})
    if not ks:
        raise InvalidInputError("at must hold at least one integer")
    if ks[-1] > _MOST:
        raise InvalidInputError(f"at must not exceed {_MOST}, got {ks[-1]}")
    return tuple(ks)
