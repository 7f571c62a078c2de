"""Search very many histograms: what memory, disk and processors give.

python -m benchmarks.scale build FOLDER [--rows 100_000_000] [--bins 64]
python -m benchmarks.scale search FOLDER [--output FILE]

`build` streams seeded mixtures of CIFAR histograms into an index on disk (300 bytes a row with 64
bins). `search` opens it in fresh processes and measures opening, searching and memory, then holds
scans of its codes in memory against reading the same bytes and against FAISS: medians, in one
process, in turns.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np

import imgsim_fast as isf
from benchmarks.compare import RESULTS, machine
from benchmarks.mixtures import cifar_histograms
from benchmarks.mixtures import rows as mixtures
from imgsim_fast import _core
from imgsim_fast.index.coding import encoded

_QUERIES_SEED = 99
_SINGLE_ROWS, _MANY_ROWS, _MANY = 50_000_000, 10_000_000, 64
_ROUNDS = 21
# Different queries to compare threads by: more than the caches hold the leaves of. If 64 were asked
# again and again, what one thread reads would lie in the third-level cache, as it always reads the
# same; two threads read a little that is different each time.
_ASKED = 2048
_FAISS_ROWS = 1_000_000  # for many queries; its time grows with the rows

_FRESH = """
import json, resource, sys, time
import numpy as np
import imgsim_fast as isf
queries = np.load(sys.argv[2])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
start = time.perf_counter()
index = isf.Index.open(sys.argv[1])
opened = time.perf_counter() - start
start = time.perf_counter()
index.search_histograms(queries[0], 10, threads=2)
first = time.perf_counter() - start
later = []
for query in queries[1:]:
    start = time.perf_counter()
    index.search_histograms(query, 10, threads=2)
    later.append(time.perf_counter() - start)
