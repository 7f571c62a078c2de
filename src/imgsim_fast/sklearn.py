"""Nearest neighbours and a classifier by Wasserstein distance, as scikit-learn estimators.

Needs the extra ``sklearn``. A row of X is a histogram: masses in bins, finite, not negative, not
all 0. Only its distribution counts, so rows of different totals compare well::

    from imgsim_fast.sklearn import WassersteinNeighborsClassifier

    model = WassersteinNeighborsClassifier(n_neighbors=3).fit(histograms, classes)
    model.predict(other_histograms)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgsim_fast import _core, _validate
from imgsim_fast.errors import InvalidInputError, InvalidTypeError, MissingExtraError
from imgsim_fast.knn import knn
from imgsim_fast.pairwise import Places, cdist

try:
    from joblib import effective_n_jobs
    from scipy.sparse import csr_array
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingExtraError(
        f'{__name__} needs scikit-learn 1.6 or newer: pip install "imgsim_fast[sklearn]"'
    ) from error

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["WassersteinNeighbors", "WassersteinNeighborsClassifier"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# radius_neighbors computes so many distances at once (32 MB).
_PIECE = 1 << 22


class _Neighbors(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: the fitted histograms and the search in them."""

    if TYPE_CHECKING:
        n_features_in_: int
        n_samples_fit_: int
        _rows: Floats

    def __init__(
        self,
        *,
        n_neighbors: int,
        metric: str,
        p: float,
        circular: bool | float,
        positions: Places | None,
        cost: ArrayLike | None,
        ground: str,
        threshold: float | None,
        mass: str | float,
        n_jobs: int | None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.p = p
        self.circular = circular
        self.positions = positions
        self.cost = cost
        self.ground = ground
        self.threshold = threshold
        self.mass = mass
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def kneighbors(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[Floats, Integers] | Integers:
        """Find the fitted rows nearest to each row of X, exactly.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), optional
            Histograms. Without it each fitted row is looked up among the others.
        n_neighbors : int, optional
            How many, at most as many as there are; default: the estimator's own.
        return_distance : bool
            Whether to give the distances too.

        Returns
        -------
        distances : ndarray of float64, shape (n_queries, n_neighbors)
            Ascending; left out if `return_distance` is False.
        indices : ndarray of int64, shape (n_queries, n_neighbors)
            Numbers of fitted rows. Equal distances are ordered by row number.

        Notes
        -----
        The search of :func:`imgsim_fast.knn`: O(n_queries n_samples_fit n_features) time with
        "wasserstein", one transport problem per pair with "emd".
        """
        found = self._nearest(X, self.n_neighbors if n_neighbors is None else n_neighbors)
        return found if return_distance else found[1]

    def kneighbors_graph(
        self,
        X: ArrayLike | None = None,
        n_neighbors: int | None = None,
        mode: str = "connectivity",
    ) -> csr_array:
        """Give the result of :meth:`kneighbors` as a sparse matrix.

        Parameters
        ----------
        X, n_neighbors
            As in :meth:`kneighbors`.
        mode : {"connectivity", "distance"}
            What stands at (i, j) if fitted row j is a neighbour of row i of X: 1 or the distance.

        Returns
        -------
        scipy.sparse.csr_array of float64, shape (n_queries, n_samples_fit)
            Neighbours at distance 0 are stored as well.
        """
        distances, indices = self._nearest(
            X, self.n_neighbors if n_neighbors is None else n_neighbors
        )
        return self._graph(list(distances), list(indices), mode)

    # ---- for both --------------------------------------------------------------------------------

    def _fit(self, X: ArrayLike, y: ArrayLike | None, **checks: Any) -> Any:
        """Check X, all options and y, and keep X; return y checked."""
        _validate.as_count("n_neighbors", self.n_neighbors)
        _validate.refuse_masked("X", X)
        # A histogram of one bin is always the same distribution.
        checks |= {"ensure_min_features": 2, "ensure_all_finite": False}
        checked = validate_data(self, X, y, dtype=np.float64, order="C", **checks)
        rows, y = checked if isinstance(checked, tuple) else (checked, None)
        self._rows = self._as_masses(rows)
        self.n_samples_fit_ = len(self._rows)
        cdist(self._rows[:0], self._rows[:0], **self._options())  # so that mistakes show early
        return y

    def _as_masses(self, rows: Floats) -> Floats:
        rows = _validate.as_floats("X", rows)
        bad = _core.Signatures(rows, None).first_bad()
        if bad >= 0:
            self._explain(rows, bad)
        return rows

    def _explain(self, rows: Floats, bad: int) -> NoReturn:
        negative = np.flatnonzero(rows[bad] < 0)
        if negative.size and np.isfinite(rows[bad]).all():
            # scikit-learn's words, which its checks look for, and ours.
            raise InvalidInputError(
                f"Negative values in data passed to {type(self).__name__}: X[{bad}, {negative[0]}] "
                f"is {rows[bad, negative[0]]!s}: masses must be finite and not negative"
            )
        _validate.explain_bad_mass("X", rows, bad)

    def _queries(self, X: ArrayLike) -> Floats:
        _validate.refuse_masked("X", X)
        return self._as_masses(
            validate_data(
                self, X, dtype=np.float64, order="C", reset=False, ensure_all_finite=False
            )
        )

    def _options(self) -> dict[str, Any]:
        """Options of :func:`knn` and :func:`cdist`."""
        mass = self.mass
        if self.metric == "wasserstein" and isinstance(mass, str) and mass == "normalize":
            mass = "error"  # it always normalises
        return {
            "metric": self.metric, "p": self.p, "circular": self.circular,
            "positions": self.positions, "cost": self.cost, "ground": self.ground,
            "threshold": self.threshold, "mass": mass, "threads": _as_threads(self.n_jobs),
        }  # fmt: skip

    def _nearest(self, X: ArrayLike | None, n_neighbors: int) -> tuple[Floats, Integers]:
        check_is_fitted(self)
        k = _validate.as_count("n_neighbors", n_neighbors)
        others = self.n_samples_fit_ - (X is None)
        if k > others:
            beside = " beside the row itself" if X is None else ""
            raise InvalidInputError(
                f"Expected n_neighbors <= n_samples_fit{beside}, but n_neighbors = {k}, "
                f"n_samples_fit = {self.n_samples_fit_}"
            )
        if X is not None:
            distances, indices = knn(self._queries(X), self._rows, k, **self._options())
            return distances, indices
        found = knn(self._rows, self._rows, k + 1, **self._options())
        # A row's own entry goes; where k + 1 equal rows came before it, the last one does.
        drop = found.indices == np.arange(self.n_samples_fit_)[:, None]
        drop[~drop.any(axis=1), -1] = True
        shape = (self.n_samples_fit_, k)
        return found.distances[~drop].reshape(shape), found.indices[~drop].reshape(shape)

    def _graph(self, distances: list[Floats], indices: list[Integers], mode: str) -> csr_array:
        if mode not in ("connectivity", "distance"):
            raise InvalidInputError(f"mode must be 'connectivity' or 'distance', got {mode!r}")
        data = np.concatenate(distances)
        if mode == "connectivity":
            data = np.ones_like(data)
        ends = np.cumsum([0, *(len(row) for row in indices)])
        shape = (len(indices), self.n_samples_fit_)
        return csr_array((data, np.concatenate(indices), ends), shape=shape)


class WassersteinNeighbors(_Neighbors):
    """Exact nearest neighbours by Wasserstein distance, after `sklearn.neighbors.NearestNeighbors`.

    Parameters
    ----------
    n_neighbors : int
        How many neighbours :meth:`kneighbors` gives by default.
    radius : float
        How far :meth:`radius_neighbors` looks by default, in the unit of the distance.
    metric : {"wasserstein", "emd"}
        "wasserstein": W_p on the line or circle, for bins that have an order, such as grey levels.
        "emd": :func:`imgsim_fast.emd`, for bins anywhere, such as the cells of a pixel grid.
    p : float
        Order of "wasserstein", at least 1.
    circular : bool or float
        For "wasserstein": True or a length puts the bins on a circle, such as hue.
    positions : array_like, optional
        Where the bins are: sorted numbers for "wasserstein", points of shape (n_features, dims) for
        "emd"; default 0, 1, 2, ...
    cost : array_like, shape (n_features, n_features), optional
        For "emd", instead of `positions`: the cost from a bin of the query to one of a fitted row.
    ground : {"euclidean", "cityblock", "chebyshev", "sqeuclidean"}
        For "emd": the distance between positions.
    threshold : float, optional
        For "emd": larger ground distances count as this.
    mass : {"normalize", "error", "partial", "opencv"} or float
        For "emd": what to do with rows of different totals, see :func:`imgsim_fast.emd`.
        "wasserstein" always normalises.
    n_jobs : int, optional
        Threads, counted as joblib does: None is 1 (or what ``joblib.parallel_config`` says), -1 all
        CPUs. It does not change any bit of a result.

    Attributes
    ----------
    n_samples_fit_ : int
        Number of fitted rows.
    n_features_in_ : int
        Number of bins, at least 2.
    feature_names_in_ : ndarray of str
        Names of the columns, if X had names.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        An option cannot be used, or a row of X is no histogram; from :meth:`fit` and from searches.
        What scikit-learn itself checks (shape, type, number of features) are its own ValueError and
        TypeError.

    Notes
    -----
    Nothing is approximated and nothing is precomputed: :meth:`fit` checks X and keeps it, without a
    copy if it is float64 in C order.

    Examples
    --------
    >>> from imgsim_fast.sklearn import WassersteinNeighbors
    >>> found = WassersteinNeighbors(n_neighbors=2).fit([[0, 0, 4], [2, 2, 0], [0, 4, 0]])
    >>> found.kneighbors([[4, 0, 0]])
    (array([[0.5, 1. ]]), array([[1, 2]]))
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        radius: float = 1.0,
        *,
        metric: str = "wasserstein",
        p: float = 1,
        circular: bool | float = False,
        positions: Places | None = None,
        cost: ArrayLike | None = None,
        ground: str = "euclidean",
        threshold: float | None = None,
        mass: str | float = "normalize",
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            n_neighbors=n_neighbors, metric=metric, p=p, circular=circular, positions=positions,
            cost=cost, ground=ground, threshold=threshold, mass=mass, n_jobs=n_jobs,
        )  # fmt: skip
        self.radius = radius

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Keep the histograms to search in.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Histograms.
        y : object
            Ignored; here because pipelines pass it.

        Returns
        -------
        WassersteinNeighbors
            This estimator.
        """
        _as_radius(self.radius)
        self._fit(X, None)
        return self

    def radius_neighbors(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Find all fitted rows within a radius of each row of X.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), optional
            Histograms. Without it each fitted row is looked up among the others.
        radius : float, optional
            Rows at exactly this distance are in; default: the estimator's own.
        return_distance : bool
            Whether to give the distances too.
        sort_results : bool
            Order by (distance, row number) instead of by row number.

        Returns
        -------
        distances : ndarray of objects, shape (n_queries,)
            An array of float64 for each query; left out if `return_distance` is False.
        indices : ndarray of objects, shape (n_queries,)
            An array of int64 for each query: numbers of fitted rows.

        Notes
        -----
        Every distance is computed. Memory beyond the result: some 32 MB, or one row of distances.
        """
        distances, indices = self._within(X, radius, sort_results)
        return (_objects(distances), _objects(indices)) if return_distance else _objects(indices)

    def radius_neighbors_graph(
        self,
        X: ArrayLike | None = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> csr_array:
        """Give the result of :meth:`radius_neighbors` as a sparse matrix.

        Parameters
        ----------
        X, radius, sort_results
            As in :meth:`radius_neighbors`.
        mode : {"connectivity", "distance"}
            What stands at (i, j) if fitted row j is a neighbour of row i of X: 1 or the distance.

        Returns
        -------
        scipy.sparse.csr_array of float64, shape (n_queries, n_samples_fit)
            Neighbours at distance 0 are stored as well.
        """
        return self._graph(*self._within(X, radius, sort_results), mode)

    def _within(
        self, X: ArrayLike | None, radius: float | None, sort_results: bool
    ) -> tuple[list[Floats], list[Integers]]:
        check_is_fitted(self)
        limit = _as_radius(self.radius if radius is None else radius)
        queries = self._rows if X is None else self._queries(X)
        distances, indices = [], []
        for number, row in enumerate(self._distances(queries)):
            inside = row <= limit
            if X is None:
                inside[number] = False
            found = np.flatnonzero(inside)
            if sort_results:
                found = found[np.argsort(row[found], kind="stable")]
            distances.append(row[found])
            indices.append(found)
        return distances, indices

    def _distances(self, queries: Floats) -> Iterator[Floats]:
        """Distances of each query to all fitted rows."""
        options = self._options()
        step = max(1, _PIECE // self.n_samples_fit_)
        for start in range(0, len(queries), step):
            yield from cdist(queries[start : start + step], self._rows, **options)


class WassersteinNeighborsClassifier(ClassifierMixin, _Neighbors):  # type: ignore[misc]  # no types
    """Vote of the nearest neighbours by Wasserstein distance.

    `sklearn.neighbors.KNeighborsClassifier` for histograms, with exact neighbours.

    Parameters
    ----------
    n_neighbors : int
        How many neighbours vote.
    weights : {"uniform", "distance"}
        "uniform": one vote each. "distance": votes in proportion to 1 / distance; neighbours at
        distance 0, if any, vote alone.
    metric, p, circular, positions, cost, ground, threshold, mass, n_jobs
        As in :class:`WassersteinNeighbors`.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
        The classes in ascending order.
    n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`WassersteinNeighbors`.

    Raises
    ------
    InvalidInputError, InvalidTypeError
        As in :class:`WassersteinNeighbors`.

    Notes
    -----
    Ties: among rows at the same distance the lower ones are the neighbours; among classes with the
    same votes the first of ``classes_`` wins, as in scikit-learn.

    Examples
    --------
    >>> from imgsim_fast.sklearn import WassersteinNeighborsClassifier
    >>> model = WassersteinNeighborsClassifier(n_neighbors=1)
    >>> model.fit([[9, 1, 0], [0, 2, 8]], ["dark", "light"]).predict([[6, 4, 0], [0, 0, 1]])
    array(['dark', 'light'], dtype='<U5')
    """

    if TYPE_CHECKING:
        classes_: NDArray[Any]
        _classes: NDArray[np.intp]

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: str = "uniform",
        metric: str = "wasserstein",
        p: float = 1,
        circular: bool | float = False,
        positions: Places | None = None,
        cost: ArrayLike | None = None,
        ground: str = "euclidean",
        threshold: float | None = None,
        mass: str | float = "normalize",
        n_jobs: int | None = None,
    ) -> None:
        super().__init__(
            n_neighbors=n_neighbors, metric=metric, p=p, circular=circular, positions=positions,
            cost=cost, ground=ground, threshold=threshold, mass=mass, n_jobs=n_jobs,
        )  # fmt: skip
        self.weights = weights

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Keep the histograms and their classes.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
            Histograms.
        y : array_like, shape (n_samples,)
            Classes: numbers or text.

        Returns
        -------
        WassersteinNeighborsClassifier
            This estimator.
        """
        _check_weights(self.weights)
        labels = self._fit(X, y)
        check_classification_targets(labels)
        self.classes_, self._classes = np.unique(labels, return_inverse=True)
        return self

    def predict(self, X: ArrayLike | None) -> NDArray[Any]:
        """Class of each row of X.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), or None
            Histograms. None: each fitted row, judged by the others (leave one out).

        Returns
        -------
        ndarray, shape (n_queries,)
            Elements of ``classes_``.
        """
        winners = self._votes(X).argmax(axis=1)  # raises if this is not fitted
        classes: NDArray[Any] = self.classes_[winners]
        return classes

    def predict_proba(self, X: ArrayLike | None) -> Floats:
        """Share of the votes for each class.

        Parameters
        ----------
        X : array_like, shape (n_queries, n_features), or None
            As in :meth:`predict`.

        Returns
        -------
        ndarray of float64, shape (n_queries, n_classes)
            Columns as in ``classes_``; each row adds up to 1.
        """
        votes = self._votes(X)
        votes /= votes.sum(axis=1, keepdims=True)
        return votes

    def _votes(self, X: ArrayLike | None) -> Floats:
        _check_weights(self.weights)
        distances, indices = self._nearest(X, self.n_neighbors)
        weights = np.ones_like(distances)
        if self.weights == "distance":
            # 1 / distance up to a factor per query, which keeps tiny distances from overflowing.
            nearest = distances[:, :1]
            np.divide(nearest, distances, out=weights, where=distances > 0)
        votes = np.zeros((len(indices), len(self.classes_)))
        queries = np.arange(len(indices))[:, None]
        np.add.at(votes, (queries, self._classes[indices]), weights)
        return votes


def _as_threads(n_jobs: int | None) -> int:
    if n_jobs is not None:
        n_jobs = _validate.as_count("n_jobs", n_jobs, least=-(2**31))
        if n_jobs == 0:
            raise InvalidInputError("n_jobs must not be 0: None is 1, -1 is all CPUs")
    return int(effective_n_jobs(n_jobs))


def _as_radius(radius: object) -> float:
    if isinstance(radius, (bool, str, bytes)) or not hasattr(radius, "__float__"):
        raise InvalidTypeError(f"radius must be a number, got {radius!r}")
    value = float(radius)
    if not value >= 0:
        raise InvalidInputError(f"radius must not be negative, got {radius!r}")
    return value


def _check_weights(weights: object) -> None:
    if not isinstance(weights, str) or weights not in ("uniform", "distance"):
        raise InvalidInputError(f"weights must be 'uniform' or 'distance', got {weights!r}")


def _objects(rows: list[Any]) -> NDArray[np.object_]:
    """Array of arrays, also where all have the same length."""
    result = np.empty(len(rows), dtype=object)
    result[:] = rows
    return result
