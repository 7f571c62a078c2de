"""threads=None or a number -> how many threads a call may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from imgsim_fast.errors import InvalidInputError, InvalidTypeError

VARIABLE = "IMGSIM_FAST_NUM_THREADS"
_MOST = 1024

Item = TypeVar("Item")


def resolve(threads: int | None) -> int:
    """Return ``threads``; for None the environment's number, else that of the usable CPUs."""
    if threads is None:
        text = os.environ.get(VARIABLE)
        if text is None:
            return _usable_cpus()
        try:
            threads = int(text)
        except ValueError:
            threads = 0
        if threads < 1:
            raise InvalidInputError(f"{VARIABLE} must be a positive whole number, got {text!r}")
        return min(threads, _MOST)
    if isinstance(threads, bool) or not hasattr(threads, "__index__"):
        raise InvalidTypeError(f"threads must be an integer or None, got {threads!r}")
    number = threads.__index__()
    if number < 1:
        raise InvalidInputError(f"threads must be at least 1, got {number}")
    return min(number, _MOST)


def _usable_cpus() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def for_each(work: Callable[[Item], None], items: Sequence[Item], threads: int) -> None:
    """Call `work` with each item, in so many threads; it has to release the GIL to gain from them.

    The first error is raised, as if the items had been done in order. After an error or Ctrl-C no
    item is begun any more.
    """
    if threads == 1 or len(items) < 2:
        for item in items:
            work(item)
        return
    import threading
    from concurrent.futures import ThreadPoolExecutor

    remaining, taking, stop = iter(enumerate(items)), threading.Lock(), threading.Event()
    errors: dict[int, BaseException] = {}

    def run() -> None:
        while not stop.is_set():
            with taking:
                taken = next(remaining, None)
            if taken is None:
                return
            try:
                work(taken[1])
            except BaseException as error:
                errors[taken[0]] = error
                stop.set()

    workers = min(threads, len(items))
    with ThreadPoolExecutor(workers, thread_name_prefix="imgsim") as pool:
        try:
            for running in [pool.submit(run) for _ in range(workers)]:
                running.result()
        finally:  # Ctrl-C comes here
            stop.set()
    if errors:  # items are begun in order, so all before the first error have been done
        raise errors[min(errors)]
