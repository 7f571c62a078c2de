"""``scipy.stats`` calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from imgsim_fast import _core
from imgsim_fast.compat._samples import as_sample, as_weights

__all__ = ["wasserstein_distance"]


def wasserstein_distance(
    u_values: ArrayLike,
    v_values: ArrayLike,
    u_weights: ArrayLike | None = None,
    v_weights: ArrayLike | None = None,
) -> float:
    """First Wasserstein distance of two weighted samples: ``scipy.stats.wasserstein_distance``.

    The trap of the original is kept: the first two arguments are *values*, not histograms. To
    compare histograms pass the bins as values and the counts as weights, or call
    :func:`imgsim_fast.wasserstein_1d`.

    Parameters
    ----------
    u_values, v_values : array_like, shapes (n,) and (m,)
        Observed values, any order. NaN gives NaN.
    u_weights, v_weights : array_like, optional
        Weight of each value; normalised. Default: equal weights.

    Returns
    -------
    float

    Raises
    ------
    InvalidInputError
        A ``ValueError``, where SciPy raises ``ValueError``: empty samples, lengths that differ,
        negative weights, totals that are 0 or not finite. Unlike SciPy a NaN weight is named.

    Notes
    -----
    O(n log n + m log m).

    Examples
    --------
    >>> from imgsim_fast.compat.scipy import wasserstein_distance
    >>> wasserstein_distance([0, 1, 3], [5, 6, 8])
    5.0
    """
    u = as_sample("u_values", u_values)
    v = as_sample("v_values", v_values)
    u_w = None if u_weights is None else as_weights("u_weights", u_weights, u.size)
    v_w = None if v_weights is None else as_weights("v_weights", v_weights, v.size)
    both = np.concatenate((u, v))
    if np.isnan(both).any() or max((both == np.inf).sum(), (both == -np.inf).sum()) > 1:
        return float("nan")  # SciPy's inf - inf
    cost, _ = _core.sample_coupling(u, u_w, v, v_w, 1.0, True, False)
    return cost
