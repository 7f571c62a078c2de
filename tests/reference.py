"""Slow, obvious twins of the fast functions: plain Python, exact where the mathematics is.

Distances are returned as `fractions.Fraction`: the true value for exactly the numbers given, floats
included. ``float(fraction)`` rounds once, correctly.
"""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise

import numpy as np


def grey(rgb):
    """Grey of (..., 3 or more) uint8 pixels: ITU-R 601-2 luma in 16-bit fixed point."""
    r, g, b = (rgb[..., c].astype(np.uint32) for c in range(3))
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(np.uint8)


def histogram(values, bins, first, last):
    """Count values by numpy.histogram's edge rule, one after the other."""
    if first == last:
        first, last = first - 0.5, last + 0.5
    edges = np.linspace(first, last, bins + 1).tolist()
    counts = [0] * bins
    for value in values:
        if value == edges[-1]:
            counts[-1] += 1
        elif edges[0] <= value < edges[-1]:
            counts[bisect_right(edges, value) - 1] += 1
    return counts


def _whole(*vectors):
    """Vectors of numbers as exact integers over one common denominator."""
    fractions = [[Fraction(x) for x in vector] for vector in vectors]
    scale = max(x.denominator for vector in fractions for x in vector)  # all powers of two
    return [[int(x * scale) for x in vector] for vector in fractions], scale


def _levels(a, b):
    """(A_j S_B, B_j S_A for each j, S_A S_B): both CDFs over one common denominator."""
    (a, b), _ = _whole(a, b)
    total_a, total_b = sum(a), sum(b)
    levels_a, levels_b, sum_a, sum_b = [], [], 0, 0
    for x, y in zip(a, b, strict=True):
        sum_a, sum_b = sum_a + x, sum_b + y
        levels_a.append(sum_a * total_b)
        levels_b.append(sum_b * total_a)
    return levels_a, levels_b, total_a * total_b


def _places(positions, bins):
    return _whole(range(bins) if positions is None else positions)


def w1_line(a, b, positions=None):
    """Area between the CDFs."""
    levels_a, levels_b, den = _levels(a, b)
    (places,), unit = _places(positions, len(levels_a))
    area = sum(
        abs(levels_a[j] - levels_b[j]) * (places[j + 1] - places[j]) for j in range(len(places) - 1)
    )
    return Fraction(area, den * unit)


def w1_circle(a, b, positions=None, period=None):
    """Smallest area between the CDFs over every level at which the circle may be cut."""
    levels_a, levels_b, den = _levels(a, b)
    bins = len(levels_a)
    places = [Fraction(x) for x in (range(bins) if positions is None else positions)]
    period = Fraction(bins if period is None else period)
    gaps = [y - x for x, y in pairwise(places)]
    gaps.append(period - (places[-1] - places[0]))
    (gaps,), unit = _whole(gaps)
    differences = [x - y for x, y in zip(levels_a, levels_b, strict=True)]
    areas = (
        sum(abs(d - t) * gap for d, gap in zip(differences, gaps, strict=True))
        for t in set(differences)
    )
    return Fraction(min(areas), den * unit)


def coupling(a, b):
    """(i, j, mass) of the optimal coupling on the line, total mass 1."""
    levels_a, levels_b, den = _levels(a, b)
    cuts = sorted({0, *levels_a, *levels_b})
    pieces = []
    for low, high in pairwise(cuts):
        # The first bin whose level reaches `high` holds the quantiles between the two cuts.
        i = next(i for i, level in enumerate(levels_a) if level >= high)
        j = next(j for j, level in enumerate(levels_b) if level >= high)
        pieces.append((i, j, Fraction(high - low, den)))
    return pieces


def coupling_cost(a, b, p, positions=None):
    """W_p to the power p, p a whole number."""
    places = [Fraction(x) for x in (range(len(a)) if positions is None else positions)]
    return sum(abs(places[i] - places[j]) ** p * mass for i, j, mass in coupling(a, b))


def largest_displacement(a, b, positions=None):
    """W_infinity."""
    places = [Fraction(x) for x in (range(len(a)) if positions is None else positions)]
    return max(abs(places[i] - places[j]) for i, j, _ in coupling(a, b))


def nearest(distances, k):
    """(distances, indices) of the k smallest by (distance, index)."""
    order = sorted(range(len(distances)), key=lambda i: (distances[i], i))[:k]
    return [distances[i] for i in order], order
