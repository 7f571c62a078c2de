"""Histograms of one megapixel."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids
from benchmarks.peers import cv2_histogram, image_kinds


def _ten_bins() -> Case:
    image = image_kinds()["noise"]

    def check() -> None:
        ours = isf.histogram(image, 10, (0, 255))
        assert (ours == np.histogram(image, bins=10, range=(0, 255))[0]).all()
        whole = isf.histogram(image, 10, (0, 256))
        assert (whole == cv2_histogram(image, 10).ravel()).all()

    return Case(
        "histogram, 1 MP uint8, 10 bins",
        lambda: isf.histogram(image, 10, (0, 255)),
        check,
        peers={
            "cv2.calcHist": lambda: cv2_histogram(image, 10),
            "np.histogram": lambda: np.histogram(image, bins=10, range=(0, 255)),
        },
        faster={"cv2.calcHist": 4, "np.histogram": 60},
    )


def _all_levels(kind: str) -> Case:
    image = image_kinds()[kind]

    def check() -> None:
        assert (isf.histogram(image) == cv2_histogram(image, 256).ravel()).all()

    return Case(
        f"histogram, 1 MP uint8, 256 bins, {kind}",
        lambda: isf.histogram(image),
        check,
        peers={"cv2.calcHist": lambda: cv2_histogram(image, 256)},
        faster={"cv2.calcHist": 1},
        rounds=51,
    )


CASES = [_ten_bins(), *(_all_levels(kind) for kind in ("noise", "smooth", "flat"))]


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_histogram(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
