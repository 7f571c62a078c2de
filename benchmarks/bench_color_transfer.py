"""Histograms matched and colours transferred between two photographs."""

from __future__ import annotations

import numpy as np
import pytest

import imgsim_fast as isf
from benchmarks.case import Case, contender_ids
from benchmarks.peers import SHARED_DATA

CORPUS = SHARED_DATA / "corel1k"


def _photographs() -> tuple[np.ndarray, np.ndarray]:
    first, second = (isf.decode(CORPUS / "images" / f"{number}.jpg") for number in (3, 500))
    return first, second


def _matched() -> Case:
    image, reference = _photographs()

    def peer() -> np.ndarray:
        from skimage.exposure import match_histograms

        return match_histograms(image, reference, channel_axis=2)

    def check() -> None:
        difference = isf.match_histograms(image, reference).astype(int) - peer()
        assert np.abs(difference).mean() < 1

    return Case(
        "match_histograms, 384 x 256 RGB",
        lambda: isf.match_histograms(image, reference),
        check,
        peers={"skimage.exposure.match_histograms": peer},
        faster={"skimage.exposure.match_histograms": 1},
    )


def _transferred() -> Case:
    image, reference = _photographs()

    def check() -> None:
        assert (isf.transfer_color(reference, reference) == reference).all()

    return Case(
        "transfer_color, 384 x 256, 20 rotations",
        lambda: isf.transfer_color(image, reference),
        check,
        seconds=1.0,
        rounds=7,
    )


CASES = [_matched(), _transferred()] if CORPUS.is_dir() else []


@pytest.mark.parametrize(("case", "contender"), contender_ids(CASES))
def test_color_transfer(benchmark, case, contender):
    case.check()
    benchmark(case.contenders[contender])
