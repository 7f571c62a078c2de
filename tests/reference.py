"""Slow, obvious twins of the fast functions: plain Python, exact where the mathematics is.

Distances are returned as `fractions.Fraction`: the true value for exactly the numbers given, floats
included. ``float(fraction)`` rounds once, correctly.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction
from itertools import pairwise, permutations

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
    scale = math.lcm(*(x.denominator for vector in fractions for x in vector))
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


def merged(parts, k, higher_is_better=False):
    """[(distance, index)] of the k best of several such lists, ties to the lower index."""
    everything = [pair for part in parts for pair in part if pair[1] != -1]
    return sorted(everything, key=lambda p: (-p[0] if higher_is_better else p[0], p[1]))[:k]


# ---- optimal transport -----------------------------------------------------------------------


def ground_distances(x, y, metric="euclidean", threshold=None):
    """Distances in floats between points, a list per source, each coordinate after the other."""
    matrix = []
    for point in x:
        matrix.append([])
        for place in y:
            steps = [abs(float(s) - float(t)) for s, t in zip(point, place, strict=True)]
            far = {
                "cityblock": lambda steps=steps: sum(steps),
                "chebyshev": lambda steps=steps: max(steps),
                "sqeuclidean": lambda steps=steps: sum(s * s for s in steps),
                "euclidean": lambda steps=steps: (
                    steps[0] if len(steps) == 1 else math.sqrt(sum(s * s for s in steps))
                ),
            }[metric]()
            matrix[-1].append(far if threshold is None else min(far, threshold))
    return matrix


def cheapest_plan(a, b, cost):
    """(cost, flows) of moving the smaller total, or (None, None) where infinite costs forbid it.

    Successive shortest paths (Busacker and Gowen 1960) by Bellman and Ford, in whole numbers: after
    each path the flow is the cheapest of its amount, so negative costs need nothing special.
    """
    n, m = len(a), len(b)
    (supply, demand), mass_unit = _whole(a, b)
    arcs = [(i, j) for i in range(n) for j in range(m) if cost[i][j] != math.inf]
    (prices,), cost_unit = _whole([cost[i][j] for i, j in arcs] or [0])
    price = dict(zip(arcs, prices, strict=False))
    flow = dict.fromkeys(arcs, 0)
    while any(supply) and any(demand):
        path = _shortest_path(n, m, supply, demand, price, flow)
        if path is None:
            return None, None
        backwards = [(i, j) for i, j, step in path if step < 0]
        first, last = path[0][0], path[-1][1]
        amount = min(supply[first], demand[last], *(flow[arc] for arc in backwards))
        supply[first] -= amount
        demand[last] -= amount
        for i, j, step in path:
            flow[i, j] += step * amount
    value = Fraction(sum(price[arc] * flow[arc] for arc in arcs), mass_unit * cost_unit)
    return value, {arc: Fraction(amount, mass_unit) for arc, amount in flow.items() if amount}


def _shortest_path(n, m, supply, demand, price, flow):
    """(i, j, 1 or -1) along the cheapest way from a source with mass to a target with room."""
    to_source = [0 if supply[i] else None for i in range(n)]
    to_target = [None] * m
    from_source, from_target = [None] * m, [None] * n
    changed = True
    while changed:
        changed = False
        for (i, j), cost in price.items():
            if to_source[i] is not None and (
                to_target[j] is None or to_source[i] + cost < to_target[j]
            ):
                to_target[j], from_source[j], changed = to_source[i] + cost, i, True
            if (
                flow[i, j]
                and to_target[j] is not None
                and (to_source[i] is None or to_target[j] - cost < to_source[i])
            ):
                to_source[i], from_target[i], changed = to_target[j] - cost, j, True
    ends = [j for j in range(m) if demand[j] and to_target[j] is not None]
    if not ends:
        return None
    j = min(ends, key=lambda j: to_target[j])
    path = []
    while True:
        i = from_source[j]
        path.append((i, j, 1))
        if from_target[i] is None:
            return path[::-1]
        j = from_target[i]
        path.append((i, j, -1))


def emd(a, b, cost, mass="error"):
    """Earth Mover's Distance by the definitions of `mass`; None where infinite costs forbid it."""
    a, b = [Fraction(x) for x in a], [Fraction(x) for x in b]
    total_a, total_b = sum(a), sum(b)
    largest = max(total_a, total_b)
    if mass == "error":
        assert abs(total_a - total_b) <= largest / 10**6
        a, b = [x * largest / total_a for x in a], [x * largest / total_b for x in b]
    if mass == "normalize":
        a, b = [x / total_a for x in a], [x / total_b for x in b]
    value, _ = cheapest_plan(a, b, cost)
    if value is None or mass in ("error", "normalize"):
        return value
    if mass == "partial":
        return value / min(total_a, total_b)
    if mass == "opencv":
        return value / largest
    return value + Fraction(mass) * abs(total_a - total_b)


def cheapest_matching(cost):
    """Least sum of one entry from each row and column of a square matrix: all permutations."""
    exact = [[Fraction(x) for x in row] for row in cost]
    return min(
        sum(row[j] for row, j in zip(exact, order, strict=True))
        for order in permutations(range(len(exact)))
    )


def are_potentials(u, v, cost):
    """Whether u_i + v_j <= c_ij for all i and j, without rounding: Knuth's sum with its error."""
    u = u[:, None]
    total = u + v
    of_v = total - u
    error = (u - (total - of_v)) + (v - of_v)
    return bool(((total < cost) | ((total == cost) & (error <= 0))).all())