print(json.dumps([opened, first, sorted(later)[len(later) // 2], before, peak()]))
"""


def build(folder: str, n: int, bins: int) -> None:
    """Stream n rows into a new index; say how long that took and what it takes."""
    start = time.perf_counter()
    making = 0.0

    def timed() -> Iterator[np.ndarray]:
        nonlocal making
        pieces = mixtures(n, bins)
        while True:
            before = time.perf_counter()
            piece = next(pieces, None)
            making += time.perf_counter() - before
            if piece is None:
                return
            yield piece

    with isf.Index.create(folder, bins=bins) as index:
        index.add_histograms(timed(), threads=2)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{n:,} rows of {bins} bins: {seconds:.0f} s, of which {making:.0f} s to make them; "
            f"{index.stats().bytes / 1e9:.2f} GB on disk; {peak:.2f} GB of memory at most"
        )


def queries_of(threads: int, queries: np.ndarray) -> Iterator[np.ndarray]:
    """All queries, again and again; two threads begin half a round later.

    What one thread has just read would be in the caches for them.
    """
    return itertools.cycle(np.roll(queries, (threads - 1) * len(queries) // 2, axis=0))


def in_turns(
    calls: dict[str, Callable[[], object]], rounds: int = _ROUNDS, in_a_row: int = 1
) -> dict[str, float]:
    """Median seconds of each call, made so often in a row; the first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            for _ in range(in_a_row):
                start = time.perf_counter()
                call()
                if number:
                    times[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in times.items()}


def fresh_processes(folder: str, queries: np.ndarray, lines: list[str], n: int) -> None:
    """Open and search in processes of their own, codes being in the page cache."""
    saved = os.path.join(folder, "queries-of-the-benchmark.npy")
    np.save(saved, queries)
    found = []
    try:
        for _ in range(6):
            run = subprocess.run(
                [sys.executable, "-c", _FRESH, folder, saved],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            found.append(json.loads(run.stdout))
    finally:
        os.unlink(saved)
    opened, first, later, before, peak = (median(values) for values in zip(*found[1:], strict=True))
    codes = sum(path.stat().st_size for path in Path(folder).glob("histograms-*.codes.npy"))
    lines += [
        f"| open the index of {n:,} rows | {opened * 1e3:.1f} ms | <= 100 ms |",
        f"| its first search, k = 10, 2 threads, codes in the page cache | {first * 1e3:.0f} ms "
        "| <= 500 ms |",
        f"| a later one | {later * 1e3:.0f} ms | |",
        f"| peak resident memory of all that | {peak / 1e6:,.0f} MB, of which {before / 1e6:,.0f} "
        f"before opening; codes are {codes / 1e6:,.0f} MB | codes + 300 MB |",
    ]


def _vectors(rows: np.ndarray) -> np.ndarray:
    """CDFs of 16 bins in single precision, as FAISS takes them."""
    masses = rows.reshape(len(rows), 16, -1).sum(2).astype(np.float64)
    return isf.cdf_vectors(masses).astype(np.float32)


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return np.array_split(rows, len(rows) // 500_000 + 1)


def in_memory(folder: str, queries: np.ndarray, lines: list[str]) -> None:
    """Hold scans of codes in memory against reading and against FAISS."""
    with isf.Index.open(folder) as index:
        reader = index._reader.histograms()
        coder = index.kind.coder
        parts, total = [], 0
        for one in reader.segments:
            take = min(len(one.rows), _SINGLE_ROWS - total)
            if take <= 0:
                break
            # Mapped once more: the index tells the system that it reads rows at random.
            path = Path(folder) / f"{one.record.name}.rows.npy"
            rows = np.load(path, mmap_mode="r")[:take]
            codes = np.array(one.codes)
            if take < len(one.rows):
                codes = _core.arrange_codes(encoded(coder, rows, 2), 2)
            parts.append((rows, codes, None, None))
            total += take
        many_parts, many = [], 0
        for part in parts:
            if many < min(_MANY_ROWS, total):
                many_parts.append(part)
                many += len(part[0])
        words = np.ones(2 * total, np.uint64)  # 16 bytes a row

        def search(
            some: list, masses: np.ndarray, threads: int, k: int = 10
        ) -> tuple[Any, Any, int, int]:
            return _core.nearest_coded(coder, masses, tuple(some), k, np.inf, threads)

        vectors = np.concatenate([_vectors(some) for part in parts for some in _pieces(part[0])])
        flat = faiss.IndexFlat(vectors.shape[1], faiss.METRIC_L1)
        flat.add(vectors)
        faiss.omp_set_num_threads(1)
        wanted = _vectors(queries)

        def one_query(threads: int, asked: np.ndarray = queries) -> Callable[[], object]:
            turn = queries_of(threads, asked)
            return lambda: search(parts, next(turn)[None], threads)

        read = looked = 0
        asked = next(mixtures(_ASKED, queries.shape[1], _QUERIES_SEED + 1)).astype(np.float64)
        for query in itertools.chain(queries, asked):
            # From now on what they look at is in memory, too: also what two threads look at and
            # one does not, which differs from call to call.
            search(parts, query[None], 1, k=40)
        for query in queries:
            *_, some_looked, some_read = search(parts, query[None], 1)
            looked, read = looked + some_looked, read + some_read
        times = in_turns(
            {
                "read": lambda: _core.sum_words(words, 1),
                "one": one_query(1),
                "faiss": lambda: flat.search(wanted[:1], 10),
            }
        )
        one = times["one"]
        # By themselves: behind FAISS, 0.2 s long, the second processor sleeps. Then what does
        # nothing but compute: what a second processor is worth here and now.
        both = in_turns({"one": one_query(1, asked), "two": one_query(2, asked)}, _ASKED)
        # And as streams of queries: some by one thread, then some by two, and so on.
        stream = in_turns(
            {"one": one_query(1, asked), "two": one_query(2, asked)}, _ASKED // _MANY, _MANY
        )
        some = (queries[:, None, :] + np.arange(10)[:, None]).reshape(-1, queries.shape[1])
        computing = in_turns(
            {
                "one": lambda: isf.cdist(some, some, threads=1),
                "two": lambda: isf.cdist(some, some, threads=2),
            }
        )
        lines += [
            f"| one query, {total:,} rows, codes in memory, 1 thread | {one * 1e3:.1f} ms | |",
            f"| the same, by reading 16 bytes a row | {one / times['read']:.2f}x "
            f"({times['read'] * 1e3:.1f} ms) | <= 1.35x |",
            f"| the same, against faiss.IndexFlat(16, METRIC_L1) | {times['faiss'] / one:.1f}x "
            f"({times['faiss'] * 1e3:.0f} ms) | 8x |",
            f"| 2 threads against 1 | {both['one'] / both['two']:.2f}x "
            f"({both['one'] * 1e3:.2f} and {both['two'] * 1e3:.2f} ms; computing alone: "
            f"{computing['one'] / computing['two']:.2f}x) | 1.6x |",
            f"| the same, streams of {_MANY} queries by each in turn | "
            f"{stream['one'] / stream['two']:.2f}x ({stream['one'] * 1e3:.2f} and "
            f"{stream['two'] * 1e3:.2f} ms) | |",
            f"| codes read, rows looked at, per query | {read / len(queries):,.0f}, "
            f"{looked / len(queries):.0f} of {total:,} | |",
        ]
        small = faiss.IndexFlat(vectors.shape[1], faiss.METRIC_L1)
        small.add(vectors[:_FAISS_ROWS])
        many_queries = in_turns(
            {
                "ours": lambda: search(many_parts, queries[:_MANY], 1),
                "faiss": lambda: small.search(wanted[:_MANY], 10),
            },
            3,
        )
        ours = many_queries["ours"] / _MANY / many * 1e9
        theirs = many_queries["faiss"] / _MANY / small.ntotal * 1e9
        _, _, looked, scanned = search(many_parts, queries[:_MANY], 1)
        lines += [
            f"| {_MANY} queries in one call, {many:,} rows, 1 thread, per query and row | "
            f"{ours:.3f} ns | <= 0.25 ns |",
            f"| the same against FAISS ({small.ntotal:,} rows) | {theirs / ours:.1f}x "
            f"({theirs:.2f} ns) | 20x |",
            f"| of these: codes read, rows looked at, per query | {scanned / _MANY:,.0f}, "
            f"{looked / _MANY:.0f} of {many:,} | |",
        ]


def mapped(folder: str, queries: np.ndarray, lines: list[str]) -> None:
    """Search the whole index from the page cache by one thread and by two."""
    with isf.Index.open(folder) as index:

        def one_query(threads: int) -> Callable[[], object]:
            turn = queries_of(threads, queries)
            return lambda: index.search_histograms(next(turn), 10, threads=threads)

        # Queries come twice, so that their rows are in the page cache the second time.
        in_turns({"warm": one_query(2)}, len(queries))
        times = in_turns({"one": one_query(1), "two": one_query(2)}, len(queries))
        words = np.ones(_SINGLE_ROWS, np.uint64)
        reading = in_turns(
            {"one": lambda: _core.sum_words(words, 1), "two": lambda: _core.sum_words(words, 2)}
        )
    lines += [
        f"| one query over the whole index, mapped, 1 thread | {times['one'] * 1e3:.1f} ms | |",
        f"| the same, 2 threads | {times['two'] * 1e3:.1f} ms: {times['one'] / times['two']:.2f}x "
        f"(reading alone: {reading['one'] / reading['two']:.2f}x) | |",
    ]


def leave_one_out(lines: list[str]) -> None:
    """Count the rows that 100 CIFAR images of 10,000 look at to find ten others."""
    rows = cifar_histograms()
    n, bins = rows.shape
    metric = _core.Metric(bins, None, 1.0, 1.0, 0.0)
    codes = _core.arrange_codes(encoded(metric, rows, 1), 1)
    looked = []
    for query in range(0, n, n // 100):
        skip = np.zeros(n, np.uint8)
        skip[query] = 1
        parts = ((rows, codes, skip, None),)
        looked.append(
            _core.nearest_coded(metric, rows[query : query + 1], parts, 10, np.inf, 1)[2] / n
        )
    lines.append(
        f"| rows looked at exactly, k = 10, {n:,} CIFAR histograms of {bins} bins, leave-one-out, "
        f"{len(looked)} queries | {np.mean(looked):.3%} (at most {max(looked):.2%}) | <= 0.25 % |"
    )


def main() -> None:
    """Run a part, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["build", "search"])
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--bins", type=int, default=64)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if given.what == "build":
        build(given.folder, given.rows, given.bins)
        return
    with isf.Index.open(given.folder) as index:
        n, bins = index.stats().histograms, index.options["bins"]
    queries = next(mixtures(_MANY, bins, _QUERIES_SEED)).astype(np.float64)
    lines = ["| what | measured | bar |", "| --- | --- | --- |"]
    fresh_processes(given.folder, queries[:20], lines, n)
    mapped(given.folder, queries[:20], lines)
    in_memory(given.folder, queries, lines)
    leave_one_out(lines)
    text = (
        f"# {n:,} histograms of {bins} bins, {datetime.date.today()}\n\n"
        + ", ".join(f"{name} {value}" for name, value in machine().items())
        + "\n\n"
        + "\n".join(lines)
        + "\n"
    )
    print(text)
    if given.output:
        (RESULTS / given.output.name).write_text(text)


if __name__ == "__main__":
    main()
