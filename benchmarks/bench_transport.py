"""Single transport problems against the solvers of POT and SciPy.

"POT core" is its C function without the Python wrapper, on points with mass only; ours is always
the public Python call.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import ot
import pytest
from scipy.optimize import linear_sum_assignment

import imgsim_fast as isf
from benchmarks.case import Case, Instances, contender_ids
from benchmarks.transport_data import (
    HAS_DATA,
    Problem,
    image_pairs,
    instances,
    pot_value,
    random_points,
    tall_points,
    uniform_points,
)

SIZES = (16, 32, 64, 128, 256, 512, 1024)
UNIFORM_SIZES = (64, 128, 256)
TALL_SIZES = ((10_000, 16), (30_000, 30))


def _agree(ours: list[float], theirs: list[float]) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0)


def _pot_core(problems: Callable[[], list[Problem]]) -> Instances:
    return Instances(lambda: [problem.pot_core() for problem in problems()])


def _with_costs(problems: Callable[[], list[Problem]]) -> Instances:
    return Instances(lambda: [partial(isf.emd, *p.shares, p.cost) for p in problems()])


def _random(n: int) -> Case:
    problems = partial(random_points, n, instances(n))
    ours, core = _with_costs(problems), _pot_core(problems)

    @cache
    def check() -> None:
        _agree(ours(), [pot_value(call) for call in core.calls])

    return Case(
        f"transport, random points, n = {n}",
        ours,
        check,
        peers={
            "POT core": core,
            "ot.emd2": Instances(lambda: [partial(ot.emd2, *p.shares, p.cost) for p in problems()]),
        },
        faster={"POT core": 3},
        rounds=11 if n <= 256 else 5,
    )


def _tall(n: int, m: int) -> Case:
    problems = partial(tall_points, n, m, 3)
    ours, core = _with_costs(problems), _pot_core(problems)

    @cache
    def check() -> None:
        _agree(ours(), [pot_value(call) for call in core.calls])

    return Case(
        f"transport, {n:,} x {m} points",
        ours,
        check,
        peers={"POT core": core},
        rounds=3,
    )


def _images(kind: str, side: int, metric: str, bar: float | None) -> Case:
    """Grey values of two images on one grid."""
    problems = partial(image_pairs, kind, side, metric, instances(side * side))
    core = _pot_core(problems)
    ours = Instances(
        lambda: [
            partial(isf.emd, p.a, p.b, positions=p.x, metric=metric, mass="normalize")
            for p in problems()
        ]
    )

    @cache
    def check() -> None:
        _agree(ours(), [pot_value(call) for call in core.calls])

    letter = {"cityblock": "L1", "euclidean": "L2"}[metric]
    return Case(
        f"transport, {kind} images as {side} x {side} histograms, {letter}",
        ours,
        check,
        peers={"POT core": core},
        faster={"POT core": bar} if bar else {},
        rounds=3 if side == 32 else 11,
    )


def _uniform(n: int) -> Case:
    problems = partial(uniform_points, n, instances(n))
    ours, core = _with_costs(problems), _pot_core(problems)

    def assignment(problem: Problem) -> float:
        return float(problem.cost[linear_sum_assignment(problem.cost)].sum()) / n

    @cache
    def check() -> None:
        _agree(ours(), [assignment(problem) for problem in problems()])
        _agree(ours(), [pot_value(call) for call in core.calls])

    return Case(
        f"transport, uniform weights, n = {n}",
        ours,
        check,
        peers={
            "POT core": core,
            "scipy linear_sum_assignment": Instances(
                lambda: [partial(linear_sum_assignment, p.cost) for p in problems()]
            ),
        },
        faster={"POT core": 8, "scipy linear_sum_assignment": 1.5},
        rounds=11,
    )


CASES = [_random(n) for n in SIZES]
if HAS_DATA:
    # The bar is for photographs: digits have mass on a quarter of the pixels, so POT, which leaves
    # out the others, gets much smaller problems (20 x 20 for 8 x 8).
    CASES += [
        _images(kind, side, metric, bar)
        for kind, bar in (("CIFAR", 10.0), ("MNIST", None))
        for metric in ("cityblock", "euclidean")
        for side in (8, 16, 32)
    ]
CASES += [_uniform(n) for n in UNIFORM_SIZES]
CASES += [_tall(n, m) for n, m in TALL_SIZES]


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_transport(benchmark, case, contender):
    case.check()
    benchmark.pedantic(case.contenders[contender], rounds=3)
