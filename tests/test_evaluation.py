"""Scores of rankings: equal to slow twins, to scikit-learn, and to what a hand works out."""

from __future__ import annotations

import json
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

import imgsim_fast as isf
from imgsim_fast.errors import InvalidInputError, InvalidTypeError
from imgsim_fast.evaluation import (
    LabelledDatabase,
    evaluate_labels,
    evaluate_ranking,
    evaluate_values,
    rank,
)
from tests import reference_evaluation as reference

inf, nan = math.inf, math.nan


def check(scores, expected):
    """Compare with the twin's (precision, recall, accuracy, mAP)."""
    for ours, theirs in zip(
        (scores.precision, scores.recall, scores.accuracy), expected, strict=False
    ):
        assert list(ours) == sorted(theirs)
        for k, value in theirs.items():
            assert ours[k] == pytest.approx(as_float(value), rel=1e-13, nan_ok=True)
    mean = as_float(expected[3])
    assert scores.mean_average_precision == pytest.approx(mean, rel=1e-13, nan_ok=True)


def as_float(value):
    return nan if value is None else float(value)


# ---- by hand ---------------------------------------------------------------------------------


def test_one_query_by_hand():
    labels = ["cat", "dog", "cat", "dog", "cat"]
    scores = evaluate_ranking([[0, 1, 3, 2, 4]], labels, ["cat"], at=[1, 2, 3, 5, 8])
    assert scores.precision == {1: 1, 2: 0.5, 3: 1 / 3, 5: 0.6, 8: 3 / 8}
    assert scores.recall == {1: 1 / 3, 2: 1 / 3, 3: 1 / 3, 5: 1, 8: 1}
    assert scores.accuracy == {1: 1, 2: 1, 3: 0, 5: 1, 8: 1}
    assert scores.mean_average_precision == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)
    assert (scores.queries, scores.without_relevant, scores.at) == (1, 0, (1, 2, 3, 5, 8))


def test_truncated_rankings_miss_what_they_leave_out():
    labels = [7, 7, 7, 1]
    scores = evaluate_ranking([[3, 0]], labels, [7], at=[1, 2, 4])
    assert scores.precision == {1: 0, 2: 0.5, 4: 0.25}
    assert scores.recall == {1: 0, 2: 1 / 3, 4: 1 / 3}
    assert scores.mean_average_precision == pytest.approx(1 / 2 / 3)


def test_queries_without_relevant_items():
    scores = evaluate_ranking([[0, 1], [0, 1]], ["a", "b"], ["b", "c"], at=[1, 2])
    assert scores.without_relevant == 1
    assert scores.mean_average_precision == 0.5
    assert scores.recall == {1: 0, 2: 1}  # of the first query alone
    assert scores.precision == {1: 0, 2: 0.25}  # of both
    assert scores.accuracy == {1: 0, 2: 0}
    assert scores.average_precision.tolist() == pytest.approx([0.5, nan], nan_ok=True)
    assert np.isnan(scores.recall_of).tolist() == [[False, False], [True, True]]
    nothing = evaluate_ranking([[0, 1]], ["a", "b"], ["c"], at=[1])
    assert math.isnan(nothing.mean_average_precision)
    assert math.isnan(nothing.recall[1])
    assert json.loads(json.dumps(nothing.as_dict(), allow_nan=False)) == {
        "queries": 1, "without_relevant": 1, "mean_average_precision": None,
        "precision": {"1": 0.0}, "recall": {"1": None}, "accuracy": {"1": 0.0},
    }  # fmt: skip


