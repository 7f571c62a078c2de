"""Kill a process with SIGKILL while it indexes, many times; see that nothing it promised is lost.

A child opens or creates an index, adds a folder in small commits and acknowledges each commit with
the number of images that are then in the index. It is killed at a random moment. After each kill
the index must hold every acknowledged image, none twice, and be sound; when the folder is finished
a new index is begun, so that kills hit creating, filling, resuming and merging. ::

    python tests/faults/kill_while_indexing.py --kills 200
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

COMMIT_SECONDS = 0.005
ORPHAN = "the catalogue does not name (the next writer removes it)"  # allowed after a kill


@dataclass
class Summary:
    """What the kills did; `acknowledged`, `lost` and `duplicated` add up over all kills."""

    kills: int = 0
    empty: int = 0  # kills before the first image was acknowledged
    indexes: int = 0  # how many were finished
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.lost or self.duplicated or self.problems)

    def __str__(self) -> str:
        return (
            f"kills={self.kills} acknowledged={self.acknowledged} lost={self.lost} "
            f"duplicated={self.duplicated} problems={len(self.problems)} empty={self.empty} "
            f"indexes={self.indexes} seconds={self.seconds:.1f}"
        )


def make_images(folder: str, count: int, seed: int = 0) -> list[str]:
    """Write tiny pictures; return their paths in the order of the walk."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    paths = [os.path.join(folder, f"{number:05d}.png") for number in range(count)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).save(path)
    return paths


def child(index_path: str, folder: str) -> None:
    """Index the folder; write "ready", then after each commit how many images are durable."""
    from imgsim_fast.index import Index
    from imgsim_fast.index.build import Builder

    opened = Index.open if Index.exists(index_path) else Index.create
    commit = Builder.commit
    os.write(1, b"ready\n")
    with opened(index_path) as index:

        def commit_and_acknowledge(builder: Builder) -> None:
            commit(builder)
            os.write(1, b"%d\n" % len(index))

        Builder.commit = commit_and_acknowledge  # type: ignore[method-assign]
        os.write(1, b"%d\n" % len(index))
        index.add(folder, threads=2, commit_seconds=COMMIT_SECONDS)


def run_child(index_path: str, folder: str, seconds: float | None) -> tuple[int | None, bool]:
    """Run the child, killing it some seconds after it is ready.

    Returns what it acknowledged last (None if not even that the index exists), and whether it came
    to its end.
    """
    command = [sys.executable, os.path.abspath(__file__), "--child", index_path, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the child did not start")
        if seconds is not None:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        # A line that the kill cut short cannot happen: each is one write to a pipe.
        lines = process.stdout.read().split()
        code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the child ended with code {code}")
    return (int(lines[-1]) if lines else None), code == 0


def typical_seconds(index_path: str, folder: str) -> float:
    """Time of a child that nobody kills, from when it is ready."""
    command = [sys.executable, os.path.abspath(__file__), "--child", index_path, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = time.monotonic()
        process.stdout.read()
        seconds = time.monotonic() - before
    if process.returncode:
        raise RuntimeError(f"the child ended with code {process.returncode}")
    return seconds


def check(
    index_path: str, paths: list[str], acknowledged: int | None, summary: Summary
) -> int | None:
    """Compare an index with what was acknowledged; return how many images it has."""
    from imgsim_fast.errors import ImgsimError
    from imgsim_fast.index import Index

    summary.acknowledged += acknowledged or 0
    if not acknowledged:
        summary.empty += 1
    if not Index.exists(index_path):
        if acknowledged is not None:
            summary.problems.append("the index is gone")
        return None
    try:
        with Index.open(index_path) as index:
            found = index.search(np.zeros((1, 1), np.uint8), k=2 * len(paths) + 1).paths
            count = len(index)
            broken = [text for text in index.verify() if not text.endswith(ORPHAN)]
    except (ImgsimError, OSError) as error:
        summary.lost += acknowledged or 0
        summary.problems.append(f"{type(error).__name__}: {error}")
        return None
    times = Counter(found)
    # Files are taken in the order of the walk: n acknowledged images are the first n.
    summary.lost += sum(times[path] == 0 for path in paths[: acknowledged or 0])
    summary.duplicated += sum(number > 1 for number in times.values())
    summary.problems += broken
    if count != len(found) or not times.keys() <= set(paths):
        summary.problems.append(f"{count} images, but a search finds {len(found)}")
    return count


def finish(index_path: str, folder: str, paths: list[str], summary: Summary) -> None:
    """Index what is left, undisturbed: everything is there, and no file is left over."""
    from imgsim_fast.index import Index

    with Index.open(index_path) as index:
        index.add(folder)
        found = index.search(np.zeros((1, 1), np.uint8), k=2 * len(paths)).paths
        summary.problems += index.verify()
    if sorted(found) != paths:
        summary.problems.append(f"a finished index finds {len(found)} of {len(paths)} images")
    summary.indexes += 1


def run(kills: int, *, seed: int = 0, images: int = 400, work: str | None = None) -> Summary:
    """Kill and check so many times."""
    started = time.monotonic()
    rng = random.Random(seed)
    summary = Summary()
    with tempfile.TemporaryDirectory(prefix="imgsim-kill-", dir=work) as top:
        folder = os.path.join(top, "images")
        os.mkdir(folder)
        paths = make_images(folder, images, seed)

        typical = typical_seconds(os.path.join(top, "typical"), folder)
        number, acknowledged_before = 0, 0
        while summary.kills < kills:
            path = os.path.join(top, f"index-{number}")
            acknowledged, done = run_child(path, folder, rng.uniform(0, typical))
            if acknowledged is None and acknowledged_before:
                acknowledged = acknowledged_before  # killed before it said anything new
            summary.kills += not done
            count = check(path, paths, acknowledged, summary)
            acknowledged_before = acknowledged or 0
            if done or count == len(paths):
                finish(path, folder, paths, summary)
                number, acknowledged_before = number + 1, 0
    summary.seconds = time.monotonic() - started
    return summary


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--child", nargs=2, metavar=("INDEX", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return 0
    summary = run(given.kills, seed=given.seed, images=given.images)
    print(summary)
    for problem in summary.problems[:20]:
        print(f"  {problem}")
    return 0 if summary.good else 1


if __name__ == "__main__":
    sys.exit(main())
