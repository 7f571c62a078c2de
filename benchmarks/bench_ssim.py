"""Structural similarity of 8-bit images against scikit-image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity as of_skimage

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids


def _picture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Noise over a smooth surface."""
    waves = np.add.outer(np.sin(np.arange(height) / 40), np.cos(np.arange(width) / 25))
    return (128 + 40 * waves + rng.normal(0, 15, (height, width))).clip(0, 255).astype(np.uint8)


def _pair(name: str, **options: Any) -> Case:
    rng = np.random.default_rng(4)
    x, y = _picture(rng, 1000, 1000), _picture(rng, 1000, 1000)

    def check() -> None:
        ours, map_ = isf.structural_similarity(x, y, full=True, **options)
        theirs, their_map = of_skimage(x, y, full=True, **options)
        assert abs(ours - theirs) < 1e-10
        assert np.abs(map_ - their_map).max() < 1e-10

    return Case(
        f"SSIM, 1 MP grey uint8, {name}",
        lambda: isf.structural_similarity(x, y, **options),
        check,
        peers={"skimage": lambda: of_skimage(x, y, **options)},
        faster={} if options else {"skimage": 15},
        rounds=15,
    )


def _many() -> Case:
    rng = np.random.default_rng(5)
    images = np.stack([_picture(rng, 256, 256) for _ in range(100)])
    query = images[17]

    def loop() -> list[float]:
        return [of_skimage(query, image) for image in images]

    def check() -> None:
        ours = isf.structural_similarities(query, images, threads=1)
        assert np.abs(ours - loop()).max() < 1e-10
        assert ours[17] == 1

    return Case(
        "SSIM, one against 100 images of 256 x 256",
        lambda: isf.structural_similarities(query, images, threads=1),
        check,
        peers={"skimage loop": loop},
        faster={"skimage loop": 15},
        rounds=9,
    )


CASES = [
    _pair("default options"),
    _pair("11 x 11 window", win_size=11),
    _pair("Gaussian", gaussian_weights=True),
    _many(),
]


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_ssim(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
