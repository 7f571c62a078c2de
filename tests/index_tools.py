"""What the tests of the index share."""

from __future__ import annotations

import os
import sqlite3

import numpy as np
from PIL import Image

import imgsim_fast as isf
from imgsim_fast.errors import IndexCorruptError, IndexTruncatedError, IndexVersionError
from imgsim_fast.index import Index

DAMAGE = (IndexCorruptError, IndexTruncatedError, IndexVersionError)
GREY = np.array([[90, 100, 130]], np.uint8)  # a query


def pixels(seed, height=5, width=6):
    rng = np.random.default_rng(seed)
    low = int(rng.integers(0, 200))
    return rng.integers(low, low + 56, (height, width), dtype=np.uint8)


def write(path, seed, mtime=None):
    Image.fromarray(pixels(seed)).save(path, "PNG")
    if mtime is not None:
        os.utime(path, ns=(mtime, mtime))


def made(path, source, **options):
    """Make an index of a folder and give it open."""
    index = Index.create(path, **options)
    index.add(source, threads=2)
    return index


def brute_force(index, query, p=1):
    """(distances, ids, paths) of everything, sorted by (distance, id)."""
    bins, edges = index.options["bins"], index.options["range"]
    width = (edges[1] - edges[0]) / bins
    count = len(index)
    index.search(query, 1)
    with sqlite3.connect(os.path.join(index.path, "catalog.sqlite")) as db:
        rows = db.execute("SELECT id, path FROM images ORDER BY id").fetchall()
    db.close()
    assert len(rows) == count
    base = os.path.dirname(index.path)
    wanted = np.histogram(query, bins, edges)[0]
    found = []
    for number, path in rows:
        path = os.path.join(os.fsencode(base), path)
        with open(path, "rb") as file:
            grey = isf.decode(file.read(), mode="grey")
        counts = np.histogram(grey, bins, edges)[0]
        found.append((isf.wasserstein_1d(wanted, counts, p=p) * width, number, os.fsdecode(path)))
    found.sort(key=lambda item: item[:2])
    return found


def as_list(matches):
    distances, ids, paths = matches
    assert distances.dtype == np.float64
    assert ids.dtype == np.int64
    return list(zip(distances.tolist(), ids.tolist(), paths, strict=True))


def answers(index):
    """Everything a search can say."""
    return as_list(index.search(GREY, 10**6))


def numbers(report):
    return report.added, report.updated, report.unchanged, report.removed, len(report.skipped)


def execute(index_path, *statements):
    """Change the catalogue behind the library's back."""
    db = sqlite3.connect(os.path.join(index_path, "catalog.sqlite"))
    with db:
        for statement in statements:
            db.execute(*statement) if isinstance(statement, tuple) else db.execute(statement)
    db.close()
