"""Slow, obvious twins of colour transfer, barycentres and palettes: plain Python and fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np


def mean_map(image, target):
    """Return {level: mean level that the optimal plan sends it to}, pixel after pixel.

    Each pixel is repeated until both sides are equally many; then sorting is the plan.
    """
    image, target = sorted(image), sorted(target)
    sources = [level for level in image for _ in target]
    goals = [level for level in target for _ in image]
    sums, counts = {}, {}
    for level, goal in zip(sources, goals, strict=True):
        sums[level] = sums.get(level, 0) + goal
        counts[level] = counts.get(level, 0) + 1
    return {level: Fraction(sums[level], counts[level]) for level in sums}


def half_up(x):
    """Round to the nearest whole number, halves up."""
    return math.floor(x + Fraction(1, 2))


def largest_remainders(goals, pixels):
    """Hamilton's method: whole quotas, then one each to the largest fractions, lower first."""
    total = sum(goals)
    quotas = [Fraction(goal * pixels, total) for goal in goals]
    counts = [math.floor(quota) for quota in quotas]
    order = sorted(range(len(goals)), key=lambda i: (counts[i] - quotas[i], i))
    for i in order[: pixels - sum(counts)]:
        counts[i] += 1
    return counts


def barycenter(rows, weights, positions=None):
    """Masses on the bins (total 1) by quantile averaging, in fractions."""
    bins = len(rows[0])
    places = [Fraction(x) for x in (range(bins) if positions is None else positions)]
    weights = [Fraction(w) for w in weights]
    weights = [w / sum(weights) for w in weights]
    shares = [[Fraction(x) / sum(map(Fraction, row)) for x in row] for row in rows]
    levels = [[sum(share[: j + 1]) for j in range(bins)] for share in shares]
    cuts = sorted({Fraction(0), *(level for row in levels for level in row)})
    out = [Fraction(0)] * bins
    for low, high in pairwise(cuts):
        bins_at = [next(j for j in range(bins) if row[j] >= high) for row in levels]
        point = sum(w * places[j] for w, j in zip(weights, bins_at, strict=True))
        left = max(j for j in range(bins) if places[j] <= point)
        right = min(left + 1, bins - 1)
        gap = places[right] - places[left]
        part = (point - places[left]) / gap if gap else Fraction(0)
        out[left] += (high - low) * (1 - part)
        out[right] += (high - low) * part
    return out


# ---- palettes --------------------------------------------------------------------------------


def lab(rgb):
    """CIELAB of one sRGB colour with channels 0 ... 1, by powers."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    matrix = (
        (0.412453, 0.357580, 0.180423),
        (0.212671, 0.715160, 0.072169),
        (0.019334, 0.119193, 0.950227),
    )
    white = (0.95047, 1.0, 1.08883)
    xyz = [
        sum(m * c for m, c in zip(row, light, strict=True)) / w
        for row, w in zip(matrix, white, strict=True)
    ]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def cells(image, position_weight=0.0):
    """Return (counts, points, rgb sums) of the cells, ordered by key."""
    height, width, _ = image.shape
    longer = max(height, width)
    step = 16 if position_weight else 8
    found = {}
    for y in range(height):
        for x in range(width):
            pixel = image[y, x].tolist()
            key = tuple(c // step for c in pixel)
            if position_weight:
                key += (y * 8 // longer, x * 8 // longer)
            found.setdefault(key, []).append([*pixel, x + 0.5, y + 0.5])
    members = [np.array(found[key], dtype=np.float64) for key in sorted(found)]
    means = [member.mean(axis=0).tolist() for member in members]
    points = [
        lab([c / 255 for c in mean[:3]])
        + ([position_weight * place / longer for place in mean[3:]] if position_weight else [])
        for mean in means
    ]
    counts = [len(member) for member in members]
    return np.array(counts), np.array(points), [member[:, :3].sum(axis=0) for member in members]


def palette(image, colors, position_weight=0.0):
    """Return (counts, points, rgb, steps): the start and the iterations that palette.hpp states."""
    counts, points, sums = cells(image, position_weight)
    chosen = [int(np.argmax(counts))]
    while len(chosen) < colors:
        score = counts * _squares(points, points[chosen]).min(axis=1)
        if not score.max() > 0:
            break
        chosen.append(int(np.argmax(score)))
    centers = points[chosen]
    labels = _squares(points, centers).argmin(axis=1)
    for step in range(101):
        for j in set(labels.tolist()):
            centers[j] = np.average(points[labels == j], axis=0, weights=counts[labels == j])
        now = _squares(points, centers).argmin(axis=1)
        if (now == labels).all() or step == 100:
            break
        labels = now
    weights = [counts[labels == j].sum() for j in range(len(chosen))]
    order = sorted(set(labels.tolist()), key=lambda j: -weights[j])
    rgb = [
        [
            half_up(Fraction(int(c), int(weights[j])))
            for c in sum(sums[i] for i in np.flatnonzero(labels == j))
        ]
        for j in order
    ]
    return np.array(weights)[order], centers[order], np.array(rgb), step


def _squares(points, centers):
    return ((points[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)


def objective(counts, points, centers):
    """Weighted sum of squared distances to the nearest centre."""
    return float((counts * _squares(points, centers).min(axis=1)).sum())


# ---- joint colours ---------------------------------------------------------------------------


def sliced_distance(x, y, directions=30):
    """Mean W1 between the projections of two images' colours."""
    x, y = (image.reshape(-1, 3).astype(np.float64) for image in (x, y))
    rng = np.random.default_rng(99)
    total = 0.0
    for _ in range(directions):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        u, v = np.sort(x @ direction), np.sort(y @ direction)
        levels = (np.arange(4000) + 0.5) / 4000
        at_u, at_v = (np.minimum((levels * len(w)).astype(int), len(w) - 1) for w in (u, v))
        total += float(np.abs(u[at_u] - v[at_v]).mean())
    return total / directions


def move_sliced(points, weights, goals, goal_weights, directions):
    """Sliced transport in NumPy, with the sums in the order that sliced_transport.hpp states."""
    for rotation in directions:
        moved = points
        for direction in rotation:
            along, wanted = (_along(side, direction) for side in (points, goals))
            steps = _mean_targets(along, weights, wanted, goal_weights) - along
            moved = moved + steps[:, None] * direction
        points = moved
    return points


def _along(points, direction):
    x, y, z = direction.tolist()
    return points[:, 0] * x + points[:, 1] * y + points[:, 2] * z


def _mean_targets(x, x_weights, y, y_weights):
    steps, goals = (np.floor(side * 2.0**24 + 0.5) for side in (x, y))
    order, goals = (np.argsort(side, kind="stable") for side in (steps, goals))
    last_of_equals = np.append(np.diff(steps[order]) != 0, True)
    cuts = np.cumsum(x_weights[order])[last_of_equals]
    ends = np.cumsum(y_weights[goals])
    at = np.minimum(np.searchsorted(ends, cuts), len(ends) - 1)
    sums = np.cumsum(y[goals] * y_weights[goals])[at] - (ends[at] - cuts) * y[goals][at]
    means = np.diff(sums, prepend=0.0) / np.diff(cuts, prepend=0.0)
    result = np.empty_like(x)
    result[order] = means[np.append(0, np.cumsum(last_of_equals)[:-1])]
    return result
