"""Refuse what cannot fit into memory before anything is allocated."""

from __future__ import annotations

import os
import sys

_SMALL = 1 << 28  # what is always tried


def check(need: int, what: str) -> None:
    """Raise MemoryError with the estimate if `need` bytes are more than there are."""
    if need <= _SMALL:
        return
    free = available()
    if free is not None and need > free:
        raise MemoryError(
            f"{what} needs about {need / 1e9:.1f} GB of memory; about {free / 1e9:.1f} GB are free"
        )


def available() -> int | None:
    """Bytes that this process may still allocate; None where the system does not say."""
    limits = [value for value in (_of_machine(), _of_process()) if value is not None]
    return min(limits) if limits else None


def _of_machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _of_process() -> int | None:
    """Return what is left of the limit of the address space."""
    if sys.platform == "win32":
        return None
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        used = 0
    return max(limit - used, 0)
