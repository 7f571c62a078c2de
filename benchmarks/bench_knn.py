"""One query against a database: article 1's task."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist as scipy_cdist

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids
from benchmarks.peers import SHARED_DATA, cv2_emd_loop, cv2_emd_loop_from_histograms, signature


def _thousand() -> Case:
    """1,000 histograms of 10 bins with density=True, as the article makes them."""
    rng = np.random.default_rng(3)
    images = rng.normal(rng.integers(40, 200, (1001, 1, 1)), 30, (1001, 32, 32)).clip(0, 255)
    rows = np.stack(
        [
            np.histogram(image.astype(np.uint8), bins=10, range=(0, 255), density=True)[0]
            for image in images
        ]
    )
    query, database = rows[0].copy(), rows[1:].copy()
    ready = [signature(row / row.sum()) for row in database]
    first = signature(query / query.sum())

    def check() -> None:
        ours = isf.knn(query, database, 10, threads=1)
        theirs = np.array(cv2_emd_loop(first, ready))
        assert np.allclose(ours.distances, theirs[ours.indices], rtol=1e-5, atol=1e-6)
        assert np.allclose(ours.distances, np.sort(theirs)[:10], rtol=1e-5, atol=1e-6)

    def scipy_scan() -> np.ndarray:
        cdfs = database.cumsum(axis=1) / database.sum(axis=1, keepdims=True)
        distances = scipy_cdist((query.cumsum() / query.sum())[None, :], cdfs, "cityblock")[0]
        return np.argsort(distances, kind="stable")[:10]

    return Case(
        "knn, k = 10, one query, 1,000 histograms of 10 bins",
        lambda: isf.knn(query, database, 10, threads=1),
        check,
        peers={
            "cv2.EMD loop, signatures ready": lambda: cv2_emd_loop(first, ready),
            "cv2.EMD loop": lambda: cv2_emd_loop_from_histograms(query, database),
            "NumPy + scipy cdist": scipy_scan,
        },
        faster={"cv2.EMD loop, signatures ready": 500, "cv2.EMD loop": 500},
    )


def _photographs() -> Case:
    """64 of 10,000 CIFAR images against all of them, by grey levels."""
    with np.load(SHARED_DATA / "cifar10_test.npz") as data:
        images = data["images"]
    grey = images.mean(axis=3).astype(np.uint8).reshape(len(images), -1)
    database = np.stack([np.bincount(levels, minlength=256) for levels in grey]).astype(float)
    queries = database[:64].copy()
    cdfs = database.cumsum(axis=1) / 1024

    def scipy_scan() -> np.ndarray:
        return np.argsort(scipy_cdist(cdfs[:64], cdfs, "cityblock"), axis=1, kind="stable")[:, :10]

    def check() -> None:
        ours = isf.knn(queries, database, 10, threads=1)
        one_by_one = [isf.knn(query, database, 10, threads=1) for query in queries]
        assert (ours.indices == [found.indices for found in one_by_one]).all()
        assert (ours.distances == [found.distances for found in one_by_one]).all()
        theirs = np.take_along_axis(scipy_cdist(cdfs[:64], cdfs, "cityblock"), scipy_scan(), axis=1)
        assert np.allclose(ours.distances, theirs, rtol=1e-9, atol=1e-12)

    return Case(
        "knn, k = 10, 64 queries, 10,000 CIFAR histograms of 256 bins",
        lambda: isf.knn(queries, database, 10, threads=1),
        check,
        peers={
            "one query at a time": lambda: [
                isf.knn(query, database, 10, threads=1) for query in queries
            ],
            "scipy cdist of CDFs ready": scipy_scan,
        },
        rounds=5,
    )


CASES = [_thousand()]
if (SHARED_DATA / "cifar10_test.npz").is_file():
    CASES.append(_photographs())


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_knn(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
