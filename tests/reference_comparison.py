"""Slow, obvious twins of the comparison of histograms, in rational numbers where these suffice."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def shares(values):
    """Each number divided by the total; an empty histogram stays empty."""
    total = sum(values)
    return [value / total for value in values] if total else list(values)


def root(x):
    """Square root of a non-negative fraction, to 60 digits, as a fraction."""
    scale = 10**60
    return Fraction(math.isqrt(x.numerator * scale * scale // x.denominator), scale)


def comparison(a, b, method, normalize=False):
    """The number of `imgsim_fast.compare_histograms` for exactly the numbers given."""
    a, b = ([Fraction(x) for x in np.asarray(values).tolist()] for values in (a, b))
    if normalize:
        if method == "intersection" and not sum(a) and not sum(b):
            return 1.0
        a, b = shares(a), shares(b)
    return float({
        "correlation": correlation, "chi2": chi2, "chi2-alt": chi2_alt,
        "intersection": lambda a, b: sum(map(min, a, b)), "bhattacharyya": bhattacharyya, "kl": kl,
    }[method](a, b))  # fmt: skip


def correlation(a, b):
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    variances = [
        sum((x - mean) ** 2 for x in values) for values, mean in ((a, mean_a), (b, mean_b))
    ]
    if not any(variances):
        sign = [(x > 0) - (x < 0) for x in (a[0], b[0])]
        return 1 if sign[0] == sign[1] else 0
    if not all(variances):
        return 0
    return covariance / root(variances[0] * variances[1])


def chi2(a, b):
    return sum((x - y) ** 2 / x for x, y in zip(a, b, strict=True) if x)


def chi2_alt(a, b):
    return 2 * sum((x - y) ** 2 / (x + y) for x, y in zip(a, b, strict=True) if x + y)


def bhattacharyya(a, b):
    if not sum(a) or not sum(b):
        return 0 if sum(a) == sum(b) else 1
    common = sum(root(x * y) for x, y in zip(a, b, strict=True)) / root(sum(a) * sum(b))
    return root(max(1 - common, Fraction(0)))


def kl(a, b):
    # The logarithm of a ratio near 1 from its exact distance to 1.
    terms = []
    for x, y in zip(a, b, strict=True):
        if x:
            ratio = x / (y or Fraction(1e-10))
            near = abs(ratio - 1) < Fraction(1, 2)
            log = math.log1p(ratio - 1) if near else math.log(ratio.numerator) - math.log(
                ratio.denominator
            )  # fmt: skip
            terms.append(float(x) * log)
    return math.fsum(terms)


def sparse_histogram(image, bins, ignore=None, mask=None):
    """({position: count}) of an (h, w, c) image, pixel after pixel."""
    found = {}
    for y, row in enumerate(image):
        for x, pixel in enumerate(row):
            if mask is None or mask[y][x]:
                position = key(pixel, bins)
                found[position] = found.get(position, 0) + 1
    if ignore is not None:
        found.pop(key(ignore, bins), None)
    return dict(sorted(found.items()))


def key(pixel, bins):
    """Position of a colour's bin in the flattened histogram."""
    position = 0
    for level, number in zip(np.atleast_1d(pixel).tolist(), bins, strict=True):
        position = position * number + level * number // 256
    return position
