"""What replaces a call of ``cv2.EMD``, and a loop over ``ot.emd2``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist as scipy_cdist

import imgsim_fast as isf
from benchmarks.case import Case, Instances, contender_ids
from benchmarks.transport_data import (
    HAS_DATA,
    Floats,
    as_signatures,
    colour_rows,
    pot_value,
    random_points,
)

# Rows of the signatures: how many times as long cv2.EMD must take at least.
BARS = {4: 1, 8: 1, 16: 1, 64: 15, 128: 25, 256: 40}
# From about here on cv2.EMD stops too early: at its limit of 499 steps.
_CV2_IS_RIGHT = 128
_FLOAT32 = 2e-6


def _cv2(rows: int) -> Case:
    """Random points in the plane, L2, float32."""
    problems = partial(random_points, rows, 11)

    def calls(function: Callable[..., Any]) -> Instances:
        return Instances(
            lambda: [partial(function, *as_signatures(p), cv2.DIST_L2) for p in problems()]
        )

    ours, theirs = calls(isf.EMD), calls(cv2.EMD)

    @cache
    def check() -> None:
        mine = np.array([answer[0] for answer in ours()])
        true = np.array([pot_value(problem.pot_core()) for problem in problems()])
        assert np.allclose(mine, true, rtol=_FLOAT32, atol=0)
        opencv = np.array([answer[0] for answer in theirs()])
        assert (opencv >= mine * (1 - _FLOAT32)).all()
        if rows <= _CV2_IS_RIGHT:
            assert np.allclose(mine, opencv, rtol=1e-4, atol=0)
        for (_, _, flow), problem in zip(ours(), problems(), strict=True):
            assert np.allclose(flow.sum(axis=1), problem.a, rtol=1e-5, atol=1e-7)
            assert np.allclose(flow.sum(axis=0), problem.b, rtol=1e-5, atol=1e-7)

    return Case(
        f"transport, isf.EMD, {rows} rows",
        ours,
        check,
        peers={"cv2.EMD": theirs},
        faster={"cv2.EMD": BARS[rows]},
        rounds=25 if rows <= 16 else 5,
    )


def _pdist() -> Case:
    """200 photographs as rows of 64 bins; the peer does a random sample of the pairs."""
    count, sample = 200, 400

    @cache
    def data() -> tuple[Floats, Floats, Floats]:
        rows, centres = colour_rows(count)
        return rows, centres, scipy_cdist(centres, centres)

    first, second = np.triu_indices(count, 1)
    chosen = np.sort(np.random.default_rng(0).choice(first.size, sample, replace=False))

    def ours() -> Floats:
        rows, centres, _ = data()
        return isf.pdist(rows, "emd", positions=centres, threads=2)

    def loop() -> list[float]:
        rows, _, cost = data()
        pairs = zip(first[chosen], second[chosen], strict=True)
        return [float(ot.emd2(rows[i], rows[j], cost)) for i, j in pairs]

    @cache
    def check() -> None:
        np.testing.assert_allclose(ours()[chosen], loop(), rtol=1e-12, atol=0)

    peer = f"loop over ot.emd2, time of {sample} random pairs scaled"
    return Case(
        f"transport, isf.pdist, {first.size:,} pairs of 64-bin colour histograms, 2 threads",
        ours,
        check,
        peers={peer: loop},
        faster={peer: 40},
        shares={peer: sample / first.size},
        rounds=7,
    )


CASES = [_cv2(rows) for rows in BARS]
if HAS_DATA:
    CASES.append(_pdist())


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_emd_calls(benchmark, case, contender):
    case.check()
    benchmark.pedantic(case.contenders[contender], rounds=3)