def test_the_query_itself_is_left_out():
    labels = ["a", "a", "b"]
    rankings = [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    scores = evaluate_ranking(rankings, labels, labels, at=[1], exclude="self")
    assert scores.precision_of[:, 0].tolist() == [1, 0, 0]
    assert scores.average_precision.tolist() == pytest.approx([1, 0.5, nan], nan_ok=True)
    assert scores.without_relevant == 1
    partly = evaluate_ranking(rankings, labels, labels, at=[1], exclude=[0, -1, -1])
    assert partly.precision_of[:, 0].tolist() == [1, 1, 1]
    assert partly.average_precision.tolist() == pytest.approx([1, (1 + 2 / 3) / 2, 1])
    other = evaluate_ranking([[0, 1, 2]], labels, ["b"], at=[1], exclude=[0])  # of another label
    assert other.average_precision.tolist() == [0.5]


def test_equal_votes_go_to_the_label_that_sorts_first():
    labels = ["b", "a", "b", "a"]
    for own, right in (("a", True), ("b", False)):
        scores = evaluate_ranking([[0, 1, 2, 3]], labels, [own], at=[2, 4])
        assert scores.right_of.tolist() == [[right, right]]
    numbers = evaluate_ranking([[0, 1]], [10, 9], [9], at=[2])
    assert numbers.accuracy == {2: 1}  # 9 before 10, as numbers


def test_empty_rankings_find_nothing():
    scores = evaluate_ranking([[], [0]], ["a"], ["a", "a"], at=[1, 3])
    assert scores.precision_of.tolist() == [[0, 0], [1, 1 / 3]]
    assert scores.right_of.tolist() == [[False, False], [True, True]]
    assert scores.average_precision.tolist() == [0, 1]
    alone = evaluate_ranking([[0]], ["a"], ["a"], at=[1], exclude="self")
    assert (alone.precision, alone.accuracy, alone.without_relevant) == ({1: 0}, {1: 0}, 1)
    empty = evaluate_ranking([[], []], [], ["a", "b"], at=[1])
    assert (empty.without_relevant, empty.precision) == (2, {1: 0})


# ---- against others --------------------------------------------------------------------------


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.sampled_from("abc"), min_size=n, max_size=n),
            st.lists(
                st.tuples(
                    st.permutations(range(n)),
                    st.integers(0, n),
                    st.sampled_from("abcd"),
                    st.integers(-1, n - 1),
                ),
                min_size=1,
                max_size=5,
            ),
        )
    ),
    st.sets(st.integers(1, 15), min_size=1, max_size=4),
)
def test_any_small_rankings(data, at):
    labels, rows = data
    rankings = [order[:cut] for order, cut, _, _ in rows]
    own, itself = [row[2] for row in rows], [row[3] for row in rows]
    for exclude in (None, itself):
        scores = evaluate_ranking(rankings, labels, own, at=at, exclude=exclude)
        check(scores, reference.scores(rankings, labels, own, at, exclude))
    ranked = [[labels[i] for i in order] for order in rankings]
    relevant = [labels.count(label) for label in own]
    scores = evaluate_labels(ranked, own, at=at, relevant=relevant)
    check(scores, reference.scores(rankings, labels, own, at))


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize("n", [1, 7, 8, 33, 200])
def test_average_precision_is_that_of_scikit_learn(n, higher_is_better):
    rng = np.random.default_rng(n)
    values = rng.permuted(np.linspace(-3, 4, 20 * n)).reshape(20, n)  # no two are equal
    labels, own = rng.integers(0, 3, n), rng.integers(0, 3, 20)
    scores = evaluate_values(values, labels, own, higher_is_better=higher_is_better)
    for query in range(20):
        relevant = labels == own[query]
        found = scores.average_precision[query]
        if not relevant.any():
            assert math.isnan(found)
            continue
        theirs = average_precision_score(relevant, values[query] * (1 if higher_is_better else -1))
        assert found == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("exclude", [None, "self"])
@pytest.mark.parametrize("higher_is_better", [False, True])
def test_values_with_many_ties(higher_is_better, exclude):
    rng = np.random.default_rng(4)
    values = rng.integers(0, 4, (30, 30)).astype(float)
    values[3, :5] = inf
    values[4, :5] = -inf
    labels = rng.choice(["x", "y", "z"], 30)
    scores = evaluate_values(
        values, labels, labels, higher_is_better=higher_is_better, at=[1, 3, 30], exclude=exclude
    )
    rankings = [reference.rank(row.tolist(), higher_is_better) for row in values]
    itself = None if exclude is None else range(30)
    names = labels.tolist()
    check(scores, reference.scores(rankings, names, names, [1, 3, 30], itself))
    assert rank(values, higher_is_better=higher_is_better).tolist() == rankings
    again = evaluate_ranking(rankings, labels, labels, at=[1, 3, 30], exclude=exclude)
    assert again.as_dict() == scores.as_dict()


def test_neighbours_of_knn_go_in_as_they_are():
    rng = np.random.default_rng(5)
    rows, queries = rng.random((60, 9)), rng.random((20, 9))
    labels, own = rng.integers(0, 3, 60), rng.integers(0, 3, 20)
    whole = evaluate_ranking(isf.knn(queries, rows, 60).indices, labels, own)
    by_values = evaluate_values(isf.cdist(queries, rows), labels, own)
    assert whole.as_dict() == by_values.as_dict()
    first = evaluate_ranking(isf.knn(queries, rows, 10).indices, labels, own, at=[1, 10])
    assert first.precision == {k: whole.precision[k] for k in (1, 10)}
    assert first.mean_average_precision < whole.mean_average_precision


