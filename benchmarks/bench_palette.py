"""Palettes of a photograph, and CIELAB of its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids
from benchmarks.peers import SHARED_DATA

CORPUS = SHARED_DATA / "corel1k"


def _palette(position_weight: float) -> Case:
    image = isf.decode(CORPUS / "images" / "3.jpg")

    def check() -> None:
        palette = isf.color_palette(image, position_weight=position_weight)
        assert len(palette) == 16
        assert abs(palette.weights.sum() - 1) < 1e-12

    places = " with positions" if position_weight else ""
    return Case(
        f"color_palette, 384 x 256, 16 colours{places}",
        lambda: isf.color_palette(image, position_weight=position_weight),
        check,
        seconds=0.03,
    )


def _every_pixel() -> Case:
    """Against k-means on the pixels themselves, ten iterations from the same start."""
    image = isf.decode(CORPUS / "images" / "3.jpg")
    pixels = isf.rgb_to_lab(image).reshape(-1, 3)
    start = isf.color_palette(image).points

    def error(points: np.ndarray) -> float:
        squares = ((pixels[:, None] - points[None]) ** 2).sum(axis=2)
        return float(squares.min(axis=1).mean())

    def peer() -> np.ndarray:
        return kmeans2(pixels, start, iter=10, minit="matrix")[0]

    def check() -> None:
        assert error(start) <= 1.1 * error(peer())

    return Case(
        "color_palette, 384 x 256, 16 colours, against every pixel",
        lambda: isf.color_palette(image),
        check,
        peers={"SciPy kmeans2, 10 iterations": peer},
        faster={"SciPy kmeans2, 10 iterations": 20},
        rounds=11,
    )


CASES = [_palette(0.0), _palette(50.0), _every_pixel()] if CORPUS.is_dir() else []


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_palette(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
