"""The estimators: scikit-learn's own checks, and its brute force on our distances."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

import imgsim_fast as isf
from imgsim_fast.errors import (
    ImgsimError,
    InvalidInputError,
    InvalidTypeError,
    MissingExtraError,
    UnbalancedMassError,
)
from imgsim_fast.evaluation import evaluate_ranking
from imgsim_fast.sklearn import WassersteinNeighbors, WassersteinNeighborsClassifier

GRID = np.indices((3, 4)).reshape(2, -1).T

# Each with the options that give the same distances in isf.cdist.
GEOMETRIES = {
    "plain": ({}, {}),
    "p=2": ({"p": 2}, {"p": 2}),
    "p=inf": ({"p": math.inf}, {"p": math.inf}),
    "circle": ({"circular": True}, {"circular": True}),
    "positions": ({"positions": np.arange(12) ** 2}, {"positions": np.arange(12) ** 2}),
    "emd": ({"metric": "emd"}, {"metric": "emd", "mass": "normalize"}),
    "grid": ({"metric": "emd", "positions": GRID, "ground": "cityblock", "threshold": 3},
             {"metric": "emd", "positions": GRID, "ground": "cityblock", "threshold": 3,
              "mass": "normalize"}),
    "cost": ({"metric": "emd", "cost": np.abs(np.subtract.outer(range(12), range(12))) * 2.0,
              "mass": "partial"},
             {"metric": "emd", "cost": np.abs(np.subtract.outer(range(12), range(12))) * 2.0,
              "mass": "partial"}),
}  # fmt: skip


def histograms(n, bins=12, seed=0, top=3):
    """Few whole masses: many equal rows and equal distances."""
    rng = np.random.default_rng((seed, n))
    rows = rng.integers(0, top, (n, bins)).astype(float)
    rows[:, 0] += 1
    rows[n // 2] = rows[0]
    return rows


# ---- scikit-learn's checks -------------------------------------------------------------------


def allowed_failures(estimator):
    return {"check_estimators_dtypes": "draws rows of zeros, which are no distributions"}


@parametrize_with_checks(
    [
        WassersteinNeighbors(),
        WassersteinNeighbors(metric="emd", ground="cityblock"),
        WassersteinNeighborsClassifier(),
        WassersteinNeighborsClassifier(n_neighbors=3, weights="distance", metric="emd"),
    ],
    expected_failed_checks=allowed_failures,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.uint8, bool])
@pytest.mark.parametrize("kind", [WassersteinNeighbors, WassersteinNeighborsClassifier])
def test_any_dtype_without_rows_of_zeros(kind, dtype):
    """What the check that is allowed to fail would check."""
    rows = histograms(20).astype(dtype)
    estimator = kind().fit(rows, np.arange(20) % 2)
    distances, indices = estimator.kneighbors(rows)
    assert distances.dtype == np.float64
    want = isf.knn(rows.astype(float), rows.astype(float), 5)
    assert (distances == want.distances).all()
    assert (indices == want.indices).all()


# ---- neighbours ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize("n_jobs", [None, 2, -1])
def test_neighbours_are_those_of_a_full_sort(name, n_jobs):
    options, same = GEOMETRIES[name]
    rows, queries = histograms(40), histograms(9, seed=1)
    model = WassersteinNeighbors(n_jobs=n_jobs, **options).fit(rows)
    full = isf.cdist(queries, rows, threads=1, **same)
    order = np.argsort(full, axis=1, kind="stable")
    for k in (None, 1, 7, 40):
        distances, indices = model.kneighbors(queries, k)
        assert (indices == order[:, : k or 5]).all()
        assert (distances == np.take_along_axis(full, indices, 1)).all()
        assert (model.kneighbors(queries, k, return_distance=False) == indices).all()
    radius = float(np.median(full))
    for edge in (radius, float(full[0, 0]), 0, math.inf):
        distances, indices = model.radius_neighbors(queries, edge)
        assert distances.dtype == indices.dtype == object
        for row, near, found in zip(full, distances, indices, strict=True):
            assert found.tolist() == np.flatnonzero(row <= edge).tolist()
            assert near.tolist() == row[found].tolist()
        near, sorted_ = model.radius_neighbors(queries, edge, sort_results=True)
        for i in range(len(queries)):
            assert sorted_[i].tolist() == order[i][: len(indices[i])].tolist()
            assert near[i].tolist() == full[i, sorted_[i]].tolist()


@pytest.mark.parametrize("metric", ["wasserstein", "emd"])
def test_without_queries_a_row_is_not_its_own_neighbour(metric):
    rows = histograms(15)
    rows[3:9] = rows[3]  # six equal rows, of which two neighbours are wanted
    model = WassersteinNeighbors(n_neighbors=2, radius=0.4, metric=metric).fit(rows)
    full = isf.cdist(rows, rows, metric, **({"mass": "normalize"} if metric == "emd" else {}))
    distances, indices = model.kneighbors()
    near, within = model.radius_neighbors()
    for i, row in enumerate(full):
        others = [j for j in np.argsort(row, kind="stable") if j != i]
        assert indices[i].tolist() == others[:2]
        assert distances[i].tolist() == row[others[:2]].tolist()
        assert within[i].tolist() == [j for j in range(15) if j != i and row[j] <= 0.4]
        assert near[i].tolist() == row[within[i]].tolist()
    everyone = model.kneighbors(n_neighbors=14, return_distance=False)
    assert np.sort(everyone).tolist() == [[j for j in range(15) if j != i] for i in range(15)]


def test_long_searches_go_in_pieces(monkeypatch):
    rows, queries = histograms(30), histograms(50, seed=2)
    model = WassersteinNeighbors(radius=1.0).fit(rows)
    whole = model.radius_neighbors(queries, return_distance=False)
    for piece in (1, 31, 100):
        monkeypatch.setattr("imgsim_fast.sklearn._PIECE", piece)
        pieces = model.radius_neighbors(queries, return_distance=False)
        assert [row.tolist() for row in pieces] == [row.tolist() for row in whole]


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_graphs_are_those_of_scikit_learn(mode):
    rng = np.random.default_rng(6)
    rows, queries = rng.random((30, 12)) + 0.01, rng.random((8, 12)) + 0.01  # no equal distances
    # Between distributions on the line W1 is the L1 distance of the vectors that we give.
    theirs = NearestNeighbors(n_neighbors=4, radius=0.9, metric="manhattan", algorithm="brute")
    theirs.fit(isf.cdf_vectors(rows))
    ours = WassersteinNeighbors(n_neighbors=4, radius=0.9).fit(rows)
    for X in (queries, None):
        vectors = None if X is None else isf.cdf_vectors(X)
        for name in ("kneighbors_graph", "radius_neighbors_graph"):
            got = getattr(ours, name)(X, mode=mode)
            want = getattr(theirs, name)(vectors, mode=mode)
            assert got.format == "csr"
            assert got.shape == want.shape
            assert got.nnz == want.nnz > 0
            np.testing.assert_allclose(got.toarray(), want.toarray(), rtol=1e-12)
    sorted_ = ours.radius_neighbors_graph(queries, mode="distance", sort_results=True)
    for i in range(8):
        row = sorted_.data[sorted_.indptr[i] : sorted_.indptr[i + 1]]
        assert (np.diff(row) > 0).all()
    assert ours.radius_neighbors_graph(queries, 0).nnz == 0
    assert ours.fit(rows[:1]).radius_neighbors_graph().shape == (1, 1)


# ---- classification --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "grid"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_classes_are_those_of_scikit_learn_on_our_distances(name, weights):
    options, same = GEOMETRIES[name]
    rng = np.random.default_rng(7)
    rows, queries = rng.random((60, 12)), rng.random((40, 12))
    queries[:5] = rows[:5]  # at distance 0
    classes = rng.choice(["cat", "dog", "eel"], 60)
    full = isf.cdist(queries, rows, **same)
    for k in (1, 2, 5, 60):
        theirs = KNeighborsClassifier(k, weights=weights, metric="precomputed")
        theirs.fit(isf.cdist(rows, rows, **same), classes)
        ours = WassersteinNeighborsClassifier(k, weights=weights, **options).fit(rows, classes)
        np.testing.assert_allclose(ours.predict_proba(queries), theirs.predict_proba(full), 1e-12)
        assert ours.classes_.tolist() == ["cat", "dog", "eel"]
        assert ours.predict(queries).tolist() == theirs.predict(full).tolist()
        truth = rng.choice(["cat", "dog"], 40)
        assert ours.score(queries, truth) == np.mean(ours.predict(queries) == truth)


def test_equal_votes_go_to_the_first_class_and_equal_distances_to_the_lower_row():
    rows = [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 2, 0]]
    model = WassersteinNeighborsClassifier(2).fit(rows[:2], ["z", "a"])
    assert model.predict([[0, 1, 0]]) == ["a"]
    assert model.predict_proba([[0, 1, 0]]).tolist() == [[0.5, 0.5]]
    model = WassersteinNeighborsClassifier(1).fit(rows[2:], [8, 3])
    assert model.predict([[1, 0, 0]]) == [8]


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1.0, 1e300])
def test_weights_of_tiny_and_huge_distances(scale):
    rows = np.eye(3)
    model = WassersteinNeighborsClassifier(
        3, weights="distance", positions=np.array([0, 1, 3]) * scale
    ).fit(rows, [0, 1, 2])
    queries = [[0.5, 0.5, 0], [1, 0, 0]]  # distances 0.5, 0.5, 2.5 and 0, 1, 3
    np.testing.assert_allclose(
        model.predict_proba(queries), [[5 / 11, 5 / 11, 1 / 11], [1, 0, 0]], rtol=2e-3
    )


def test_leave_one_out():
    rows, classes = histograms(25), np.arange(25) % 3
    model = WassersteinNeighborsClassifier(3).fit(rows, classes)
    one_by_one = [
        clone(model).fit(np.delete(rows, i, 0), np.delete(classes, i)).predict(rows[i : i + 1])[0]
        for i in range(25)
    ]
    assert model.predict(None).tolist() == one_by_one
    assert model.score(None, classes) == np.mean(np.array(one_by_one) == classes)


def test_accuracy_is_that_of_the_evaluation():
    rows, queries = histograms(50), histograms(20, seed=3)
    classes, truth = np.arange(50) % 4, np.arange(20) % 4
    scores = evaluate_ranking(isf.knn(queries, rows, 5).indices, classes, truth, at=[1, 2, 5])
    for k in (1, 2, 5):
        model = WassersteinNeighborsClassifier(k).fit(rows, classes)
        assert model.score(queries, truth) == scores.accuracy[k]


# ---- among other tools -----------------------------------------------------------------------


def test_in_pipelines_and_searches():
    rng = np.random.default_rng(8)
    images = rng.normal(rng.permutation(np.arange(60) % 2)[:, None, None] * 60 + 90, 20, (60, 8, 8))
    classes = np.where(images.mean(axis=(1, 2)) > 120, "light", "dark")
    count = FunctionTransformer(
        lambda flat: isf.histograms(flat.reshape(-1, 8, 8), bins=16, threads=1)
    )
    pipeline = make_pipeline(count, WassersteinNeighborsClassifier(3))
    flat = images.clip(0, 255).astype(np.uint8).reshape(60, -1)
    assert cross_val_score(pipeline, flat, classes, cv=3).mean() > 0.95
    grid = {"wassersteinneighborsclassifier__p": [1, 2, 3]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(flat, classes)
    assert (search.predict(flat) == classes).mean() > 0.95
    by_two = cross_val_predict(pipeline, flat, classes, cv=3, n_jobs=None)
    assert (by_two == classes).mean() > 0.95


def test_parameters_and_pickles():
    model = WassersteinNeighbors(3, 0.5, metric="emd", positions=GRID, mass=2.5, n_jobs=2)
    given, kept = model.get_params(), clone(model).get_params()
    assert (kept.pop("positions") == given.pop("positions")).all()
    assert kept == given
    assert model.set_params(radius=2).radius == 2
    model.fit(histograms(10))
    again = pickle.loads(pickle.dumps(model))
    assert (again.kneighbors()[0] == model.kneighbors()[0]).all()
    assert "metric='emd'" in repr(model)


def test_threads_are_counted_as_joblib_does(monkeypatch):
    seen = []
    real = isf.knn

    def knn(*arguments, **options):
        seen.append(options["threads"])
        return real(*arguments, **options)

    monkeypatch.setattr("imgsim_fast.sklearn.knn", knn)
    rows = histograms(10)
    for n_jobs in (None, 1, 3, -1):
        WassersteinNeighbors(n_jobs=n_jobs).fit(rows).kneighbors()
    with joblib.parallel_config(n_jobs=5):
        WassersteinNeighbors().fit(rows).kneighbors()
    assert seen == [1, 1, 3, joblib.cpu_count(), 5]


def test_the_rows_given_are_not_changed():
    rows = histograms(10)
    before = rows.copy()
    model = WassersteinNeighborsClassifier().fit(rows, np.arange(10) % 2)
    model.predict(rows)
    assert (rows == before).all()
    rows.setflags(write=False)
    want = model.predict_proba(rows)
    unaligned = np.zeros(rows.nbytes + 1, np.uint8)[1:].view(float).reshape(rows.shape)
    unaligned[:] = rows
    for other in (rows, rows.tolist(), np.asfortranarray(rows), rows.astype(">f8"), unaligned,
                  np.repeat(rows, 2, axis=1)[:, ::2]):  # fmt: skip
        again = WassersteinNeighborsClassifier().fit(other, np.arange(10) % 2)
        assert (again.predict_proba(other) == want).all()


@pytest.mark.data
def test_digits_of_mnist(shared_data):
    """The accuracies that docs/classification.md states for 1-NN."""
    with np.load(shared_data / "mnist_test.npz") as data:
        images, digits = data["images"][:1500], data["labels"][:1500]
    ink = images.reshape(-1, 7, 4, 7, 4).sum(axis=(2, 4)).reshape(1500, 49)
    grid = np.indices((7, 7)).reshape(2, -1).T
    for rows, options, want in (
        (isf.histograms(images, bins=256, range=(0, 255)), {}, 0.28),
        (ink, {"metric": "emd", "positions": grid, "n_jobs": -1}, 0.89),
    ):
        model = WassersteinNeighborsClassifier(1, **options).fit(rows[:1000], digits[:1000])
        assert model.score(rows[1000:], digits[1000:]) == pytest.approx(want, abs=0.003)


# ---- mistakes --------------------------------------------------------------------------------

ROWS = histograms(6)


def broken(value):
    rows = ROWS.copy()
    rows[4, 2] = value
    return rows


def fit(X=ROWS, **options):
    return WassersteinNeighbors(**options).fit(X)


def learn(X=ROWS, y=(0, 1, 0, 1, 0, 1), **options):
    return WassersteinNeighborsClassifier(**options).fit(X, y)


MISTAKES = {
    "NaN": (InvalidInputError, r"X\[4, 2\] is NaN", lambda: fit(broken(math.nan))),
    "inf": (InvalidInputError, r"X\[4, 2\] is inf", lambda: learn(broken(math.inf))),
    "negative": (InvalidInputError, r"Negative values .*WassersteinNeighbors: X\[4, 2\] is -0\.5",
                 lambda: fit(broken(-0.5))),
    "NaN and negative": (InvalidInputError, r"X\[4, 0\] is NaN",
                         lambda: fit(np.vstack([ROWS[:4], [[math.nan] + [-1.0] * 11]]))),
    "no mass": (InvalidInputError, r"X\[5\] has no mass",
                lambda: fit(np.vstack([ROWS[:5], np.zeros(12)]))),
    "query without mass": (InvalidInputError, r"X\[0\] has no mass",
                           lambda: fit().kneighbors(np.zeros((1, 12)))),
    "query NaN": (InvalidInputError, r"X\[4, 2\] is NaN",
                  lambda: learn().predict(broken(math.nan))),
    "masked": (InvalidInputError, "X is a masked", lambda: fit(np.ma.masked_less(ROWS, 1))),
    "masked query": (InvalidInputError, "X is a masked",
                     lambda: fit().kneighbors(np.ma.masked_less(ROWS, 1))),
    "one bin": (ValueError, r"1 feature\(s\) .* minimum of 2", lambda: fit(np.ones((5, 1)))),
    "no rows": (ValueError, r"0 sample\(s\)", lambda: fit(np.ones((0, 5)))),
    "1-D": (ValueError, "2D array", lambda: fit(np.ones(5))),
    "3-D": (ValueError, "dim 3", lambda: fit(np.ones((2, 2, 2)))),
    "text": (ValueError, "could not convert", lambda: fit([["a", "b"]])),
    "features": (ValueError, "12 features", lambda: fit().kneighbors(np.ones((2, 11)))),
    "k 0": (InvalidInputError, "n_neighbors .*got 0", lambda: fit(n_neighbors=0)),
    "k 1.5": (InvalidTypeError, r"n_neighbors .*got 1\.5", lambda: fit(n_neighbors=1.5)),
    "k large": (InvalidInputError, r"n_neighbors = 7, n_samples_fit = 6",
                lambda: fit().kneighbors(ROWS, 7)),
    "k large, others": (InvalidInputError, r"beside the row itself.* = 6, n_samples_fit = 6",
                        lambda: fit().kneighbors(n_neighbors=6)),
    "k large, vote": (InvalidInputError, "n_neighbors = 9",
                      lambda: learn(n_neighbors=9).predict(ROWS)),
    "radius": (InvalidInputError, "radius .*got -1", lambda: fit(radius=-1)),
    "radius NaN": (InvalidInputError, "radius .*got nan",
                   lambda: fit().radius_neighbors(ROWS, math.nan)),
    "radius text": (InvalidTypeError, "radius .*'1'", lambda: fit(radius="1")),
    "mode": (InvalidInputError, "mode .*'both'", lambda: fit().kneighbors_graph(mode="both")),
    "metric": (InvalidInputError, "metric .*'l1'", lambda: fit(metric="l1")),
    "metric list": (InvalidInputError, r"metric .*\['emd'\]", lambda: fit(metric=["emd"])),
    "p": (InvalidInputError, "p must .*got 0", lambda: fit(p=0)),
    "p for emd": (InvalidInputError, "p is for metric='wasserstein'",
                  lambda: fit(metric="emd", p=2)),
    "cost": (InvalidInputError, "cost is for metric='emd'", lambda: fit(cost=np.ones((12, 12)))),
    "mass": (InvalidInputError, "mass is for metric='emd'", lambda: fit(mass="partial")),
    "mass word": (InvalidInputError, "mass must .*'half'", lambda: fit(metric="emd", mass="half")),
    "unequal totals": (UnbalancedMassError, "total",
                       lambda: fit(metric="emd", mass="error").kneighbors()),
    "positions": (InvalidInputError, r"positions .*\(12,\)", lambda: fit(positions=[0, 1])),
    "grid": (InvalidInputError, "positions", lambda: fit(metric="emd", positions=GRID[:5])),
    "circular": (InvalidInputError, "circular", lambda: fit(circular=-1)),
    "n_jobs 0": (InvalidInputError, "n_jobs must not be 0", lambda: fit(n_jobs=0)),
    "n_jobs": (InvalidTypeError, "n_jobs .*'all'", lambda: fit(n_jobs="all")),
    "weights": (InvalidInputError, "weights .*'near'", lambda: learn(weights="near")),
    "weights later": (InvalidInputError, "weights .*None",
                      lambda: learn().set_params(weights=None).predict(ROWS)),
    "labels": (ValueError, "inconsistent numbers", lambda: learn(y=[0, 1])),
    "no labels": (ValueError, "y", lambda: learn(y=None)),
    "real labels": (ValueError, "continuous", lambda: learn(y=[0.1, 0.2, 0.3, 1, 2, 3])),
    "two labels each": (ValueError, "1d array", lambda: learn(y=np.ones((6, 2)))),
    "not fitted": (NotFittedError, "not fitted",
                   lambda: WassersteinNeighbors().radius_neighbors(ROWS)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    kind, message, call = MISTAKES[name]
    with pytest.raises(kind, match=message):
        call()


def test_without_scikit_learn_the_extra_is_named():
    program = """
import sys
sys.modules["sklearn"] = None
import imgsim_fast
try:
    import imgsim_fast.sklearn
except ImportError as error:
    print(type(error).__name__, error, error.__cause__ is not None)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout == (
        "MissingExtraError imgsim_fast.sklearn needs scikit-learn 1.6 or newer: "
        'pip install "imgsim_fast[sklearn]" True\n'
    )


def test_the_missing_extra_is_an_import_error():
    error = MissingExtraError("this needs that")
    assert isinstance(error, ImportError)
    assert isinstance(error, ImgsimError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (MissingExtraError, "this needs that")