# ---- inputs ----------------------------------------------------------------------------------


def test_values_of_any_kind_rank_alike():
    values = np.array([[3, 1, 2, 1], [0, 0, 1, 0]])
    want = [[1, 3, 2, 0], [0, 1, 3, 2]]
    swapped = values.astype(">f4")
    strided = np.repeat(values, 2, axis=1)[:, ::2]
    for given_ in (values, values.tolist(), values.astype(np.uint8), swapped, strided):
        assert rank(given_).tolist() == want
        assert rank(given_[0]).tolist() == want[0]
    assert rank(values.astype(bool)).tolist() == [[0, 1, 2, 3], [0, 1, 3, 2]]
    frozen = values.astype(float)
    frozen.setflags(write=False)
    assert rank(frozen, higher_is_better=True).tolist() == [[0, 2, 1, 3], [2, 0, 1, 3]]
    assert rank(np.empty((2, 0))).shape == (2, 0)
    assert rank(np.empty((0, 2))).shape == (0, 2)
    assert rank([inf, -inf, 0.0, -0.0]).tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", "a"],
        np.array(["a", "b", "a"], object),
        np.array(["a", "b", "a"], np.dtypes.StringDType()),
        [0, 1, 0],
        np.array([0, 1, 0], ">u2"),
        np.array([0, 2**53, 0], np.uint64),
        [True, False, True],
        [0.5, 1.5, 0.5],
        np.array([0, 1, 0], object),
        ("\xe4", "\U0001f600", "\xe4"),
        range(0, 1, 1),
    ],
    ids=repr,
)
def test_labels_of_any_kind(labels):
    count = len(labels)
    scores = evaluate_ranking([range(count)], labels, labels[:1], at=[1, 3])
    assert scores.average_precision[0] == pytest.approx((1 + 2 / 3) / 2 if count > 1 else 1)


