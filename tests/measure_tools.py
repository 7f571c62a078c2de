"""Measures of somebody's own, for tests of what works with any measure."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from imgsim_fast.descriptors import grey_pixels
from imgsim_fast.errors import InvalidInputError
from imgsim_fast.measures import Measure
from imgsim_fast.rows import as_matrix


class Levels(Measure):
    """The set of grey levels of an image: how many two images share. Rows differ in length."""

    name = "levels"
    higher_is_better = True
    row_dtype = np.dtype(np.uint32)
    row_length = None

    def __init__(self, least=1):
        self.least = least

    @property
    def options(self):
        return {"least": self.least}

    def describe(self, image):
        levels, counts = np.unique(grey_pixels(image), return_counts=True)
        return levels[counts >= self.least].astype(np.uint32)

    def values(self, query, rows, threads):
        return np.array([len(np.intersect1d(query, row)) for row in rows], float)


class Corner(Measure):
    """Difference of the upper left pixels, in grey levels."""

    name = "corner"
    unit = "levels of the corner"
    row_dtype = np.dtype(np.int32)
    row_length = 1
    near_identical = 2.0
    options: ClassVar = {}

    def describe(self, image):
        pixels = grey_pixels(image)
        if pixels[0, 0] == 255:
            raise InvalidInputError("its corner is white")
        return pixels[0, :1].astype(np.int32)

    def values(self, query, rows, threads):
        return abs(as_matrix(rows)[:, 0] - float(query[0]))


class Alike(Measure):
    """Share of equal pixels among the first hundred: 1 for the same, -1 for none. No unit."""

    name = "alike"
    higher_is_better = True
    row_dtype = np.dtype(np.uint8)
    row_length = 100
    near_identical = 0.9
    in_batches = True
    options: ClassVar = {}

    def __init__(self):
        self.batches = []

    def describe(self, image):
        return np.resize(grey_pixels(image), 100)

    def describe_many(self, images):
        self.batches.append(len(images))
        return super().describe_many(images)

    def values(self, query, rows, threads):
        return 2 * (as_matrix(rows) == query).mean(axis=1) - 1
