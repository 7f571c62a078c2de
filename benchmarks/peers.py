"""The packages that people use today, called as they would call them; one thread each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

cv2.setNumThreads(1)

Array = NDArray[Any]
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARED_DATA = Path(os.environ.get("IMGSIM_FAST_DATA") or _BESIDE).resolve()


def cv2_histogram(image: Array, bins: int) -> Array:
    """``cv2.calcHist`` over [0, 256)."""
    return cv2.calcHist([image], [0], None, [bins], [0, 256])


def signature(histogram: Array) -> Array:
    """Rows (weight, position) as ``cv2.EMD`` wants them."""
    positions = np.arange(len(histogram), dtype=np.float32)
    return np.column_stack([histogram.astype(np.float32), positions])


def cv2_emd_loop(query: Array, signatures: Sequence[Array]) -> list[float]:
    """Loop over a database of signatures that are ready: the kindest reading of the article."""
    return [cv2.EMD(query, other, cv2.DIST_L2)[0] for other in signatures]


def cv2_emd_loop_from_histograms(query: Array, histograms: Array) -> list[float]:
    """Loop with the signatures made inside it, as the article has it."""
    first = signature(query)
    return [cv2.EMD(first, signature(row), cv2.DIST_L2)[0] for row in histograms]


def image_kinds(side: int = 1000) -> dict[str, NDArray[np.uint8]]:
    """Noise, a smooth ramp and a flat image of side x side pixels."""
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(side), np.arange(side)) * 255 // (2 * side - 2)
    return {
        "noise": rng.integers(0, 256, (side, side), dtype=np.uint8),
        "smooth": ramp.astype(np.uint8),
        "flat": np.full((side, side), 77, dtype=np.uint8),
    }


def article_correlation(first: Array, second: Array) -> float:
    """Article 2's histogram code, flattened before the comparison so that OpenCV is right."""
    histograms = []
    for image in (first, second):
        counts = cv2.calcHist([image], [0, 1, 2], None, [256] * 3, [0, 256] * 3)
        counts[255, 255, 255] = 0
        cv2.normalize(counts, counts, alpha=0, beta=1, norm_type=cv2.NORM_MINMAX)
        histograms.append(counts.reshape(-1, 1))
    return float(cv2.compareHist(histograms[0], histograms[1], cv2.HISTCMP_CORREL))
