"""One-dimensional Wasserstein distances: one pair, and all pairs."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist as scipy_cdist
from scipy.stats import wasserstein_distance

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids


def _pair() -> Case:
    rng = np.random.default_rng(1)
    a, b = rng.random(256), rng.random(256)
    x = np.arange(256.0)
    a_share, b_share = a / a.sum(), b / b.sum()

    def check() -> None:
        expected = wasserstein_distance(x, x, a, b)
        assert np.isclose(isf.wasserstein_1d(a, b), expected, rtol=1e-12, atol=0)
        assert np.isclose(ot.wasserstein_1d(x, x, a_share, b_share), expected, rtol=1e-12, atol=0)

    return Case(
        "wasserstein_1d, one pair of 256 float64 bins",
        lambda: isf.wasserstein_1d(a, b),
        check,
        peers={
            "scipy.stats": lambda: wasserstein_distance(x, x, a, b),
            "ot.wasserstein_1d": lambda: ot.wasserstein_1d(x, x, a_share, b_share),
        },
        seconds=1.5e-6,
    )


def _all_pairs() -> Case:
    rng = np.random.default_rng(2)
    rows = rng.random((1000, 64))
    cdfs = rows.cumsum(axis=1) / rows.sum(axis=1, keepdims=True)

    def check() -> None:
        ours = isf.cdist(rows, rows, threads=1)
        assert np.allclose(ours, scipy_cdist(cdfs, cdfs, "cityblock"), rtol=1e-12, atol=1e-13)

    return Case(
        "cdist, 1,000 x 1,000 rows of 64 float64 bins",
        lambda: isf.cdist(rows, rows, threads=1),
        check,
        peers={"scipy cdist on CDFs": lambda: scipy_cdist(cdfs, cdfs, "cityblock")},
        faster={"scipy cdist on CDFs": 2},
    )


CASES = [_pair(), _all_pairs()]


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_wasserstein(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
