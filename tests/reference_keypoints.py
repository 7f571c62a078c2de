"""Slow, obvious matching of keypoints: what `imgsim_fast.measures.keypoints` must find."""

from __future__ import annotations

import numpy as np


def descriptors(row):
    """Descriptors of a packed row, as lists of Python integers."""
    count, _, _, size = np.frombuffer(row.tobytes(), "<u4", 4).tolist()
    return row[16 + 8 * count :].reshape(count, size).tolist()


def between(a, b, hamming):
    """Hamming distance, or squared Euclidean."""
    if hamming:
        return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def table(a, b, hamming):
    """Distances of all pairs; each different pair is computed once."""
    known = {}
    rows = []
    for x in a:
        row = []
        for y in b:
            key = (bytes(x), bytes(y))
            if key not in known:
                if hamming:
                    known[key] = between(x, y, hamming)
                else:
                    known[key] = int(((np.array(x) - np.array(y)) ** 2).sum())
            row.append(known[key])
        rows.append(row)
    return rows


def matches(a, b, ratio, *, hamming):
    """Sorted (index in a, index in b, distance), one to one."""
    distances = table(descriptors(a), descriptors(b), hamming)
    if not distances or not distances[0]:
        return []
    factor = ratio if hamming else ratio**2

    def clearly(values, at):
        others = values[:at] + values[at + 1 :]
        return values[at] == 0 or all(values[at] < factor * other for other in others)

    columns = [list(column) for column in zip(*distances, strict=True)]
    found, used = [], set()
    for i, row in enumerate(distances):
        for j, distance in enumerate(row):
            if j in used or not clearly(row, j) or not clearly(columns[j], i):
                continue
            found.append((i, j, distance))
            used.add(j)
            break
    return found
