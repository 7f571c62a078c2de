"""What the network simplex does in a solve: pivots, and the share of each of its steps.

python -m benchmarks.transport_steps [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.compare import format_seconds, machine
from benchmarks.transport_data import (
    HAS_DATA,
    Problem,
    image_pairs,
    instances,
    palette_pairs,
    random_points,
    row_pairs,
)
from imgsim_fast import _core, _ground

STEPS = ("start", "pricing", "cycle", "tree")
HEAD = ("problem", "pivots", "rows priced per pivot", "nodes per cycle", "time", *STEPS)

FAMILIES: dict[str, Callable[[], list[Problem]]] = {
    f"random points, n = {n}": partial(random_points, n, instances(n))
    for n in (16, 32, 64, 128, 256, 512, 1024)
}
if HAS_DATA:
    FAMILIES |= {
        f"{kind} images as {side} x {side} histograms, {letter}": partial(
            image_pairs, kind, side, metric, instances(side * side)
        )
        for kind in ("CIFAR", "MNIST")
        for metric, letter in (("cityblock", "L1"), ("euclidean", "L2"))
        for side in (8, 16, 32)
    }
    FAMILIES |= {
        f"palettes of {colours} colours, Lab": partial(palette_pairs, 50, colours)
        for colours in (8, 16, 32)
    }
    FAMILIES["rows of 64 colours, RGB"] = partial(row_pairs, 100)


def row_of(name: str, problems: list[Problem], repeats: int) -> tuple[str, ...]:
    """Medians over the instances, each by the fastest of its repeats; shares of the sum of all."""
    solved = [min((_solve(p) for _ in range(repeats)), key=_seconds) for p in problems]
    pivots = sum(more["pivots"] for more in solved)
    seconds = sum(_seconds(more) for more in solved)

    def per_pivot(step: str) -> str:
        total = sum(more["steps"][step] for more in solved)
        return f"{total / pivots:.1f}" if pivots else ""

    return (
        name,
        f"{statistics.median(more['pivots'] for more in solved):g}",
        per_pivot("rows_priced"),
        per_pivot("cycle_nodes"),
        format_seconds(statistics.median(_seconds(more) for more in solved)),
        *(f"{sum(more['steps'][step] for more in solved) / seconds:.0%}" for step in STEPS),
    )


def _solve(problem: Problem) -> dict[str, Any]:
    shape = (problem.a.size, problem.b.size)
    places = problem.x if problem.x is problem.y else (problem.x, problem.y)
    ground = _ground.as_ground(shape, None, places, problem.metric, None)
    status, _, more = _core.transport(*problem.shares, ground, 0, 0.0, 0, False, True)
    assert status == 0, _core.STATUS[status]
    return dict(more)


def _seconds(more: dict[str, Any]) -> float:
    return float(sum(more["steps"][step] for step in STEPS))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="solves of each instance")
    given = parser.parse_args()
    lines = [row_of(name, make(), given.repeats) for name, make in FAMILIES.items()]
    about = machine()
    print(f"{about['cpu']}, {about['isa']}; times include reading the clock at every step")
    print()
    for line in (HEAD, tuple("---" for _ in HEAD), *lines):
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