GOOD = {"ranking": [[0, 1]], "labels": ["a", "b"], "query_labels": ["a"]}
MISTAKES = {
    "rank outside": (InvalidInputError, r"ranking\[0\]\[1\] is 2", {"ranking": [[0, 2]]}),
    "rank below": (InvalidInputError, r"ranking\[0\]\[0\] is -1", {"ranking": [[-1, 1]]}),
    "twice": (InvalidInputError, r"ranking\[0\] names item 1 2 times", {"ranking": [[1, 1]]}),
    "fractions": (InvalidTypeError, r"ranking\[0\] .*float64", {"ranking": [[0.0, 1.0]]}),
    "bools": (InvalidTypeError, r"ranking\[0\] .*bool", {"ranking": [[True, False]]}),
    "flat": (InvalidInputError, r"ranking\[0\] .*\(\)", {"ranking": [0, 1]}),
    "number": (InvalidTypeError, "ranking .*int", {"ranking": 3}),
    "0-D": (InvalidTypeError, "ranking .*ndarray", {"ranking": np.array(3)}),
    "text": (InvalidTypeError, "ranking .*str", {"ranking": "ab"}),
    "masked": (InvalidInputError, "ranking is a masked",
               {"ranking": np.ma.masked_less(np.eye(2), 1)}),
    "no query": (InvalidInputError, "no query", {"ranking": [], "query_labels": []}),
    "queries": (InvalidInputError, "query_labels .*1 queries, got 2", {"query_labels": ["a", "b"]}),
    "kinds": (InvalidTypeError, "labels and query_labels .*text and int64", {"query_labels": [1]}),
    "None": (InvalidTypeError, r"labels\[1\] is None", {"labels": ["a", None]}),
    "NaN": (InvalidInputError, r"labels\[1\] is NaN", {"labels": [1, nan], "query_labels": [1]}),
    "2-D": (InvalidInputError, r"labels .*\(1, 2\)", {"labels": [["a", "b"]]}),
    "ragged": (InvalidInputError, "labels must hold one", {"labels": [["a"], ["b", "c"]]}),
    "one text": (InvalidTypeError, "labels .*str", {"labels": "ab"}),
    "mapping": (InvalidTypeError, "labels .*dict", {"labels": {"a": "b"}}),
    "generator": (InvalidTypeError, "labels .*generator", {"labels": (c for c in "ab")}),
    "bytes": (InvalidTypeError, r"labels .*\|S1", {"labels": [b"a", b"b"]}),
    "complex": (InvalidTypeError, "labels .*complex", {"labels": [1j, 2]}),
    "large": (InvalidInputError, r"labels\[0\] is 9007199254740993",
              {"labels": [2**53 + 1, 1], "query_labels": [1]}),
    "masked labels": (InvalidInputError, "labels is a masked",
                      {"labels": np.ma.masked_less([1, 2], 2)}),
    "at 0": (InvalidInputError, "at .*got 0", {"at": [1, 0]}),
    "at 1.0": (InvalidTypeError, r"at .*1\.0", {"at": [1.0]}),
    "at True": (InvalidTypeError, "at .*True", {"at": [True]}),
    "at 3": (InvalidTypeError, "at .*3", {"at": 3}),
    "at text": (InvalidTypeError, "at .*'1'", {"at": "1"}),
    "at none": (InvalidInputError, "at .*at least one", {"at": []}),
    "at huge": (InvalidInputError, f"at .*{2**70}", {"at": [2**70]}),
    "exclude word": (InvalidInputError, "exclude .*'me'", {"exclude": "me"}),
    "exclude self": (InvalidInputError, "exclude='self' .*1 and 2", {"exclude": "self"}),
    "exclude outside": (InvalidInputError, r"exclude\[0\] is 2", {"exclude": [2]}),
    "exclude below": (InvalidInputError, r"exclude\[0\] is -2", {"exclude": [-2]}),
    "exclude length": (InvalidInputError, "exclude .*1 queries, got 2", {"exclude": [0, 1]}),
    "exclude 2-D": (InvalidInputError, r"exclude .*\(1, 1\)", {"exclude": [[0]]}),
    "exclude float": (InvalidTypeError, "exclude .*float64", {"exclude": [0.5]}),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, change = MISTAKES[name]
    with pytest.raises(kind, match=f"^{message}" if name != "no query" else message):
        evaluate_ranking(**{**GOOD, **change})


OTHERS = {
    "NaN": (InvalidInputError, r"values\[1, 0\] is NaN",
            lambda: evaluate_values([[1, 2], [nan, 1]], ["a", "b"], ["a", "b"])),
    "rank NaN": (InvalidInputError, r"values\[1\] is NaN", lambda: rank([1, nan])),
    "rank 0-D": (InvalidInputError, r"values .*\(\)", lambda: rank(3.0)),
    "rank 3-D": (InvalidInputError, r"values .*\(1, 1, 1\)", lambda: rank([[[3.0]]])),
    "text": (InvalidTypeError, "values .*<U1", lambda: rank(["a"])),
    "columns": (InvalidInputError, r"values .*3 labels, got shape \(1, 2\)",
                lambda: evaluate_values([[1, 2]], ["a", "b", "c"], ["a"])),
    "1-D": (InvalidInputError, r"values .*\(2,\)", lambda: evaluate_values([1, 2], "ab", ["a"])),
    "relevant": (InvalidInputError, r"relevant\[1\] is 0, but ranked_labels\[1\] has 1",
                 lambda: evaluate_labels([["a"], ["b"]], ["a", "b"], relevant=[3, 0])),
    "relevant length": (InvalidInputError, "relevant .*2 queries, got 1",
                        lambda: evaluate_labels([["a"], ["b"]], ["a", "b"], relevant=[3])),
    "ranked kinds": (InvalidTypeError, r"ranked_labels\[1\] and query_labels .*int64 and text",
                     lambda: evaluate_labels([["a"], [1]], ["a", "b"])),
    "ranked flat": (InvalidTypeError, r"ranked_labels\[0\] .*str",
                    lambda: evaluate_labels(["a", "b"], ["a", "b"])),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_mistakes_are_named(name):
    kind, message, call = OTHERS[name]
    with pytest.raises(kind, match=f"^{message}"):
        call()


@pytest.mark.parametrize("rows", [0, 1, 2, 4])
def test_every_query_needs_one_ranking(rows):
    database = LabelledDatabase(3, ["a", "b", "a"], ["a", "b", "a"], "self")
    with pytest.raises(InvalidInputError, match=r"^rankings .*3 queries"):
        database.score([np.array([1, 2])] * rows, [1, 2])
    assert database.score([np.array([1, 2])] * 3, [1, 2]).queries == 3


def test_text_is_taken_as_it_is():
    """As an array of NumPy's, one long label made all of them as long."""
    labels = ["a" + "\0" * (number % 3000) for number in range(9)] + ["b"] * 3000 + ["c" * 10**5]
    tracemalloc.start()
    scores = evaluate_ranking([np.arange(len(labels))] * 2, labels, ["a", "b"], at=[1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert scores.average_precision[0] == 1.0
    assert scores.recall[1] == pytest.approx(0.5)  # "a\0" is another label than "a"
    assert evaluate_labels([np.array([], "U3")], ["a"], at=[1]).without_relevant == 1
