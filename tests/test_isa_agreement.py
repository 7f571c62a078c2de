"""The same bits for every instruction set and every number of threads, in processes of their own.

Run as a program this file prints a digest of many results, one line per number of threads.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import imgsim_fast as isf
from imgsim_fast import _core

THREADS = (1, 2, 3, 7)


def results(threads):
    """Arrays of every family of functions, on work that is worth several threads."""
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, 411), dtype=np.uint8) for h in (1, 3, 900, 640, 777)]
    for bins, limits in (
        (1, (0, 256)),
        (10, (0, 255)),
        (17, (0, 255)),
        (32, (10, 200)),
        (256, (0, 256)),
    ):
        yield isf.histograms(images, bins, limits, threads=threads)
        yield isf.histogram(images[2][::-1, ::2], bins, limits)
    floats = [rng.normal(128, 50, (300, 400)).astype(kind) for kind in (np.float32, np.float64)]
    for image in floats:
        yield isf.histograms([image] * 3, 100, (0, 255), threads=threads)
    colour = rng.integers(0, 256, (211, 307, 3), dtype=np.uint8)
    yield isf.histogram(colour, (8, 7, 6))
    yield _core.grey(colour)
    yield isf.rgb_to_lab(colour)
    smooth = np.add.outer(np.arange(90), np.arange(140))[..., None] * [1, 2, 3] + colour[:90, :140]
    smooth = (smooth // 4).astype(np.uint8)
    for weight in (0.0, 50.0):
        found = isf.color_palette(smooth, 24, position_weight=weight)
        yield from (found.weights, found.points, found.rgb)
    yield isf.transfer_color(smooth, colour, iterations=5)
    for ties in ("mean", "spread"):
        yield isf.match_histograms(colour, smooth, ties=ties)
    yield _core.histogram_grey(colour, _core.Axis(0.0, 256.0, np.arange(257.0), False))
    yield from similarities(rng, threads)
    for cols in (1, 3, 10, 16, 17, 33, 65, 256):
        for rows in (rng.random((300, cols)), rng.integers(0, 9, (300, cols)) + 1.0):
            rows[::7] *= 1e200
            places = np.sort(rng.normal(size=cols))
            yield isf.wasserstein_1d(rows, rows[::-1], places)
            yield isf.cdf_vectors(rows, places)
            for options in (
                {}, {"positions": places}, {"positions": np.arange(cols) * 0.3}, {"p": 2},
                {"p": 3, "positions": places}, {"p": 2.5}, {"p": float("inf")}, {"circular": True},
                {"positions": places, "circular": 50.0},
            ):  # fmt: skip
                is_slow = "p" in options or "circular" in options
                few = rows[:50] if is_slow else rows
                yield isf.cdist(few[:90], few, threads=threads, **options)
                yield isf.pdist(few[:90], threads=threads, **options)
                yield from isf.knn(few[:5], few, 20, threads=threads, **options)
                yield from isf.knn(few[0], few, 20, threads=threads, **options)
        database = rng.random((40000, cols))
        database[::3] = database[0]
        yield from isf.knn(database[5], database, 1000, threads=threads)
        yield from isf.knn(
            database[5] * 1e6, (database * 1e6).astype(np.uint32) + 1, 9, threads=threads
        )

    yield from comparisons(rng, threads)


def comparisons(rng, threads):
    """Every method on dense rows of every type and on sparse ones."""
    for bins in (1, 3, 16, 17, 65, 512, 3000):
        for rows in (rng.integers(0, 9, (3000 // bins + 90, bins)), rng.random((200, bins))):
            for kind in (np.float64, np.float32, np.uint32, np.int64):
                given = rows.astype(kind)
                for method in range(len(_core.COMPARISONS)):
                    for normalize in (False, True):
                        yield _core.compare_dense_many(method, normalize, given[0], given, threads)
    images = [np.clip(rng.normal(99, 20, (60, 70, 3)), 0, 255).astype(np.uint8) for _ in range(90)]
    found = [isf.sparse_histogram(image) for image in images]
    rows = [np.concatenate([one.keys, one.counts]) for one in found]
    packed, offsets = np.concatenate(rows), np.cumsum([0] + [row.size for row in rows])
    yield packed
    for method in range(len(_core.COMPARISONS)):
        for normalize in (False, True):
            yield _core.compare_sparse_rows(
                method, normalize, rows[0], packed, offsets, 2**24, threads
            )


def similarities(rng, threads):
    """Structural similarity: sums in integers, and in floats under both kinds of weights."""
    images = rng.integers(0, 256, (40, 131, 177), dtype=np.uint8)
    sizes = [image[: 100 + i, :: 1 + i % 2] for i, image in enumerate(images)]
    yield isf.structural_similarities(images[0], sizes, resize=True, threads=threads)
    for options in ({}, {"win_size": 11}, {"win_size": 13}, {"gaussian_weights": True}):
        for kind in (np.uint8, np.float32):
            options["data_range"] = 255
            stack = images.astype(kind)
            yield isf.structural_similarities(stack[3], stack, threads=threads, **options)
            yield isf.structural_similarity(stack[3], stack[4], full=True, **options)[1]
    for shape in ((40, 50), (131, 60), (200, 300)):
        yield isf.resize_area(images[0], shape)


def digest(threads):
    state = hashlib.sha256()
    for result in results(threads):
        array = np.ascontiguousarray(result)
        state.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return state.hexdigest()


def run(isa, *command):
    return subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "IMGSIM_FAST_ISA": isa},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_every_instruction_set_and_thread_count_gives_the_same_bits():
    found = {}
    for isa in _core.available_isas():
        done = run(isa, __file__)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == isa
        for threads, line in zip(THREADS, lines[1:], strict=True):
            found[isa, threads] = line
    assert len(found) == len(THREADS) * len(_core.available_isas())
    assert len(set(found.values())) == 1, found


CALLS = {
    "active_isa": "isf._core.active_isa()",
    "histogram": "isf.histogram(np.zeros((4, 4), np.uint8))",
    "histograms": "isf.histograms(np.zeros((40, 400, 400), np.uint8), threads=3)",
    "grey": "isf._core.grey(np.zeros((4, 4, 3), np.uint8))",
    "quick pair": "isf.wasserstein_1d(np.ones(4), np.ones(4))",
    "pair": "isf.wasserstein_1d([1], [1])",
    "cdist": "isf.cdist(np.ones((900, 300)), np.ones((900, 300)), threads=3)",
    "knn": "isf.knn(np.ones(4), np.ones((9, 4)), 2)",
    "cdf_vectors": "isf.cdf_vectors([[1.0]])",
    "compare_histograms": "isf.compare_histograms([1], [1])",
    "similarity": "isf.structural_similarity(np.ones((9, 9)), np.ones((9, 9)), data_range=1)",
    "similarities": "isf.structural_similarities(np.eye(9), [np.eye(9)], data_range=1)",
    "resize": "isf.resize_area(np.zeros((4, 4), np.uint8), (2, 2))",
}


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_instruction_set_is_named(call):
    program = f"""
import numpy as np
import imgsim_fast as isf, imgsim_fast._core
try:
    {CALLS[call]}
except ValueError as error:
    print(error)
"""
    done = run("sse9", "-c", program)
    assert done.returncode == 0, done.stderr
    assert "IMGSIM_FAST_ISA" in done.stdout
    assert "'sse9'" in done.stdout
    for isa in _core.available_isas():
        assert isa in done.stdout


def test_an_empty_variable_is_no_choice():
    done = run("", "-c", "from imgsim_fast import _core; print(_core.active_isa())")
    assert done.stdout.strip() == _core.available_isas()[-1], done.stderr


def test_set_isa_names_the_choices():
    before = _core.active_isa()
    with pytest.raises(ValueError, match=r"'sse9'.*baseline"):
        _core.set_isa("sse9")
    assert _core.active_isa() == before


if __name__ == "__main__":
    print(_core.active_isa())
    for number in THREADS:
        print(digest(number))
