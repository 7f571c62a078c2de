"""Slow, obvious twins of structural similarity and area interpolation, in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def gaussian_weights(sigma):
    """Weights of scipy.ndimage's Gaussian that ends at 3.5 standard deviations, as floats."""
    radius = int(3.5 * sigma + 0.5)
    weights = [math.exp(-0.5 * x * x / sigma**2) if x else 1.0 for x in range(-radius, radius + 1)]
    return [weight / sum(weights) for weight in weights]


def similarity_map(x, y, data_range, *, win=7, weights=None, k1=0.01, k2=0.03, sample=True):
    """S of every pixel of 2-D images mirrored at the borders, as fractions; 0 / 0 is 1."""
    weights = [Fraction(w) for w in weights] if weights else [Fraction(1, win)] * win
    radius = len(weights) // 2
    norm = Fraction(win * win, win * win - 1) if sample else Fraction(1)
    c1, c2 = ((Fraction(k) * Fraction(data_range)) ** 2 for k in (k1, k2))
    height, width = x.shape
    x, y = (
        [[Fraction(v) for v in row] for row in np.pad(image, radius, mode="symmetric").tolist()]
        for image in (x, y)
    )

    def mean(i, j, first, second=None):
        total = Fraction(0)
        for di, wi in enumerate(weights):
            for dj, wj in enumerate(weights):
                factor = 1 if second is None else second[i + di][j + dj]
                total += wi * wj * first[i + di][j + dj] * factor
        return total

    def similarity(i, j):
        ux, uy = mean(i, j, x), mean(i, j, y)
        vx, vy = mean(i, j, x, x) - ux * ux, mean(i, j, y, y) - uy * uy
        vxy = mean(i, j, x, y) - ux * uy
        means = ux * ux + uy * uy + c1
        variances = norm * (vx + vy) + c2
        return ((2 * ux * uy + c1) / means if means else 1) * (
            (2 * norm * vxy + c2) / variances if variances else 1
        )

    return [[similarity(i, j) for j in range(width)] for i in range(height)]


def structural_similarity(x, y, data_range, *, win=7, **options):
    """Mean of the map without a border of win // 2 pixels."""
    border = win // 2
    rows = similarity_map(x, y, data_range, win=win, **options)[border : len(x) - border]
    values = [value for row in rows for value in row[border : len(row) - border]]
    return sum(values) / len(values)


def _overlaps(i, size, new_size):
    """(k, length of input pixel k that output pixel i covers), in input pixels."""
    begin, end = Fraction(i * size, new_size), Fraction((i + 1) * size, new_size)
    return [
        (k, min(end, Fraction(k + 1)) - max(begin, Fraction(k)))
        for k in range(size)
        if min(end, k + 1) > max(begin, k)
    ]


def resize_area(image, shape):
    """Mean over the rectangle of each output pixel, rounded half up; image (h, w)."""
    height, width = image.shape
    out = []
    for i in range(shape[0]):
        out.append([])
        for j in range(shape[1]):
            parts = [
                (dy * dx, int(image[k, m]) * dy * dx)
                for k, dy in _overlaps(i, height, shape[0])
                for m, dx in _overlaps(j, width, shape[1])
            ]
            mean = sum(value for _, value in parts) / sum(area for area, _ in parts)
            out[-1].append(math.floor(mean + Fraction(1, 2)))
    return np.array(out, dtype=np.uint8)
