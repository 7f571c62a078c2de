"""Comparison of histograms: article 2's pipeline on photographs, and single calls."""

from __future__ import annotations

import sys
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import imgsim_fast as isf
from benchmarks.case import Case, Figure, Instances, contender_ids
from benchmarks.peers import SHARED_DATA, article_correlation
from imgsim_fast.compat import cv2 as ours
from tests.peak_memory import peak_memory
from tests.reference_comparison import comparison

HAS_PHOTOGRAPHS = (SHARED_DATA / "corel1k").is_dir()
_METHODS = {
    "correlation": cv2.HISTCMP_CORREL, "chi2": cv2.HISTCMP_CHISQR,
    "intersection": cv2.HISTCMP_INTERSECT, "bhattacharyya": cv2.HISTCMP_BHATTACHARYYA,
    "chi2-alt": cv2.HISTCMP_CHISQR_ALT, "kl": cv2.HISTCMP_KL_DIV,
}  # fmt: skip
# Pairs of the numbers of Corel images: a beach and a mountain, two elephants, a flower and food.
_PAIRS = ((3, 730), (280, 300), (365, 460))

Pixels = NDArray[np.uint8]


@cache
def _upscaled(number: int) -> Pixels:
    """One photograph (384 x 256) with 3.2 times the sides, bicubic: 1 megapixel, smooth."""
    with Image.open(SHARED_DATA / "corel1k" / "images" / f"{number}.jpg") as image:
        size = (round(image.width * 3.2), round(image.height * 3.2))
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))


@cache
def _tiled(number: int) -> Pixels:
    """Twelve different photographs from `number` on, side by side, cut to 1000 x 1000."""
    found: list[Pixels] = []
    while len(found) < 12:
        with Image.open(SHARED_DATA / "corel1k" / "images" / f"{number}.jpg") as image:
            if image.size == (384, 256):
                found.append(np.asarray(image.convert("RGB")))
        number += 1
    rows = [np.hstack(found[i : i + 3]) for i in range(0, 12, 3)]
    return np.ascontiguousarray(np.vstack(rows)[:1000, :1000])


def _correlation(a: Pixels, b: Pixels) -> float:
    return isf.compare(a, b, "correlation", bins=256, ignore="white")


def _article(kind: str, make: Any) -> Case:
    pairs = [(make(a), make(b)) for a, b in _PAIRS]

    def check() -> None:
        for a, b in pairs:
            assert abs(_correlation(a, b) - article_correlation(a, b)) < 1e-6
            assert _correlation(a, a) == 1

    return Case(
        f"article 2's correlation, two photographs of 1 MP, 256^3 bins, {kind}",
        Instances(lambda: [lambda a=a, b=b: _correlation(a, b) for a, b in pairs]),
        check,
        peers={
            "cv2": Instances(lambda: [lambda a=a, b=b: article_correlation(a, b) for a, b in pairs])
        },
        faster={"cv2": 6},
        rounds=9,
    )


def _one_call(method: str) -> Case:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 100, (2, 512)).astype(np.float32)
    number = _METHODS[method]

    def check() -> None:
        exact = comparison(a, b, method)
        assert abs(ours.compareHist(a, b, number) - exact) <= 1e-12 * max(abs(exact), 1)
        assert abs(cv2.compareHist(a, b, number) - exact) <= 1e-6 * max(abs(exact), 1)

    return Case(
        f"compareHist, 512 float32 bins, {method}",
        lambda: ours.compareHist(a, b, number),
        check,
        peers={"cv2.compareHist": lambda: cv2.compareHist(a, b, number)},
        faster={"cv2.compareHist": 1},
    )


def _joint_counts() -> Case:
    image = _tiled(0)

    def check() -> None:
        counts = cv2.calcHist([image], [0, 1, 2], None, [8] * 3, [0, 256] * 3)
        assert (isf.sparse_histogram(image, 8).dense() == counts).all()

    return Case(
        "sparse_histogram, photographs of 1 MP, 8^3 bins",
        lambda: isf.sparse_histogram(image, 8),
        check,
        peers={
            "cv2.calcHist": lambda: cv2.calcHist([image], [0, 1, 2], None, [8] * 3, [0, 256] * 3)
        },
    )


_PHOTOGRAPHS = """
from benchmarks.bench_comparison import _PAIRS, _correlation, _tiled, _upscaled
a, b = (_{kind}(number) for number in _PAIRS[0])
_correlation(a[:8], b[:8])
"""


@cache
def _peak_memory(kind: str) -> float:
    """Megabytes beyond the images."""
    return peak_memory(_PHOTOGRAPHS.format(kind=kind), "_correlation(a, b)")


CASES: list[Case | Figure] = [_one_call(method) for method in _METHODS]
if HAS_PHOTOGRAPHS:
    CASES += [_article("tiled", _tiled), _article("upscaled", _upscaled), _joint_counts()]
    if sys.platform == "linux":
        CASES += [
            Figure(
                f"article 2's correlation, {kind}, peak memory beyond the images",
                partial(_peak_memory, kind),
                16,
                "MB",
            )
            for kind in ("tiled", "upscaled")
        ]


@pytest.mark.parametrize(
    ("case", "contender"), contender_ids([case for case in CASES if isinstance(case, Case)])
)
def test_comparison(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])


@pytest.mark.parametrize(
    "figure", [pytest.param(case, id=case.name) for case in CASES if isinstance(case, Figure)]
)
def test_figures(figure):
    figure.check()
