"""The distances of compat.cv2: like OpenCV's where it is right, proved where it is not."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast.compat import cv2 as ours
from tests.signature_tools import METRICS, NAMES, check_plan, distances, random_pair, single

theirs = pytest.importorskip("cv2")

SIZES = [(1, 1), (1, 7), (2, 2), (3, 3), (4, 4), (5, 9), (8, 8), (16, 3), (15, 16), (16, 16)]


def proved(rows1, rows2, metric, gap=1e-12):
    """What isf.transport says of the same problem, its proof being tight."""
    first, second = np.float64(rows1), np.float64(rows2)
    plan = isf.transport(
        first[:, 0], second[:, 0], positions=(first[:, 1:], second[:, 1:]), metric=NAMES[metric],
        mass="opencv",
    )  # fmt: skip
    assert plan.status == "optimal"
    assert plan.gap <= gap
    return plan.distance


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_small_signatures(n, m, metric, equal):
    """OpenCV is right to 1e-4 up to here: its tolerance is 1e-5 of the largest distance."""
    for seed in range(20):
        first, second = random_pair(seed, n, m, 1 + seed % 4, equal=equal)
        want = theirs.EMD(first, second, metric)[0]
        retval, _, flow = ours.EMD(first, second, metric)
        assert retval == pytest.approx(want, rel=1e-4, abs=1e-6)
        assert retval == pytest.approx(proved(first, second, metric), rel=2e-7, abs=1e-9)
        check_plan(first, second, flow)
        total = max(np.float64(first)[:, 0].sum(), np.float64(second)[:, 0].sum())
        work = (np.float64(flow) * distances(first, second, metric)).sum()
        assert work / total == pytest.approx(retval, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("equal", [True, False], ids=["equal", "unequal"])
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_small_signatures_with_own_costs(n, m, equal):
    for seed in range(20):
        first, second = random_pair(seed, n, m, 0, equal=equal)
        cost = single(np.random.default_rng(seed).normal(seed % 3, 1, (n, m)))
        scale = float(np.abs(cost).max())
        want = theirs.EMD(first, second, theirs.DIST_USER, cost)[0]
        retval, _, flow = ours.EMD(first, second, ours.DIST_USER, cost)
        assert retval == pytest.approx(want, rel=1e-4, abs=1e-4 * scale)
        assert retval <= want + 1e-6 * scale
        check_plan(first, second, flow)
        total = max(np.float64(first).sum(), np.float64(second).sum())
        assert (np.float64(flow) * cost).sum() / total == pytest.approx(retval, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_every_way_in_gives_the_same(metric):
    """The fast line, the slow one and float64."""
    first, second = random_pair(5, 40, 33, 2, equal=False)
    quick = ours.EMD(first, second, metric)
    for other in (
        ours.EMD(first[::-1][::-1], second, metric, cost=np.ones((1, 1))),
        ours.EMD(first, second, metric, None, 1e9),
        ours.EMD(first, second, metric, flow=np.empty((40, 33), np.float32)),
    ):
        assert other[0] == quick[0]
        np.testing.assert_array_equal(other[2], quick[2])
    exact = ours.EMD(np.float64(first), np.float64(second), metric)
    assert np.float32(exact[0]) == quick[0]
    np.testing.assert_array_equal(exact[2].astype(np.float32), quick[2])
    cost = distances(first, second, metric)
    user = ours.EMD(np.float64(first), np.float64(second), ours.DIST_USER, cost)
    assert user[0] == pytest.approx(exact[0], rel=1e-13)


# ---- where OpenCV is wrong -------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_three_hundred_points(metric):
    """More than the 499 steps after which OpenCV returns what it has."""
    first, second = random_pair(300, 300, 300, 2, equal=True)
    retval, _, flow = ours.EMD(first, second, metric)
    assert retval == pytest.approx(proved(first, second, metric), rel=1e-7)
    check_plan(first, second, flow)
    assert theirs.EMD(first, second, metric)[0] > retval * 1.005


def test_a_far_point_of_equal_mass():
    """OpenCV's tolerance is relative to the largest distance, here 1e6 times the others."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(20):
        first, second = (
            np.vstack([single(rng.random((10, 3))), single([[1, 1e5, 1e5]])]) for _ in range(2)
        )
        first[:10, 0] = second[:10, 0] = 0.125
        retval = ours.EMD(first, second, ours.DIST_L2)[0]
        assert retval == pytest.approx(proved(first, second, ours.DIST_L2, gap=1e-8), rel=1e-7)
        wrong += theirs.EMD(first, second, theirs.DIST_L2)[0] > retval * 1.001
    assert wrong > 0


def test_flow_is_never_negative():
    rng = np.random.default_rng(2)
    lowest = 0.0
    for _ in range(300):
        first, second = (
            single(np.column_stack([rng.pareto(0.7, 12) + 1e-3, rng.random(12)])) for _ in range(2)
        )
        flow = ours.EMD(first, second, ours.DIST_L1)[2]
        assert flow.min() >= 0
        lowest = min(lowest, theirs.EMD(first, second, theirs.DIST_L1)[2].min())
    assert lowest < 0  # what OpenCV's slack of 1e-5 of the mass leads to


def image_signature(pixels):
    """Rows (pixel, y, x), the way of the tutorials."""
    y, x = np.indices(pixels.shape)
    return single(np.column_stack([pixels.ravel(), y.ravel(), x.ravel()]))


@pytest.mark.data
def test_real_images(shared_data):
    """28 x 28 pixels: never above OpenCV, mostly below, and proved."""
    images = np.load(shared_data / "mnist_test.npz")["images"]
    below = 0
    for k in range(3):
        first, second = (image_signature(np.float64(images[k + i])) for i in (0, 50))
        for rows in (first, second):
            rows[:, 0] /= rows[:, 0].sum()
        retval, _, flow = ours.EMD(first, second, ours.DIST_L2)
        want = theirs.EMD(first, second, theirs.DIST_L2)[0]
        assert retval <= want * (1 + 1e-5)
        assert retval == pytest.approx(proved(first, second, ours.DIST_L2), rel=2e-7)
        check_plan(first, second, flow)
        below += retval < want * (1 - 1e-4)
    assert below > 0


@pytest.mark.data
def test_a_real_photograph(shared_data):
    """784 rows of weight on either side: OpenCV needs a second and is some percent too high."""
    images = np.load(shared_data / "cifar10_test.npz")["images"][:2, 2:30, 2:30]
    first, second = (image_signature(image.mean(axis=2)) for image in images)
    retval, _, flow = ours.EMD(first, second, ours.DIST_L2)
    assert retval == pytest.approx(proved(first, second, ours.DIST_L2), rel=2e-7)
    check_plan(first, second, flow)
    assert theirs.EMD(first, second, theirs.DIST_L2)[0] > retval * 1.01
